package outbox

import (
	"sync"
	"time"

	"github.com/millrace/millrace/internal/webhook"
	"github.com/millrace/millrace/internal/webhook/delivery"
)

const (
	// doneLinger is how long what was delivered may wait to be stored together with something
	// else. After a kill in that time it is sent again.
	doneLinger = 100 * time.Millisecond
	// idleWait is how long the writer waits that will be woken.
	idleWait = time.Hour
)

var _ delivery.Outcomes = (*inbox)(nil)

// inbox is what workers and callers want from the writer.
type inbox struct {
	wake func()
	now  func() time.Time

	mu       sync.Mutex
	waiting  orders
	since    time.Time // when the first of waiting.done was delivered
	isClosed bool      // the writer has ended
}

// orders are carried out in one commit.
type orders struct {
	done    []uint64          // batches that were delivered
	dead    []webhook.Letter  // batches that were given up
	start   []*delivery.Queue // whose worker is to be started
	replays []*replay
}

func (o *orders) isEmpty() bool {
	return len(o.done)+len(o.dead)+len(o.start)+len(o.replays) == 0
}

func (in *inbox) add(fn func(*orders)) {
	in.mu.Lock()
	fn(&in.waiting)
	in.mu.Unlock()
	in.wake()
}

// Done implements delivery.Outcomes. The writer stores it with something else, or in a moment.
func (in *inbox) Done(number uint64) {
	now := in.now()
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.waiting.done) == 0 {
		in.since = now
		in.wake() // the writer has to set its timer
	}
	in.waiting.done = append(in.waiting.done, number)
}

// Dead implements delivery.Outcomes.
func (in *inbox) Dead(letters ...webhook.Letter) {
	in.add(func(w *orders) { w.dead = append(w.dead, letters...) })
}

// Idle implements delivery.Outcomes.
func (in *inbox) Idle() { in.wake() }

// start has the worker of q started.
func (in *inbox) start(q *delivery.Queue) {
	in.add(func(w *orders) { w.start = append(w.start, q) })
}

// ask hands a replay to the writer; false when the writer has ended.
func (in *inbox) ask(r *replay) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.isClosed {
		return false
	}
	in.waiting.replays = append(in.waiting.replays, r)
	in.wake()
	return true
}

// take takes all that waits. What was delivered stays if nothing else asks for a commit and it
// has not waited for doneLinger, unless isUrgent.
func (in *inbox) take(isUrgent bool) orders {
	now := in.now()
	in.mu.Lock()
	defer in.mu.Unlock()
	w := in.waiting
	in.waiting = orders{}
	if len(w.dead)+len(w.replays) == 0 && !isUrgent && now.Sub(in.since) < doneLinger {
		in.waiting.done, w.done = w.done, nil
	}
	return w
}

// wait is how long until what was delivered has waited long enough.
func (in *inbox) wait() time.Duration {
	now := in.now()
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.waiting.done) == 0 {
		return idleWait
	}
	return max(0, in.since.Add(doneLinger).Sub(now))
}

func (in *inbox) isEmpty() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.waiting.isEmpty()
}

// close returns what will not be carried out.
func (in *inbox) close() orders {
	in.mu.Lock()
	in.isClosed = true
	in.mu.Unlock()
	return in.take(true)
}
