package delivery

import (
	"time"

	"github.com/google/uuid"

	"github.com/millrace/millrace/internal/webhook"
)

// maxBatchBytes is how large the events of a batch get: receivers bound their bodies.
const maxBatchBytes = 512 << 10

// Batch is the events of one request. Its queue guards it. Only the writer changes events, under
// the queue's lock, and what is written stays as it is.
type Batch struct {
	number   uint64 // of its place in the order, and its id in the store
	delivery string // its id for receivers
	time     int64  // Unix milliseconds of the oldest event
	count    int
	events   []byte // JSON objects with commas between

	ready    time.Time // when it was opened, or loaded
	isClosed bool      // it takes no more events
	isStored bool      // the store has all of it

	attempts int
	first    time.Time // attempt
	retryAt  time.Time // not before, when it has been attempted

	// Owned by the writer.
	parts   int // that Cut has made
	from    int // where in events the next part begins
	counted int // events before from
}

// Whole makes a batch of a part that is all of it, with nothing in the store. ready is since when
// it waits.
func Whole(p *webhook.Part, ready time.Time) *Batch {
	return &Batch{
		number: p.Batch, delivery: p.Delivery, time: p.Time, count: p.Count, events: p.Events,
		ready: ready, isClosed: true,
	}
}

// Stored makes a batch of a part that is all of it, as it is in the store.
func Stored(p *webhook.Part, ready time.Time) *Batch {
	b := Whole(p, ready)
	b.isStored = true
	b.parts, b.from, b.counted = 1, len(b.events), b.count
	return b
}

// NewID makes a delivery id for receivers. The later ones sort behind the earlier ones.
func NewID() string {
	id, err := uuid.NewV7()
	if err != nil {
		id = uuid.New() // does not happen: the system's source of random numbers does not fail
	}
	return id.String()
}

func (b *Batch) append(event []byte, s *Settings) {
	if b.count > 0 {
		b.events = append(b.events, ',')
	}
	b.events = append(b.events, event...)
	b.count++
	b.isStored = false
	if b.count >= s.size || len(b.events) >= maxBatchBytes {
		b.isClosed = true
	}
}
