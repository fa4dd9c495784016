package delivery

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/webhook"
)

// breakAfter is how many failures in a row open the breaker of an endpoint.
const breakAfter = 5

// Queue is what waits in one lane of an endpoint, in order. The writer appends; the worker, a
// goroutine that exists while there is something to send, takes from the front. Its methods are
// safe for concurrent use, except that the writer alone calls Append, Cut, Put, Stored and Start.
type Queue struct {
	sender  *Sender
	app, id string
	lane    webhook.Lane
	wake    chan struct{} // one slot: the worker has to look again

	mu        sync.Mutex
	settings  *Settings
	batches   []*Batch // all but the last are as good as closed: nothing is appended to them
	events    int      // in batches
	bytes     int      // in batches
	isRunning bool     // there is a worker
	isRetired bool     // the endpoint was removed
	cancel    context.CancelFunc

	// The breaker. It is open after breakAfter failures in a row. Then only one request is made
	// after each back-off, whichever batch it is for, and what has waited for as long as it
	// might have been retried is given up.
	failures  int
	retryAt   time.Time
	isSlow    bool   // the last request took long
	lastError string // of the last failure, until a success

	isReported atomic.Bool // the log says that the endpoint fails
}

func newQueue(s *Sender, app, id string, l webhook.Lane) *Queue {
	return &Queue{sender: s, app: app, id: id, lane: l, wake: make(chan struct{}, 1)}
}

func (q *Queue) isBroken() bool { return q.failures >= breakAfter }

// Rouse has the worker look again, if there is one.
func (q *Queue) Rouse() {
	select {
	case q.wake <- struct{}{}:
	default: // it has not yet seen the one before
	}
}

// set changes the settings. With another URL, what has failed is tried at once, as if for the
// first time.
func (q *Queue) set(s *Settings) {
	q.mu.Lock()
	if q.settings != nil && q.settings.url != s.url {
		q.mendLocked()
		if len(q.batches) > 0 {
			q.batches[0].attempts = 0
		}
	}
	q.settings = s
	q.mu.Unlock()
	q.Rouse()
}

// mendLocked closes the breaker.
func (q *Queue) mendLocked() {
	if q.isBroken() {
		q.sender.o.Metrics.broken.Dec()
	}
	q.failures, q.lastError = 0, ""
}

// Append adds an event to the last batch, or to a new one, and returns that. It is nil when the
// endpoint was removed. isFirst says that Cut has had everything before the event.
func (q *Queue) Append(event []byte, at int64, now time.Time) (b *Batch, isFirst bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.isRetired {
		return nil, false
	}
	if n := len(q.batches); n > 0 {
		b = q.batches[n-1]
	}
	if b == nil || b.isClosed {
		b = &Batch{number: q.sender.NextNumber(), delivery: NewID(), time: at, ready: now}
		q.batches = append(q.batches, b)
	}
	before := len(b.events)
	isFirst = b.counted == b.count
	b.append(event, q.settings)
	q.countLocked(1, len(b.events)-before)
	return b, isFirst
}

// Cut makes a part of what was added to a batch since the last part, for the store.
func (q *Queue) Cut(b *Batch) webhook.Part {
	p := webhook.Part{
		Batch: b.number, Index: b.parts, App: q.app, Endpoint: q.id,
		Delivery: b.delivery, Time: b.time, Count: b.count - b.counted, Events: b.events[b.from:len(b.events):len(b.events)],
	}
	if b.from > 0 {
		p.Events = p.Events[1:] // the comma
	}
	b.parts++
	b.from, b.counted = len(b.events), b.count
	return p
}

// Put adds a whole batch behind all others; false when the endpoint was removed.
func (q *Queue) Put(b *Batch) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.isRetired {
		return false
	}
	if n := len(q.batches); n > 0 {
		q.batches[n-1].isClosed = true
	}
	q.batches = append(q.batches, b)
	q.countLocked(b.count, len(b.events))
	return true
}

func (q *Queue) countLocked(events, bytes int) {
	q.events += events
	q.bytes += bytes
	q.sender.pending.Add(int64(bytes))
	q.sender.o.Metrics.pending.Add(float64(events))
}

// dropLocked takes out the first batch.
func (q *Queue) dropLocked() *Batch {
	b := q.batches[0]
	q.batches[0] = nil
	q.batches = q.batches[1:]
	q.countLocked(-b.count, -len(b.events))
	return b
}

// Stored notes that the store has all of b, and starts the worker as Start does.
func (q *Queue) Stored(ctx context.Context, b *Batch) {
	q.mu.Lock()
	b.isStored = true
	q.mu.Unlock()
	q.Start(ctx)
}

// Start starts the worker if there is work and no worker. ctx ends all workers.
func (q *Queue) Start(ctx context.Context) {
	q.mu.Lock()
	isDue := !q.isRunning && !q.isRetired && len(q.batches) > 0 && ctx.Err() == nil
	q.isRunning = q.isRunning || isDue
	q.mu.Unlock()
	if !isDue {
		q.Rouse()
		return
	}
	q.sender.running.Add(1)
	q.sender.workers.Go(func() { // ends when nothing waits, or with ctx
		q.work(ctx)
		q.sender.running.Add(-1)
		q.sender.to.Idle()
	})
}

// Shed gives up the oldest batches until at most so many bytes are left. The first stays: it may
// be under way. So does the last, which may be open.
func (q *Queue) Shed(bytes int, now time.Time) []webhook.Letter {
	q.mu.Lock()
	defer q.mu.Unlock()
	var gone []webhook.Letter
	for q.bytes > bytes && len(q.batches) > 2 {
		q.batches[0], q.batches[1] = q.batches[1], q.batches[0]
		gone = append(gone, q.letter(q.dropLocked(), webhook.ReasonOverflow, "", now))
	}
	return gone
}

// letter makes a dead letter of a batch.
func (q *Queue) letter(b *Batch, why webhook.Reason, detail string, now time.Time) webhook.Letter {
	return webhook.Letter{
		Number: b.number, App: q.app, Endpoint: q.id, Delivery: b.delivery, Time: b.time, Count: b.count,
		Events: b.events, Size: len(b.events), Reason: why, Detail: detail, Attempts: b.attempts, Died: now,
	}
}

// retire removes the endpoint. What waits becomes dead letters; a request that is under way is
// given up.
func (q *Queue) retire() {
	q.mu.Lock()
	q.isRetired = true
	if q.cancel != nil {
		q.cancel()
	}
	isRunning := q.isRunning
	q.mu.Unlock()
	if isRunning {
		q.Rouse() // and the worker clears
	} else {
		q.clear()
	}
}

// clear makes dead letters of all that waits.
func (q *Queue) clear() {
	q.mu.Lock()
	now, letters := q.sender.o.Now(), make([]webhook.Letter, 0, len(q.batches))
	for len(q.batches) > 0 {
		letters = append(letters, q.letter(q.dropLocked(), webhook.ReasonRemoved, q.lastError, now))
	}
	q.mendLocked()
	q.mu.Unlock()
	q.sender.to.Dead(letters...)
}

// Size is how many bytes of events wait.
func (q *Queue) Size() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes
}

// HasRoom reports whether so many bytes more stay below the limit. An empty queue has room for
// anything.
func (q *Queue) HasRoom(more, limit int) bool {
	size := q.Size()
	return size == 0 || size+more <= limit
}

func (q *Queue) status() webhook.Status {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := webhook.Status{
		Endpoint: q.id, Events: q.events, Bytes: q.bytes,
		Failures: q.failures, IsBroken: q.isBroken(), LastError: q.lastError,
	}
	if len(q.batches) > 0 {
		s.Oldest = time.UnixMilli(q.batches[0].time)
		s.RetryAt = q.batches[0].retryAt
		if s.RetryAt.IsZero() && q.isBroken() {
			s.RetryAt = q.retryAt
		}
	}
	return s
}
