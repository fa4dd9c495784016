package hub

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

// room bounds the bytes that wait in all inboxes together and queues the publishers that
// wait for it to shrink, first come, first served.
//
// Invariant: whoever is queued is let in by a later release. When nothing is in use there
// is nobody to release, so then everybody is let in.
type room struct {
	max     int64    // immutable
	metrics *Metrics // immutable

	used      atomic.Int64
	isWaiting atomic.Bool // the queue is not empty; written under mu

	mu    sync.Mutex
	queue []*waiter // guarded by mu
}

// waiter is a publisher that waits for n bytes; let is closed when it is let in.
type waiter struct {
	n   int64
	let chan struct{}
}

func (r *room) add(n int64) { r.used.Add(n) }

// release gives back n bytes of add.
func (r *room) release(n int64) {
	r.used.Add(-n)
	if r.isWaiting.Load() {
		r.mu.Lock()
		r.letInLocked()
		r.mu.Unlock()
	}
}

// reserve waits for n bytes. One that is larger than the whole room waits for an empty one.
func (r *room) reserve(ctx context.Context, n int64) error {
	if r.used.Load()+n <= r.max && !r.isWaiting.Load() {
		return nil
	}
	w := &waiter{n: n, let: make(chan struct{})}
	r.mu.Lock()
	r.queue = append(r.queue, w)
	// Publish isWaiting before reading used: a release does it the other way round, so at
	// least one of the two sees the other.
	r.isWaiting.Store(true)
	r.letInLocked()
	r.mu.Unlock()
	select {
	case <-w.let:
		return nil
	default:
	}
	r.metrics.waits.Inc()
	select {
	case <-w.let:
		return nil
	case <-ctx.Done():
		return r.giveUp(w)
	}
}

// giveUp takes w out of the queue, unless it has just been let in. The one behind it may
// need less.
func (r *room) giveUp(w *waiter) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.Index(r.queue, w)
	if i < 0 {
		return nil
	}
	r.queue = slices.Delete(r.queue, i, i+1)
	r.letInLocked()
	r.metrics.refusals.Inc()
	return ErrBackpressure
}

// letInLocked lets in as many from the front of the queue as fit together.
func (r *room) letInLocked() {
	used := r.used.Load()
	free, in := r.max-used, 0
	for in < len(r.queue) && (used == 0 || r.queue[in].n <= free) {
		free -= r.queue[in].n
		close(r.queue[in].let)
		in++
	}
	r.queue = slices.Delete(r.queue, 0, in)
	r.isWaiting.Store(len(r.queue) > 0)
}
