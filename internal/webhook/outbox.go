package webhook

import (
	"sync"
	"time"
)

// doneLinger is how long what was delivered may wait to be stored together with something
// else. A kill meanwhile has it sent again.
const doneLinger = 100 * time.Millisecond

// outbox is what others want from the writer.
type outbox struct {
	poke func()
	now  func() time.Time

	mu       sync.Mutex
	waiting  orders
	since    time.Time // when the first of waiting.done was delivered
	isClosed bool      // the writer is no more
}

// orders are carried out in one commit.
type orders struct {
	done    []uint64 // batches that were delivered
	dead    []Letter // batches that were given up
	rouse   []*queue // whose worker is to be started
	replays []*replay
}

func (o *orders) isEmpty() bool {
	return len(o.done)+len(o.dead)+len(o.rouse)+len(o.replays) == 0
}

func (o *outbox) add(fn func(*orders)) {
	o.mu.Lock()
	fn(&o.waiting)
	o.mu.Unlock()
	o.poke()
}

// done says that a batch was delivered.
func (o *outbox) done(number uint64) {
	now := o.now()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waiting.done) == 0 {
		o.since = now
		o.poke() // the writer has to set its timer
	}
	o.waiting.done = append(o.waiting.done, number)
}

// bury says that batches were given up.
func (o *outbox) bury(letters ...Letter) {
	o.add(func(w *orders) { w.dead = append(w.dead, letters...) })
}

// rouse has the worker of q started.
func (o *outbox) rouse(q *queue) {
	o.add(func(w *orders) { w.rouse = append(w.rouse, q) })
}

// ask hands a replay to the writer; false when there is none any more.
func (o *outbox) ask(r *replay) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.isClosed {
		return false
	}
	o.waiting.replays = append(o.waiting.replays, r)
	o.poke()
	return true
}

// take takes all that waits. What was delivered stays if nothing else asks for a commit and it
// has not waited for long, unless isUrgent.
func (o *outbox) take(isUrgent bool) orders {
	now := o.now()
	o.mu.Lock()
	defer o.mu.Unlock()
	w := o.waiting
	o.waiting = orders{}
	if len(w.dead)+len(w.replays) == 0 && !isUrgent && now.Sub(o.since) < doneLinger {
		o.waiting.done, w.done = w.done, nil
	}
	return w
}

// wait is how long until what was delivered has waited for long.
func (o *outbox) wait() time.Duration {
	now := o.now()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waiting.done) == 0 {
		return idleWait
	}
	return max(0, o.since.Add(doneLinger).Sub(now))
}

func (o *outbox) isEmpty() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.waiting.isEmpty()
}

// close returns what will not be carried out.
func (o *outbox) close() orders {
	o.mu.Lock()
	o.isClosed = true
	o.mu.Unlock()
	return o.take(true)
}
