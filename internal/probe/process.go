package probe

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// errNoProcess says that no local process of ours to see listens there.
var errNoProcess = errors.New("no process found that listens there")

// Process reads what the kernel knows of one process, from /proc.
type Process struct{ dir string }

// NewProcess is the process with an id, whether it exists or not.
func NewProcess(pid int) Process { return Process{filepath.Join("/proc", strconv.Itoa(pid))} }

// Self is the process that calls it.
func Self() Process { return NewProcess(os.Getpid()) }

// CPU is the time a process has used, from two sources: stat counts ended threads too, in
// ticks of 10 ms; schedstat is exact and knows living threads only.
type CPU struct{ ticks, exact time.Duration }

// Since is the time used between two readings: the exact one, unless a thread that ended
// took its time with it.
func (c CPU) Since(earlier CPU) time.Duration {
	ticks, exact := c.ticks-earlier.ticks, c.exact-earlier.exact
	if exact > 0 && (ticks-exact).Abs() <= max(30*time.Millisecond, ticks/50) {
		return exact
	}
	return ticks
}

// CPU reads the time that the process has used so far.
func (p Process) CPU() (CPU, error) {
	text, err := os.ReadFile(filepath.Join(p.dir, "stat"))
	if err != nil {
		return CPU{}, err
	}
	ticks, err := parseStat(string(text))
	if err != nil {
		return CPU{}, fmt.Errorf("%s/stat: %w", p.dir, err)
	}
	c := CPU{ticks: ticks}
	tasks, _ := filepath.Glob(filepath.Join(p.dir, "task", "*", "schedstat"))
	for _, name := range tasks {
		if text, err := os.ReadFile(name); err == nil {
			c.exact += parseSchedstat(string(text))
		}
	}
	return c, nil
}

// parseStat is user plus system time of /proc/PID/stat, whose second field may hold
// anything, brackets and blanks too.
func parseStat(text string) (time.Duration, error) {
	end := strings.LastIndexByte(text, ')')
	fields := strings.Fields(text[end+1:])
	if end < 0 || len(fields) < 13 {
		return 0, errors.New("too few fields")
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(err1, err2)
}

// parseSchedstat is the time on a processor, in nanoseconds: the first field.
func parseSchedstat(text string) time.Duration {
	first, _, _ := strings.Cut(text, " ")
	n, _ := strconv.ParseInt(first, 10, 64)
	return time.Duration(n)
}

// RSS reads the resident memory in bytes.
func (p Process) RSS() (int64, error) {
	if text, err := os.ReadFile(filepath.Join(p.dir, "smaps_rollup")); err == nil {
		if n, err := parseRollup(string(text)); err == nil {
			return n, nil
		}
	}
	text, err := os.ReadFile(filepath.Join(p.dir, "statm"))
	if err != nil {
		return 0, err
	}
	return parseStatm(string(text), int64(os.Getpagesize()))
}

func parseRollup(text string) (int64, error) {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "Rss:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kb << 10, err
		}
	}
	return 0, errors.New("no Rss line")
}

func parseStatm(text string, pageSize int64) (int64, error) {
	fields := strings.Fields(text)
	if len(fields) < 2 {
		return 0, errors.New("too few fields")
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * pageSize, err
}

// findListener finds the process that listens on address.
func findListener(address netip.AddrPort) (pid int, err error) {
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(name)
		if err != nil {
			continue
		}
		inode, ok := parseListener(f, address)
		_ = f.Close()
		if ok {
			return findSocket(inode)
		}
	}
	return 0, errNoProcess
}

// parseListener finds the inode of the socket that listens on address, or on any address
// with its port, in a table such as /proc/net/tcp.
func parseListener(table io.Reader, address netip.AddrPort) (inode string, ok bool) {
	const listen = "0A"
	lines := bufio.NewScanner(table)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 10 || f[3] != listen {
			continue
		}
		local, err := parseHexAddress(f[1])
		if err != nil || local.Port() != address.Port() {
			continue
		}
		if ip := local.Addr().Unmap(); ip.IsUnspecified() || ip == address.Addr().Unmap() {
			return f[9], true
		}
	}
	return "", false
}

// parseHexAddress reads 0100007F:1771: words of the address in the machine's byte order,
// little endian wherever this runs.
func parseHexAddress(s string) (netip.AddrPort, error) {
	host, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(host)
	n, err2 := strconv.ParseUint(port, 16, 16)
	if err != nil || err2 != nil || len(b)%4 != 0 {
		return netip.AddrPort{}, fmt.Errorf("address %q", s)
	}
	for i := 0; i < len(b); i += 4 {
		binary.BigEndian.PutUint32(b[i:], binary.LittleEndian.Uint32(b[i:]))
	}
	ip, ok := netip.AddrFromSlice(b)
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("address %q", s)
	}
	return netip.AddrPortFrom(ip, uint16(n)), nil
}

// findSocket finds the process that holds a socket. Processes of others cannot be seen.
func findSocket(inode string) (pid int, err error) {
	want := "socket:[" + inode + "]"
	dirs, _ := filepath.Glob("/proc/[0-9]*/fd")
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if target, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil && target == want {
				return strconv.Atoi(filepath.Base(filepath.Dir(dir)))
			}
		}
	}
	return 0, errNoProcess
}
