package commit

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"
)

var (
	// ErrFull refuses an item that the queue has no room for.
	ErrFull = errors.New("commit: too much waits; try again later")
	// ErrClosed refuses an item after the end.
	ErrClosed = errors.New("commit: nothing is committed any more")
	// ErrUncertain answers a caller whose item may be committed or not.
	ErrUncertain = errors.New("commit: it is not known whether it was stored")
)

// maxSpare is how much room a slice has at most that is kept to be filled again.
const maxSpare = 4096

// Size is what an item counts in the bounds of a queue.
type Size struct{ Bytes, Entries int }

func (s Size) plus(o Size) Size { return Size{s.Bytes + o.Bytes, s.Entries + o.Entries} }

func (s Size) minus(o Size) Size { return Size{s.Bytes - o.Bytes, s.Entries - o.Entries} }

// exceeds reports whether s is more than limit, where zero is no limit.
func (s Size) exceeds(limit Size) bool {
	return limit.Bytes > 0 && s.Bytes > limit.Bytes || limit.Entries > 0 && s.Entries > limit.Entries
}

// Options of a queue. Zero fields mean the default: no bound, and no call.
type Options struct {
	// Max bounds what waits. An empty queue takes an item of any size.
	Max Size
	// Group bounds what is taken together. An item that is larger is a group by itself.
	Group Size
	// HoldsGroup counts what was taken in Max until it is answered: for items that a Committer
	// does not account for itself.
	HoldsGroup bool
	// Patience is how long a group waits at most for as many items as the one before had, so that callers that
	// were answered together are committed together again although their next items take a while to come.
	// An item that is alone again and again does not wait.
	Patience time.Duration
	// IsInstant: Store and Install wait for nothing. Then no item is kept back until others come, and a
	// caller waits for its answer without a look at its context.
	IsInstant bool
	// Waiting, if set, is told the bytes that count in Max when they change. It must not block.
	Waiting func(bytes int)
}

// claim is what the queue knows of the item at the same place.
type claim struct {
	ticket *Ticket // nil: no caller waits
	size   Size
}

// lot is a run of items with their claims.
type lot[T any] struct {
	items  []T
	claims []claim
}

// emptied is the room of the lot without what was in it.
func (l *lot[T]) emptied() lot[T] {
	if cap(l.items) > maxSpare || cap(l.claims) > maxSpare {
		return lot[T]{}
	}
	clear(l.items)
	clear(l.claims)
	return lot[T]{l.items[:0], l.claims[:0]}
}

// Queue holds what waits to be committed, in order. Its methods are safe for concurrent use,
// except that Serve and Finish are called one after the other.
//
// Invariant: bytes and entries that wait never exceed Options.Max, unless one item alone does.
type Queue[T any] struct {
	o      Options       // immutable
	signal chan struct{} // one slot, filled when there is something to do

	group    lot[T] // owned by Serve and Finish
	before   int    // items of the group before; owned likewise
	isStaged bool   // group could not be stored and is to be tried again; owned likewise

	mu       sync.Mutex
	waiting  lot[T] // guarded by mu
	size     Size   // guarded by mu; of what counts in Options.Max
	isClosed bool   // guarded by mu
}

// New makes an empty queue.
func New[T any](o Options) *Queue[T] {
	return &Queue[T]{o: o, signal: make(chan struct{}, 1)}
}

// Admits reports why an item of this size would be refused now, nil if it would not.
func (q *Queue[T]) Admits(size Size) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.admitsLocked(size)
}

func (q *Queue[T]) admitsLocked(size Size) error {
	switch {
	case q.isClosed:
		return ErrClosed
	case q.size != Size{} && q.size.plus(size).exceeds(q.o.Max):
		return ErrFull
	}
	return nil
}

// Put adds an item for which no caller waits.
func (q *Queue[T]) Put(item T, size Size) error {
	return q.put(item, claim{size: size})
}

func (q *Queue[T]) put(item T, c claim) error {
	q.mu.Lock()
	err := q.admitsLocked(c.size)
	if err == nil {
		q.waiting.items = append(q.waiting.items, item)
		q.waiting.claims = append(q.waiting.claims, c)
		q.resizeLocked(q.size.plus(c.size))
	}
	isFirst := len(q.waiting.items) == 1
	q.mu.Unlock()
	if err == nil && isFirst {
		q.Wake()
	}
	return err
}

// Do adds an item and returns when its group was committed, with the answer that the Committer has
// given to t or, without one, the error of the group. No other call may have t until then; after
// ErrUncertain no other call may have it at all. That ctx has ended is noticed after [soon], or not
// at all where Options.IsInstant.
func (q *Queue[T]) Do(ctx context.Context, item T, size Size, t *Ticket) error {
	t.err, t.isAnswered = nil, false
	if err := q.put(item, claim{t, size}); err != nil {
		return err
	}
	if q.o.IsInstant {
		<-t.done
		return t.err
	}
	if t.answeredSoon() {
		return t.err
	}
	select {
	case <-t.done:
		return t.err
	case <-ctx.Done():
	}
	if q.withdraw(t) {
		return ctx.Err()
	}
	select {
	case <-t.done:
		return t.err
	default:
		return fmt.Errorf("%w: %w", ErrUncertain, ctx.Err())
	}
}

// withdraw takes the item of t out again; false if it was taken.
func (q *Queue[T]) withdraw(t *Ticket) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	w := &q.waiting
	i := slices.IndexFunc(w.claims, func(c claim) bool { return c.ticket == t })
	if i < 0 {
		return false
	}
	q.resizeLocked(q.size.minus(w.claims[i].size))
	w.items, w.claims = slices.Delete(w.items, i, i+1), slices.Delete(w.claims, i, i+1)
	return true
}

// Wake has Serve take a group, and ask a [Scheduler] again, as soon as it can.
func (q *Queue[T]) Wake() {
	select {
	case q.signal <- struct{}{}:
	default: // Serve has not yet seen the call before
	}
}

// IsEmpty reports whether no item waits. What was taken does not.
func (q *Queue[T]) IsEmpty() bool { return q.length() == 0 }

func (q *Queue[T]) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting.items)
}

// Close refuses all that comes later.
func (q *Queue[T]) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.isClosed = true
}

// gather lets callers that were just answered put their next items, while such items come: otherwise each
// large group would be followed by one of the first item that came.
func (q *Queue[T]) gather() {
	const yields = 16
	before := q.length()
	for range yields {
		runtime.Gosched()
		now := q.length()
		if now <= before {
			return
		}
		before = now
	}
}

// await waits for as many items as the group before had, not longer than Options.Patience.
func (q *Queue[T]) await() {
	const looks = 4
	for range looks {
		if q.length() >= q.before {
			return
		}
		time.Sleep(q.o.Patience / looks)
	}
}

// take makes the next group of what waits.
func (q *Queue[T]) take() {
	q.mu.Lock()
	defer q.mu.Unlock()
	w := &q.waiting
	n, size := 0, Size{}
	for ; n < len(w.claims); n++ {
		next := size.plus(w.claims[n].size)
		if n > 0 && next.exceeds(q.o.Group) {
			break
		}
		size = next
	}
	if n == len(w.items) {
		q.group, q.waiting = q.waiting, q.group
	} else {
		q.group.items = append(q.group.items, w.items[:n]...)
		q.group.claims = append(q.group.claims, w.claims[:n]...)
		w.items, w.claims = slices.Delete(w.items, 0, n), slices.Delete(w.claims, 0, n)
	}
	if !q.o.HoldsGroup && n > 0 {
		q.resizeLocked(q.size.minus(size))
	}
}

// release makes room for as much as the group was, if that was still counted.
func (q *Queue[T]) release() {
	if !q.o.HoldsGroup || len(q.group.claims) == 0 {
		return
	}
	size := Size{}
	for i := range q.group.claims {
		size = size.plus(q.group.claims[i].size)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.resizeLocked(q.size.minus(size))
}

func (q *Queue[T]) resizeLocked(size Size) {
	q.size = size
	if q.o.Waiting != nil {
		q.o.Waiting(size.Bytes)
	}
}
