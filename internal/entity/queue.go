package entity

import (
	"slices"
	"sync"
)

// maxGroup is how many mutations are taken together, if it is more than one batch: enough to
// share a flush, not so many that the first waits long for the last.
const maxGroup = 4096

// queue is what waits for the applier, in order.
type queue struct {
	limit   int           // of bytes
	signal  chan struct{} // one slot, filled when something waits
	metrics *Metrics

	mu       sync.Mutex
	waiting  []*pending // guarded by mu
	bytes    int        // guarded by mu; of what waits and what was taken and not yet released
	isClosed bool       // guarded by mu
}

// admits reports why nothing would be put now, before somebody goes to the trouble of
// preparing it.
func (q *queue) admits(size int) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.admitsLocked(size)
}

func (q *queue) admitsLocked(size int) error {
	switch {
	case q.isClosed:
		return ErrClosed
	case q.bytes > 0 && q.bytes+size > q.limit:
		return ErrBackpressure
	}
	return nil
}

func (q *queue) put(p *pending) error {
	q.mu.Lock()
	err := q.admitsLocked(p.size)
	if err == nil {
		q.waiting = append(q.waiting, p)
		q.addLocked(p.size)
	}
	q.mu.Unlock()
	if err == nil {
		select {
		case q.signal <- struct{}{}:
		default: // the applier has not yet seen the one before
		}
	}
	return err
}

// withdraw takes p out again; false if the applier has it.
func (q *queue) withdraw(p *pending) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, p)
	if i < 0 {
		return false
	}
	q.waiting = slices.Delete(q.waiting, i, i+1)
	q.addLocked(-p.size)
	return true
}

// take appends the next group to dst.
func (q *queue) take(dst []*pending) []*pending {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, mutations := 0, 0
	for n < len(q.waiting) {
		if mutations += len(q.waiting[n].mutations); n > 0 && mutations > maxGroup {
			break
		}
		n++
	}
	dst = append(dst, q.waiting[:n]...)
	q.waiting = slices.Delete(q.waiting, 0, n)
	return dst
}

// release makes room for as much as a group was. It was held until now: a group is memory,
// too.
func (q *queue) release(size int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.addLocked(-size)
}

func (q *queue) addLocked(size int) {
	q.bytes += size
	q.metrics.waiting.Set(float64(q.bytes))
}

// close refuses all that comes later.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.isClosed = true
}
