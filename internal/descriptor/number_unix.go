//go:build unix

package descriptor

import (
	"net"
	"syscall"
)

// Of is the number of the descriptor of nc, -1 when it is not known.
func Of(nc net.Conn) int {
	if t, ok := nc.(interface{ NetConn() net.Conn }); ok {
		nc = t.NetConn()
	}
	n := -1
	if sc, ok := nc.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { n = int(fd) }) // fails once nc is closed
		}
	}
	return n
}

// Limit is how many descriptors the process may have open. The Go runtime has raised
// it to the hard limit.
func Limit() (int, bool) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil || uint64(l.Cur) > 1<<31-1 {
		return 0, false
	}
	return int(l.Cur), true
}
