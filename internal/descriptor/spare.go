package descriptor

import (
	"sync/atomic"
	"time"
)

// Spare is the last descriptors of the process. They are for requests, health and metrics; a
// connection that gets one is to be told so and closed. Its methods are safe from any goroutine; the
// zero Spare has none.
type Spare struct {
	First int // of the descriptors that are kept; zero: none are. Immutable
	Most  int // connections that may have one at a time. Immutable

	taken  atomic.Int32 // connections that have one
	seenAt atomic.Int64 // the time at which a connection has last got one; zero: none has
}

// fullFor is how long descriptors count as taken after a connection got a spare one.
const fullFor = time.Second

// Take reports whether the descriptor of a connection is a spare one, and counts it in then, until
// Give. Times are since any moment before the first of them.
func (s *Spare) Take(fd int, now time.Duration) bool {
	if s.First <= 0 || fd < s.First {
		return false
	}
	s.taken.Add(1)
	s.seenAt.Store(int64(now))
	return true
}

// Give undoes a Take that reported true.
func (s *Spare) Give() { s.taken.Add(-1) }

// IsFull reports whether a connection would get a spare descriptor, as far as is known.
func (s *Spare) IsFull(now time.Duration) bool {
	seen := time.Duration(s.seenAt.Load())
	return seen > 0 && now-seen < fullFor
}

// IsExhausted reports whether not even connections that are only told so should be accepted.
func (s *Spare) IsExhausted(now time.Duration) bool {
	return s.IsFull(now) && int(s.taken.Load()) >= s.Most
}
