package limit

import "time"

// Rate is so many events in any stretch of time as long as Per.
type Rate struct {
	Max   int // zero: unlimited
	Burst int // on top of Max
	Per   time.Duration
}

// IsUnlimited reports whether the rate has no maximum.
func (r Rate) IsUnlimited() bool { return r.bound() < 0 }

// bound is how many events a log may hold at once, negative if there is no bound.
func (r Rate) bound() int64 {
	switch {
	case r.Max == None:
		return 0
	case r.Max <= 0:
		return -1
	default:
		return int64(r.Max) + int64(max(r.Burst, 0))
	}
}

// millis is Per in milliseconds, rounded up, and within what a log can tell apart.
func (r Rate) millis() uint32 {
	const most = 7 * 24 * time.Hour
	return uint32((min(max(r.Per, 1), most) + time.Millisecond - 1) / time.Millisecond)
}

// Sliding is a sliding window log: in any stretch of time as long as Rate.Per, up to seven
// days, it allows at most Max + Burst events (views 2). Times are kept in whole
// milliseconds, and an event never leaves early because of that.
//
// The zero value is ready and costs one word: the log is allocated with the first event,
// grows with the events that are in the window, four bytes each, and goes with the last
// of them. It is not safe for concurrent use: the owner's lock guards it.
type Sliding struct{ log *slidingLog }

// slidingLog is a ring of times in milliseconds, modulo 2^32. No two of them, nor one of
// them and the present, are further apart than twice the longest Per, so that their
// differences are exact.
type slidingLog struct {
	times  []uint32
	head   uint32 // index of the oldest
	len    uint32
	newest int64 // Unix nanoseconds
}

// Allow counts one event at now if the rate allows it; a refused event uses nothing up. If
// it does not, wait is the time until the oldest event leaves the window.
//
//millrace:hot BenchmarkSlidingAllow TestHotPathsDoNotAllocate
func (s *Sliding) Allow(now time.Time, r Rate) (wait time.Duration, ok bool) {
	bound := r.bound()
	if bound <= 0 {
		return max(r.Per, 0), bound < 0
	}
	length := r.millis()
	t := s.expire(now.UnixNano(), length)
	if s.log == nil {
		s.log = &slidingLog{times: make([]uint32, min(bound, 4))}
	}
	l := s.log
	if int64(l.len) >= bound {
		// After a maximum was lowered there may be more than one too many.
		return l.wait(l.len-uint32(bound), t, length), false
	}
	if int(l.len) == len(l.times) {
		l.grow(bound)
	}
	l.times[l.index(l.len)] = uint32((t + int64(time.Millisecond) - 1) / int64(time.Millisecond))
	l.len++
	l.newest = t
	return 0, true
}

// Used is how many events are in the window at now.
func (s *Sliding) Used(now time.Time, r Rate) int {
	s.expire(now.UnixNano(), r.millis())
	if s.log == nil {
		return 0
	}
	return int(s.log.len)
}

// expire forgets what has left the window at t. It returns t, or the time of the newest event if
// that is later: another event overtook this one. A clock that was set back empties the window, or
// a wrong clock could keep it full for years.
func (s *Sliding) expire(t int64, length uint32) int64 {
	l := s.log
	if l == nil {
		return t
	}
	age := t - l.newest
	if age <= -int64(lateness) || age >= (int64(length)+1)*int64(time.Millisecond) {
		s.log = nil
		return t
	}
	t = max(t, l.newest)
	for l.len > 0 && l.age(0, t) >= int64(length) {
		l.head = l.index(1)
		l.len--
	}
	if l.len == 0 {
		s.log = nil
	}
	return t
}

// age of the i-th oldest event in milliseconds; -1 for one in this very millisecond.
func (l *slidingLog) age(i uint32, t int64) int64 {
	return int64(int32(uint32(t/int64(time.Millisecond)) - l.times[l.index(i)]))
}

// wait is the time from t until the i-th oldest event leaves.
func (l *slidingLog) wait(i uint32, t int64, length uint32) time.Duration {
	ms := int64(length) - l.age(i, t)
	return time.Duration(ms*int64(time.Millisecond) - t%int64(time.Millisecond))
}

func (l *slidingLog) index(i uint32) uint32 {
	return uint32((uint64(l.head) + uint64(i)) % uint64(len(l.times)))
}

func (l *slidingLog) grow(bound int64) {
	times := make([]uint32, min(2*int64(len(l.times)), bound))
	n := copy(times, l.times[l.head:])
	copy(times[n:], l.times[:l.head])
	l.times, l.head = times, 0
}
