package limit

import "sync/atomic"

// Quota counts the places in use at this moment, exactly: check and registration are one
// step. The zero value is ready. Safe for concurrent use.
type Quota struct{ used atomic.Int64 }

// Acquire takes one unit and reports true unless max are in use. Every true is paid back
// by one Release. The maximum may differ from call to call.
func (q *Quota) Acquire(max int) bool {
	for {
		n := q.used.Load()
		if isFull(n, max) {
			return false
		}
		if q.used.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Release gives one unit back.
func (q *Quota) Release() {
	if q.used.Add(-1) < 0 {
		panic("limit: quota released more often than acquired")
	}
}

// Used is how many units are in use.
func (q *Quota) Used() int { return int(q.used.Load()) }

// isFull reports whether used units are all that a maximum admits.
func isFull(used int64, max int) bool {
	if max <= 0 {
		return max == None
	}
	return used >= int64(max)
}
