package server

import (
	"bufio"
	"net/http"
	"os"
	"runtime/metrics"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/httpapi/operators"
)

// stats serves numbers about this node.
func (s *Server) stats() http.Handler {
	o := operators.StatsOptions{
		Apps:     s.apps.All,
		Channels: s.channels,
		Connections: func(appID string) operators.Count {
			signedIn, users := s.channels.SignedIn(appID)
			return operators.Count{Open: s.sessions.Open(appID), Authenticated: signedIn, Users: users}
		},
		Memory: machineMemory,
	}
	if s.cfg.Views.Enabled {
		o.Views = s.views
	}
	return operators.NewStats(o)
}

// machineMemory is the memory of this machine. Where the system does not tell as Linux does,
// it is what the process has, and what of that is free.
func machineMemory() operators.Memory {
	if file, err := os.Open("/proc/meminfo"); err == nil {
		defer file.Close() //nolint:errcheck // it was only read
		if m, ok := readMeminfo(bufio.NewScanner(file)); ok {
			return m
		}
	}
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/free:bytes"}}
	metrics.Read(samples)
	return operators.Memory{Total: samples[0].Value.Uint64(), Free: samples[1].Value.Uint64()}
}

// readMeminfo reads lines such as "MemTotal:       16316412 kB".
func readMeminfo(lines *bufio.Scanner) (m operators.Memory, ok bool) {
	for lines.Scan() {
		name, rest, _ := strings.Cut(lines.Text(), ":")
		n, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 54)
		switch {
		case err != nil:
		case name == "MemTotal":
			m.Total = n << 10
		case name == "MemAvailable":
			m.Free = n << 10
		}
	}
	return m, m.Total > 0 && m.Free > 0
}
