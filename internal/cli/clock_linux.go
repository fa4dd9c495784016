package cli

import "golang.org/x/sys/unix"

// monotonicMicroseconds is the clock by which a service manager tells an answer to its
// request to reload from an older one.
func monotonicMicroseconds() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0
	}
	return t.Nano() / 1000
}
