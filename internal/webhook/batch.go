package webhook

import (
	"strconv"
	"time"
)

// maxBatchBytes is how large the events of a batch get: receivers bound their bodies.
const maxBatchBytes = 512 << 10

// batch is the events of one request. Its queue guards it; events are changed by the writer
// only, under the queue's lock, and what is written stays as it is.
type batch struct {
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
	isTouched bool // the next commit has a part of it
	parts     int  // in the store and in the next commit
	from      int  // where in events the next part begins
	counted   int  // events before from
}

func (b *batch) append(event []byte, s *settings) {
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

// staleAfter is how old the oldest event may be for time_ms to say when it happened. The official
// Python library takes a request only while time_ms is within five minutes of its own clock.
const staleAfter = 4 * time.Minute

// body is that of a request of the batch at the time of now. It stays the same until the batch is
// stale: from then on time_ms is the time of the request.
func (b *batch) body(now time.Time) []byte {
	at := b.time
	if ms := now.UnixMilli(); ms-at > staleAfter.Milliseconds() {
		at = ms
	}
	dst := make([]byte, 0, len(b.events)+48)
	dst = append(dst, `{"time_ms":`...)
	dst = strconv.AppendInt(dst, at, 10)
	dst = append(dst, `,"events":[`...)
	dst = append(dst, b.events...)
	return append(dst, "]}"...)
}

// part is the whole batch as the only part of it in the store.
func (b *batch) part(app, endpoint string) Part {
	return Part{
		Batch: b.number, App: app, Endpoint: endpoint, Delivery: b.delivery, Time: b.time, Count: b.count, Events: b.events,
	}
}

// letter is the batch as a dead letter.
func (b *batch) letter(app, endpoint string, why Reason, detail string, now time.Time) Letter {
	return Letter{
		Number: b.number, App: app, Endpoint: endpoint, Delivery: b.delivery, Time: b.time, Count: b.count,
		Events: b.events, Size: len(b.events), Reason: why, Detail: detail, Attempts: b.attempts, Died: now,
	}
}
