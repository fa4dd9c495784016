package bench

import (
	"time"

	"golang.org/x/sys/unix"
)

// sleepPrecisely sleeps in the kernel: the runtime's timers are a millisecond late when
// nothing else happens, which is more than some latencies that are to be measured.
func sleepPrecisely(d time.Duration) {
	left := unix.NsecToTimespec(int64(d))
	for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &left, &left) == unix.EINTR {
	}
}
