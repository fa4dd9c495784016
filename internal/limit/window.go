package limit

import "time"

// Window is a fixed window counter: a window starts with the first event after the end of
// the former one. The zero value is ready. It is small enough to be embedded by value in
// every connection, and not safe for concurrent use: the owner's lock guards it.
//
// In any stretch as long as one window it allows less than twice the maximum.
type Window struct {
	start int64 // of the present window, Unix nanoseconds
	used  int64
}

// Allow counts one event at now and reports whether it is within max per length.
func (w *Window) Allow(now time.Time, max int, length time.Duration) bool {
	return w.Spend(now, 1, int64(max), length)
}

// AllowN counts n events at now, all or none of them: refused events use nothing up.
func (w *Window) AllowN(now time.Time, n, max int, length time.Duration) bool {
	return w.Spend(now, int64(n), int64(max), length)
}

// Spend is AllowN for amounts such as bytes, which may be more than an int holds.
//
//millrace:hot BenchmarkWindowSpend TestHotPathsDoNotAllocate
func (w *Window) Spend(now time.Time, n, max int64, length time.Duration) bool {
	if max <= 0 {
		return max != None
	}
	t := now.UnixNano()
	if w.used == 0 || w.over(t, length) {
		w.start, w.used = t, 0
	}
	if n > max-w.used {
		return false
	}
	w.used += n
	return true
}

// Left is how many events Allow would grant at now.
func (w *Window) Left(now time.Time, max int, length time.Duration) int {
	if max == None {
		return 0
	}
	if w.over(now.UnixNano(), length) {
		return max
	}
	return int(int64(max) - w.used)
}

// Until is the time from now to the end of the window, zero if none is open.
func (w *Window) Until(now time.Time, length time.Duration) time.Duration {
	t := now.UnixNano()
	if w.used == 0 || w.over(t, length) {
		return 0
	}
	return min(time.Duration(w.start+int64(length)-t), length)
}

// over reports whether the window has ended at t. A clock that was set back ends it too,
// or a wrong clock could hold it open for years. An event that is only late does not.
func (w *Window) over(t int64, length time.Duration) bool {
	d := t - w.start
	return d <= -int64(lateness) || d >= int64(length)
}
