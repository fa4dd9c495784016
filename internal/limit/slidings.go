package limit

import (
	"sync"
	"time"
)

// Slidings is one [Sliding] for each key, such as the handshakes of each address. Safe for
// concurrent use.
//
// It remembers a bounded number of keys: at least the half of them that were used last, and those
// that were used within the length of a window unless there are too many.
type Slidings[K comparable] struct {
	mu   sync.Mutex
	keys generations[K, Sliding] // guarded by mu
}

// NewSlidings makes windows for up to maxKeys keys, 65,536 if zero or less.
func NewSlidings[K comparable](maxKeys int) *Slidings[K] {
	return &Slidings[K]{keys: newGenerations[K, Sliding](maxKeys)}
}

// Allow counts one event of key at now if the rate allows it, as [Sliding.Allow]. Nothing is counted
// of a key without a limit.
//
//millrace:hot BenchmarkSlidingsAllow TestHotPathsDoNotAllocate
func (s *Slidings[K]) Allow(key K, now time.Time, r Rate) (wait time.Duration, ok bool) {
	if bound := r.bound(); bound <= 0 {
		return max(r.Per, 0), bound < 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// Sliding keeps times in milliseconds and rounds up twice.
	window := s.keys.use(key, now, r.Per+2*time.Millisecond)
	wait, ok = window.Allow(now, r)
	s.keys.newer[key] = window
	return wait, ok
}

// Used is how many events of key are in the window at now.
func (s *Slidings[K]) Used(key K, now time.Time, r Rate) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	window := s.keys.look(key)
	return window.Used(now, r)
}

// Len counts the keys that are remembered.
func (s *Slidings[K]) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys.len()
}
