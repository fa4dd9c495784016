package limit

import (
	"sync"
	"time"
)

// Windows is one [Window] for each key, such as the requests of each address, or the bytes that each
// token may be sent. Safe for concurrent use. It remembers a bounded number of keys, as
// [Slidings] does.
type Windows[K comparable] struct {
	mu   sync.Mutex
	keys generations[K, Window] // guarded by mu
}

// Count is what a window holds after an event.
type Count struct {
	Max, Left int
	Reset     time.Duration // until the window ends, above zero
}

// NewWindows makes windows for up to maxKeys keys, 65,536 if zero or less.
func NewWindows[K comparable](maxKeys int) *Windows[K] {
	return &Windows[K]{keys: newGenerations[K, Window](maxKeys)}
}

// Allow counts one event of key at now, as Spend does.
//
//millrace:hot BenchmarkWindowsAllow TestHotPathsDoNotAllocate
func (w *Windows[K]) Allow(key K, now time.Time, r Rate) (Count, bool) {
	return w.Spend(key, now, 1, r)
}

// Spend counts n events of key at now, all or none of them, against Max and Burst of the rate
// together. It reports the rest of the key's allowance and of its window, and whether the events are
// within it. Nothing is counted of a key without a limit.
func (w *Windows[K]) Spend(key K, now time.Time, n int64, r Rate) (Count, bool) {
	if r.IsUnlimited() {
		return Count{}, true
	}
	r.Per = max(r.Per, 1)
	bound := int(min(r.bound(), maxInt))
	if bound == 0 {
		return Count{Reset: r.Per}, false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	window := w.keys.use(key, now, r.Per)
	ok := window.Spend(now, n, int64(bound), r.Per)
	w.keys.newer[key] = window
	reset := window.Until(now, r.Per)
	if reset == 0 { // more than any window allows
		reset = r.Per
	}
	return Count{Max: bound, Left: window.Left(now, bound, r.Per), Reset: reset}, ok
}

// Len counts the keys that are remembered.
func (w *Windows[K]) Len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.keys.len()
}
