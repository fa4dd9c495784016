package admin

import (
	"sync"
	"time"

	"github.com/millrace/millrace/internal/auth"
)

// seen remembers the signatures of requests that were heeded, for as long as their timestamps
// are: twice the window, for a clock may be ahead or behind. Only signatures that are good come
// here, so nobody else can fill it. The zero value is ready; safe for concurrent use.
type seen struct {
	mu           sync.Mutex
	newer, older map[string]bool // guarded by mu
	since        time.Time       // when newer was begun; guarded by mu
}

const (
	seenTTL = 2*auth.Window + time.Second
	maxSeen = 1 << 16 // in each generation
)

type sighting uint8

const (
	seenFirst sighting = iota
	seenBefore
	seenFull
)

// add remembers a signature, if it is new.
func (s *seen) add(signature string, now time.Time) sighting {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.newer[signature] || s.older[signature] {
		return seenBefore
	}
	if age := now.Sub(s.since); s.newer == nil || age >= seenTTL {
		s.older, s.newer, s.since = s.newer, map[string]bool{}, now
	}
	if len(s.newer) >= maxSeen {
		return seenFull
	}
	s.newer[signature] = true
	return seenFirst
}
