package limit

import (
	"sync"
	"time"
)

// Fixed is one [Window] for each key, such as the requests of each address. Safe for
// concurrent use.
//
// It remembers a bounded number of keys, in two generations: a key that is used moves into
// the newer one, and when that is half of the bound, or as old as a window, the older one
// is forgotten at once and the newer one takes its place. So whatever is forgotten by age
// had ended; only when more keys than the bound are in use does one get its allowance back
// early, for the reason that [Windows] gives.
type Fixed[K comparable] struct {
	rate Rate // immutable
	half int  // of the bound; immutable

	mu           sync.Mutex
	newer, older map[K]Window // guarded by mu
	since        time.Time    // when newer was begun; guarded by mu
}

// Count is what a window holds after an event.
type Count struct {
	Max, Left int
	Reset     time.Duration // until the window ends, above zero
}

// NewFixed makes windows of r, Max and Burst together, for up to maxKeys keys, 65,536 if
// zero or less. A rate without a maximum gives nil, which admits everything.
func NewFixed[K comparable](r Rate, maxKeys int) *Fixed[K] {
	if r.bound() < 0 {
		return nil
	}
	if maxKeys <= 0 {
		maxKeys = defaultMaxKeys
	}
	r.Per = max(r.Per, 1)
	return &Fixed[K]{rate: r, half: max(maxKeys/2, 1), newer: make(map[K]Window)}
}

// Allow counts one event of key at now, and reports the rest of its allowance and of its window, and
// whether the event is within it.
//
//millrace:hot BenchmarkFixedAllow TestHotPathsDoNotAllocate
func (f *Fixed[K]) Allow(key K, now time.Time) (Count, bool) {
	if f == nil {
		return Count{}, true
	}
	bound := int(min(f.rate.bound(), maxInt))
	if bound == 0 {
		return Count{Reset: f.rate.Per}, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	w, known := f.newer[key]
	if !known {
		w = f.older[key] // before it is forgotten
		f.turnLocked(now)
	}
	ok := w.Allow(now, bound, f.rate.Per)
	f.newer[key] = w
	return Count{Max: bound, Left: w.Left(now, bound, f.rate.Per), Reset: w.Until(now, f.rate.Per)}, ok
}

// Len is how many keys are remembered.
func (f *Fixed[K]) Len() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.newer) + len(f.older)
}

// turnLocked makes room for one more key. A clock that was set back turns, too.
func (f *Fixed[K]) turnLocked(now time.Time) {
	age := now.Sub(f.since)
	if len(f.newer) < f.half && age >= 0 && age < f.rate.Per {
		return
	}
	f.older, f.newer, f.since = f.newer, make(map[K]Window), now
}
