package limit

import (
	"cmp"
	"sync/atomic"
	"time"
)

// Sampler lets one event in a while through and counts the others, so that a flood of events
// does not become a flood of logs. The zero value is ready. Safe for concurrent use.
type Sampler struct {
	Every time.Duration // between two that pass; default 1 s; immutable

	last    atomic.Int64 // Unix nanoseconds of the last that passed
	skipped atomic.Int64
}

// Pass reports whether to speak, and how many were skipped since the last time.
func (s *Sampler) Pass(now time.Time) (skipped int64, ok bool) {
	last := s.last.Load()
	age := now.UnixNano() - last
	isSoon := age > -int64(lateness) && age < int64(cmp.Or(s.Every, time.Second)) // a clock that was set back is not
	if isSoon || !s.last.CompareAndSwap(last, now.UnixNano()) {
		s.skipped.Add(1)
		return 0, false
	}
	return s.skipped.Swap(0), true
}
