package webhook

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// breakAfter is how many failures in a row open the breaker of an endpoint.
const breakAfter = 5

// queue is what waits in one lane of an endpoint, in order. The writer appends; the worker, a goroutine
// that exists while there is something to send, takes from the front.
type queue struct {
	*Engine
	app, id string
	lane    lane
	wake    chan struct{} // one slot: the worker has to look again

	mu        sync.Mutex
	settings  *settings
	batches   []*batch // all but the last are as good as closed: nothing is appended to them
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

func newQueue(e *Engine, app, id string, l lane) *queue {
	return &queue{Engine: e, app: app, id: id, lane: l, wake: make(chan struct{}, 1)}
}

func (q *queue) isBroken() bool { return q.failures >= breakAfter }

// rouse has the worker look again, if there is one.
func (q *queue) rouse() {
	select {
	case q.wake <- struct{}{}:
	default: // it has not yet seen the one before
	}
}

// set changes the settings. With another URL, what has failed is tried anew and at once.
func (q *queue) set(s *settings) {
	q.mu.Lock()
	if q.settings != nil && q.settings.url != s.url {
		q.mendLocked()
		if len(q.batches) > 0 {
			q.batches[0].attempts = 0
		}
	}
	q.settings = s
	q.mu.Unlock()
	q.rouse()
}

// mendLocked closes the breaker.
func (q *queue) mendLocked() {
	if q.isBroken() {
		q.o.Metrics.broken.Dec()
	}
	q.failures, q.lastError = 0, ""
}

// append adds an event to the last batch, or to a new one, and returns that. It is nil when
// the endpoint was removed. Only the writer calls it.
func (q *queue) append(w *writer, event []byte, at int64, now time.Time) *batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.isRetired {
		return nil
	}
	var b *batch
	if n := len(q.batches); n > 0 {
		b = q.batches[n-1]
	}
	if b == nil || b.isClosed {
		b = w.open(now)
		b.time = at
		q.batches = append(q.batches, b)
	}
	before := len(b.events)
	b.append(event, q.settings)
	q.countLocked(1, len(b.events)-before)
	return b
}

// put adds a whole batch behind all others; false when the endpoint was removed.
func (q *queue) put(b *batch) bool {
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

func (q *queue) countLocked(events, bytes int) {
	q.events += events
	q.bytes += bytes
	q.pending.Add(int64(bytes))
	q.o.Metrics.pending.Add(float64(events))
}

// dropLocked takes out the first batch.
func (q *queue) dropLocked() *batch {
	b := q.batches[0]
	q.batches[0] = nil
	q.batches = q.batches[1:]
	q.countLocked(-b.count, -len(b.events))
	return b
}

// stored notes that the store has all of b, and starts the worker.
func (q *queue) stored(ctx context.Context, b *batch) {
	q.mu.Lock()
	b.isStored = true
	q.mu.Unlock()
	q.start(ctx)
}

// start starts the worker if there is work and none. Only the writer calls it. ctx ends all
// workers.
func (q *queue) start(ctx context.Context) {
	q.mu.Lock()
	isDue := !q.isRunning && !q.isRetired && len(q.batches) > 0 && ctx.Err() == nil
	q.isRunning = q.isRunning || isDue
	q.mu.Unlock()
	if !isDue {
		q.rouse()
		return
	}
	q.running.Add(1)
	q.workers.Go(func() { // ends when nothing waits, or with ctx
		q.work(ctx)
		q.running.Add(-1)
		q.poke()
	})
}

// shed takes out the oldest batches until at most so many bytes are left. The first stays: it
// may be under way. So does the last, which may be open.
func (q *queue) shed(bytes int) []*batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	var gone []*batch
	for q.bytes > bytes && len(q.batches) > 2 {
		q.batches[0], q.batches[1] = q.batches[1], q.batches[0]
		gone = append(gone, q.dropLocked())
	}
	return gone
}

// retire removes the endpoint. What waits becomes dead letters; a request that is under way is
// given up.
func (q *queue) retire() {
	q.mu.Lock()
	q.isRetired = true
	if q.cancel != nil {
		q.cancel()
	}
	isRunning := q.isRunning
	q.mu.Unlock()
	if isRunning {
		q.rouse() // and the worker clears
	} else {
		q.clear()
	}
}

// clear makes dead letters of all that waits.
func (q *queue) clear() {
	q.mu.Lock()
	now, letters := q.o.Now(), make([]Letter, 0, len(q.batches))
	for len(q.batches) > 0 {
		letters = append(letters, q.dropLocked().letter(q.app, q.id, ReasonRemoved, q.lastError, now))
	}
	q.mendLocked()
	q.mu.Unlock()
	q.outbox.bury(letters...)
}

func (q *queue) size() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes
}

// hasRoom reports whether so many bytes more stay below the limit. An empty queue has room for
// anything.
func (q *queue) hasRoom(more, limit int) bool {
	size := q.size()
	return size == 0 || size+more <= limit
}
