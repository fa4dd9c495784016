// Package backpressure makes producers wait for consumers that are behind. A [Budget] is the bytes that
// may wait in queues at a time; a producer that finds too much waiting waits for its turn, first come,
// first served, and gives up when its context ends. A producer of many pieces at once paces itself with a
// [Pacer].
//
// The package starts no goroutine and holds no queue of bytes itself: the owner says what has begun to
// wait and what has ended. The bound is soft: producers that were let in together may exceed it
// together. Package hub bounds its inboxes with it.
package backpressure

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

// Counter counts events, as a prometheus.Counter does.
type Counter interface{ Inc() }

// Budget bounds the bytes that wait. Its methods are safe for concurrent use.
//
// Invariant: a producer that is queued is let in by a later release. When nothing is in use there
// is none to come, so then all are let in.
type Budget struct {
	max             int64   // immutable
	waits, refusals Counter // immutable

	used      atomic.Int64
	isWaiting atomic.Bool // a producer is queued or rests; written under mu

	mu      sync.Mutex
	queue   []*waiter       // guarded by mu
	resting []chan struct{} // closed once hardly anything waits; guarded by mu
}

// waiter is a producer that waits for n bytes; let is closed when it is let in.
type waiter struct {
	n   int64
	let chan struct{}
}

// New makes a budget of so many bytes. waits counts the producers that had to wait, refusals the
// ones that gave up.
func New(maxBytes int64, waits, refusals Counter) *Budget {
	return &Budget{max: maxBytes, waits: waits, refusals: refusals}
}

// Used is how many bytes wait.
func (b *Budget) Used() int64 { return b.used.Load() }

// Add counts n bytes that begin to wait, whether they were waited for or not.
func (b *Budget) Add(n int64) { b.used.Add(n) }

// Release gives back n bytes of Add.
func (b *Budget) Release(n int64) {
	b.used.Add(-n)
	if b.isWaiting.Load() {
		b.mu.Lock()
		b.letInLocked()
		b.mu.Unlock()
	}
}

// Reserve waits until n bytes fit, or until ctx ends, which is its error. More than the whole budget
// waits until it is not used at all. It adds nothing.
func (b *Budget) Reserve(ctx context.Context, n int64) error {
	if b.used.Load()+n <= b.max && !b.isWaiting.Load() {
		return nil
	}
	w := &waiter{n: n, let: make(chan struct{})}
	b.mu.Lock()
	b.queue = append(b.queue, w)
	// Publish isWaiting before reading used: a release does it the other way round, so at
	// least one of the two sees the other.
	b.isWaiting.Store(true)
	b.letInLocked()
	b.mu.Unlock()
	select {
	case <-w.let:
		return nil
	default:
	}
	b.waits.Inc()
	select {
	case <-w.let:
		return nil
	case <-ctx.Done():
		return b.giveUp(ctx, w)
	}
}

// giveUp takes w out of the queue, unless it has just been let in. The one behind it may
// need less.
func (b *Budget) giveUp(ctx context.Context, w *waiter) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.queue, w)
	if i < 0 {
		return nil
	}
	b.queue = slices.Delete(b.queue, i, i+1)
	b.letInLocked()
	b.refusals.Inc()
	return ctx.Err()
}

// letInLocked lets in as many from the front of the queue as fit together, and ends a rest that is over.
func (b *Budget) letInLocked() {
	used := b.used.Load()
	free, in := b.max-used, 0
	for in < len(b.queue) && (used == 0 || b.queue[in].n <= free) {
		free -= b.queue[in].n
		close(b.queue[in].let)
		in++
	}
	b.queue = slices.Delete(b.queue, 0, in)
	if b.isCalm() {
		for _, let := range b.resting {
			close(let)
		}
		b.resting = nil
	}
	b.isWaiting.Store(len(b.queue)+len(b.resting) > 0)
}

// forgetLocked takes a rest out again that ends before b is calm.
func (b *Budget) forgetLocked(let chan struct{}) {
	b.resting = slices.DeleteFunc(b.resting, func(c chan struct{}) bool { return c == let })
	b.letInLocked()
}
