//go:build unix

package cli

import "syscall"

// descriptorLimit is how many descriptors the process may open, which bounds connections.
// The Go runtime has raised it to the hard limit.
func descriptorLimit() (uint64, bool) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, false
	}
	return uint64(l.Cur), true
}
