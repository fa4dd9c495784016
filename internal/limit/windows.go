package limit

import (
	"sync"
	"time"
)

// defaultMaxKeys bounds the keys of a Windows that was given no bound.
const defaultMaxKeys = 1 << 16

// Windows is one [Sliding] for each key, such as the handshakes of each address. Safe for
// concurrent use.
//
// It remembers a bounded number of keys. Keys whose events have all left their window are
// forgotten by and by. When there are too many others, the one that was used least recently
// is forgotten, which gives it its full allowance back: a client with so many keys had that many
// allowances anyway, and refusing new keys instead would let that client shut out all others.
type Windows[K comparable] struct {
	maxKeys int // immutable

	mu   sync.Mutex
	keys map[K]*keyWindow[K] // guarded by mu
	// recent is the head of the ring of all keys, most recently used first; guarded by mu.
	recent keyWindow[K]
}

// keyWindow is one key in the ring.
type keyWindow[K comparable] struct {
	key        K
	events     Sliding
	ends       int64 // when its last event leaves the window, Unix nanoseconds
	prev, next *keyWindow[K]
}

// NewWindows makes windows for up to maxKeys keys, 65,536 if zero or less.
func NewWindows[K comparable](maxKeys int) *Windows[K] {
	if maxKeys <= 0 {
		maxKeys = defaultMaxKeys
	}
	w := &Windows[K]{maxKeys: maxKeys, keys: make(map[K]*keyWindow[K])}
	w.recent.next, w.recent.prev = &w.recent, &w.recent
	return w
}

// Allow counts one event of key at now if the rate allows it, as [Sliding.Allow].
//
//millrace:hot BenchmarkWindowsAllow TestHotPathsDoNotAllocate
func (w *Windows[K]) Allow(key K, now time.Time, r Rate) (wait time.Duration, ok bool) {
	if bound := r.bound(); bound <= 0 {
		return max(r.Per, 0), bound < 0
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forgetIdleLocked(now)
	k := w.keys[key]
	if k == nil {
		if len(w.keys) >= w.maxKeys {
			w.forgetLocked(w.recent.prev)
		}
		k = &keyWindow[K]{key: key}
		w.keys[key] = k
	} else {
		k.unlink()
	}
	k.linkAfter(&w.recent)
	wait, ok = k.events.Allow(now, r)
	if ok {
		k.ends = now.Add(r.Per + 2*time.Millisecond).UnixNano() // Sliding rounds up twice
	}
	return wait, ok
}

// Used is how many events of key are in the window at now.
func (w *Windows[K]) Used(key K, now time.Time, r Rate) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	k := w.keys[key]
	if k == nil {
		return 0
	}
	return k.events.Used(now, r)
}

// Len is how many keys are remembered.
func (w *Windows[K]) Len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.keys)
}

// forgetIdleLocked forgets up to two idle keys, so that a burst of keys melts away twice
// as fast as it came and no call pays for all of it.
func (w *Windows[K]) forgetIdleLocked(now time.Time) {
	for range 2 {
		last := w.recent.prev
		if last == &w.recent || last.ends > now.UnixNano() {
			return
		}
		w.forgetLocked(last)
	}
}

func (w *Windows[K]) forgetLocked(k *keyWindow[K]) {
	k.unlink()
	delete(w.keys, k.key)
}

func (k *keyWindow[K]) unlink() { k.prev.next, k.next.prev = k.next, k.prev }

func (k *keyWindow[K]) linkAfter(head *keyWindow[K]) {
	k.prev, k.next = head, head.next
	k.prev.next, k.next.prev = k, k
}
