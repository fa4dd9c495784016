package memory

import (
	"bufio"
	"os"
	"runtime/metrics"
	"strconv"
	"strings"
)

// OfMachine returns the memory of this machine in bytes, and what of it is free. Where the system does
// not tell as Linux does, it is what the process has, and what of that is free.
func OfMachine() (total, free uint64) {
	if file, err := os.Open("/proc/meminfo"); err == nil {
		defer file.Close() //nolint:errcheck // it was only read
		if total, free, ok := readMeminfo(bufio.NewScanner(file)); ok {
			return total, free
		}
	}
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/free:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64(), samples[1].Value.Uint64()
}

// readMeminfo reads lines such as "MemTotal:       16316412 kB".
func readMeminfo(lines *bufio.Scanner) (total, free uint64, ok bool) {
	for lines.Scan() {
		name, rest, _ := strings.Cut(lines.Text(), ":")
		n, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 54)
		switch {
		case err != nil:
		case name == "MemTotal":
			total = n << 10
		case name == "MemAvailable":
			free = n << 10
		}
	}
	return total, free, total > 0 && free > 0
}
