package limit

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

// Budget bounds how many bytes all who use it hold at one moment. Who finds no room waits, and
// is served in the order of arrival, so that a large demand is not passed for ever by small ones.
// A demand for more than the whole budget is served when no other caller holds anything.
//
// A nil Budget bounds nothing. Safe for concurrent use; no call but a waiting Acquire blocks.
type Budget struct {
	max     int64 // immutable
	used    atomic.Int64
	waiting atomic.Int32 // length of queue, or about to be

	mu    sync.Mutex
	queue []*demand // guarded by mu; first come, first served
}

// demand waits for room.
type demand struct {
	bytes   int64
	granted chan struct{} // closed, under Budget.mu, when the bytes are its own
}

// NewBudget makes a budget of so many bytes, above zero.
func NewBudget(bytes int64) *Budget { return &Budget{max: bytes} }

// TryAcquire takes n bytes and reports true, or false when there is no room or another caller waits
// for it. Every true is paid back by Release of as many bytes.
func (b *Budget) TryAcquire(n int64) bool {
	return b == nil || b.waiting.Load() == 0 && b.take(n)
}

// Acquire takes n bytes, and waits for room until ctx ends. It reports whether it has them.
func (b *Budget) Acquire(ctx context.Context, n int64) bool {
	if b.TryAcquire(n) {
		return true
	}
	d := &demand{bytes: n, granted: make(chan struct{})}
	b.waiting.Add(1) // before it looks, so that who releases afterwards looks, too
	b.mu.Lock()
	b.queue = append(b.queue, d)
	b.grantLocked()
	b.mu.Unlock()
	select {
	case <-d.granted:
		return true
	case <-ctx.Done():
		return !b.withdraw(d)
	}
}

// Release gives n bytes back.
func (b *Budget) Release(n int64) {
	if b == nil || n == 0 {
		return
	}
	if b.used.Add(-n) < 0 {
		panic("limit: more bytes released than acquired")
	}
	if b.waiting.Load() > 0 {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.grantLocked()
	}
}

// Max is the bound, 0 without one.
func (b *Budget) Max() int64 {
	if b == nil {
		return 0
	}
	return b.max
}

// Used is how many bytes are held.
func (b *Budget) Used() int64 {
	if b == nil {
		return 0
	}
	return b.used.Load()
}

func (b *Budget) take(n int64) bool {
	for {
		used := b.used.Load()
		if used > 0 && used+n > b.max {
			return false
		}
		if b.used.CompareAndSwap(used, used+n) {
			return true
		}
	}
}

// grantLocked serves who waits, from the front, as far as there is room.
func (b *Budget) grantLocked() {
	for len(b.queue) > 0 && b.take(b.queue[0].bytes) {
		close(b.queue[0].granted)
		b.removeLocked(0)
	}
}

// withdraw gives up a demand, unless it has just been granted.
func (b *Budget) withdraw(d *demand) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.queue, d)
	if i < 0 {
		return false
	}
	b.removeLocked(i)
	b.grantLocked() // those behind it may fit
	return true
}

func (b *Budget) removeLocked(i int) {
	b.queue = slices.Delete(b.queue, i, i+1)
	b.waiting.Add(-1)
}
