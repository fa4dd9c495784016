package owner

import (
	"time"

	"github.com/millrace/millrace/internal/entity"
)

type receiptID struct{ app, key string }

// receipts remembers batches by their idempotency keys for as long as they may be repeated,
// and no more of them than max. The applier owns it.
type receipts struct {
	max   int
	byID  map[receiptID]noted
	queue []Receipt // in the order in which they expire; the first gone are empty
	gone  int       // of queue
}

type noted struct {
	seq     entity.Seq
	expires time.Time
	group   uint64 // in which it was put
}

// find returns what is known of a batch at a time.
func (r *receipts) find(id receiptID, now time.Time) (noted, bool) {
	n, ok := r.byID[id]
	return n, ok && n.expires.After(now)
}

func (r *receipts) put(x Receipt, group uint64) {
	r.byID[receiptID{x.App, x.Key}] = noted{x.Seq, x.Expires, group}
	r.queue = append(r.queue, x)
}

// latest are the last n.
func (r *receipts) latest(n int) []Receipt { return r.queue[len(r.queue)-n:] }

// takeBack removes the last n, and what they have replaced, which had expired.
func (r *receipts) takeBack(n int) {
	from := len(r.queue) - n
	for i := range r.queue[from:] {
		r.forget(&r.queue[from+i])
	}
	clear(r.queue[from:])
	r.queue = r.queue[:from]
}

// shrink forgets those that have expired, and the oldest beyond max.
func (r *receipts) shrink(now time.Time) {
	for r.gone < len(r.queue) && (len(r.byID) > r.max || !r.queue[r.gone].Expires.After(now)) {
		r.forget(&r.queue[r.gone])
		r.queue[r.gone] = Receipt{}
		r.gone++
	}
	if r.gone > len(r.queue)/2 {
		n := copy(r.queue, r.queue[r.gone:])
		clear(r.queue[n:])
		r.queue, r.gone = r.queue[:n], 0
	}
}

// forget removes x unless a later one has taken its place.
func (r *receipts) forget(x *Receipt) {
	id := receiptID{x.App, x.Key}
	if n, ok := r.byID[id]; ok && n.expires.Equal(x.Expires) && n.seq == x.Seq {
		delete(r.byID, id)
	}
}
