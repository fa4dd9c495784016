package limit

import (
	"sync"
	"time"
)

// Budgets is one [Window] for each key, such as the bytes that each token may be sent. Safe for
// concurrent use.
//
// It remembers a bounded number of keys. When there are too many, those whose window is over are
// forgotten, and if that makes no room some others, which gives these their full budget back.
type Budgets[K comparable] struct {
	maxKeys int // immutable

	mu   sync.Mutex
	keys map[K]*Window // guarded by mu
}

// NewBudgets makes budgets for up to maxKeys keys, 65,536 if zero or less.
func NewBudgets[K comparable](maxKeys int) *Budgets[K] {
	if maxKeys <= 0 {
		maxKeys = defaultMaxKeys
	}
	return &Budgets[K]{maxKeys: maxKeys, keys: make(map[K]*Window)}
}

// Spend takes n off the budget of key, as [Window.Spend], and says how long it is until there is
// a new one if that fails.
func (b *Budgets[K]) Spend(key K, now time.Time, n, max int64, length time.Duration) (wait time.Duration, ok bool) {
	if max <= 0 {
		return length, max != None
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	w := b.keys[key]
	if w == nil {
		if len(b.keys) >= b.maxKeys {
			b.makeRoomLocked(now, length)
		}
		w = new(Window)
		b.keys[key] = w
	}
	if w.Spend(now, n, max, length) {
		return 0, true
	}
	if wait = w.Until(now, length); wait == 0 {
		wait = length // more than any window allows
	}
	return wait, false
}

// Len is how many keys are remembered.
func (b *Budgets[K]) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.keys)
}

func (b *Budgets[K]) makeRoomLocked(now time.Time, length time.Duration) {
	for key, w := range b.keys {
		if w.over(now.UnixNano(), length) {
			delete(b.keys, key)
		}
	}
	for key := range b.keys {
		if len(b.keys) <= b.maxKeys*7/8 { // so that not each new key pays for a walk
			return
		}
		delete(b.keys, key)
	}
}
