package projection

import (
	"sync"
	"time"
)

// sampler lets one of a flood of log lines through. Safe for concurrent use.
type sampler struct {
	mu     sync.Mutex
	last   time.Time // guarded by mu
	missed int       // guarded by mu: since last
}

// due reports whether to log now, and how many there were since it last said so.
func (s *sampler) due(now time.Time) (n int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.missed++
	if !s.last.IsZero() && now.Sub(s.last) < logInterval {
		return 0, false
	}
	n, s.missed, s.last = s.missed, 0, now
	return n, true
}
