package outbox

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/webhook"
	"github.com/millrace/millrace/internal/webhook/delivery"
)

const (
	// storeRetry is the wait after a commit that failed.
	storeRetry = time.Second
	// lastWords is how long the end of Run tries to store what is left.
	lastWords = 5 * time.Second
	// maxSpare is how much room a slice has at most that is kept to be filled again.
	maxSpare = 4096
)

var (
	_ commit.Committer[webhook.Event] = (*writer)(nil)
	_ commit.Scheduler                = (*writer)(nil)
)

// writer decides what is stored, in which order, and hands on what is. Load fills it, then the
// goroutine that calls Run owns it.
type writer struct {
	*Outbox
	letters  index
	text     []byte
	adrift   time.Time // when what waits for endpoints that were not set is given up
	recovery recovery

	isEnding bool // no worker is started any more

	// Of the commit.
	commit    webhook.Commit
	isStaged  bool // it could not be stored yet
	touched   []touched
	told      map[webhook.Subject]bool
	sequences map[string]uint64
	changes   []change
	orders    orders
}

// touched is a batch of which the commit has a part.
type touched struct {
	queue *delivery.Queue
	batch *delivery.Batch
}

// Prepare makes events of what has become due. It implements commit.Scheduler.
func (w *writer) Prepare() {
	if now := w.o.Now(); !w.adrift.IsZero() && !now.Before(w.adrift) {
		w.adrift = time.Time{}
		w.abandon(now)
	}
	w.tracker.Expire()
	w.recovery.advance()
}

// Store stages the events with all else that waits, and stores it. It implements commit.Committer.
func (w *writer) Store(ctx context.Context, events []webhook.Event) error {
	if !w.isStaged {
		w.stage(events)
	}
	return w.save(ctx)
}

// Refuse keeps what is staged for another try. It implements commit.Committer.
func (w *writer) Refuse([]webhook.Event, error) time.Duration { return storeRetry }

// Install hands on what is stored. ctx ends the workers that it starts. It implements
// commit.Committer.
func (w *writer) Install(ctx context.Context, _ []webhook.Event) {
	if w.isEnding {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		cancel()
	}
	w.recovery.conclude()
	w.online.apply(w.changes) // before it is sent, so that no receiver knows more than the snapshot
	for _, t := range w.touched {
		t.queue.Stored(ctx, t.batch)
	}
	for _, q := range w.orders.start {
		q.Start(ctx)
	}
	for _, r := range w.orders.replays {
		r.answer <- answer{r.count, r.err}
	}
	w.reset()
}

// Next says when the writer has to be called again, and whether it goes on. It implements
// commit.Scheduler.
func (w *writer) Next() (wait time.Duration, goesOn bool) {
	wait = min(w.tracker.Wait(), w.inbox.wait())
	if !w.adrift.IsZero() {
		wait = min(wait, max(0, w.adrift.Sub(w.o.Now())))
	}
	if w.isHalted.Load() && !w.isEnding {
		return wait, false
	}
	return wait, !w.isDrained()
}

func (w *writer) isDrained() bool {
	// In this order: a worker tells its outcomes before it ends.
	return w.sender.IsDraining() && w.sender.IsIdle() && !w.isStaged && w.inbox.isEmpty() && w.tracker.IsEmpty()
}

// finish stores what is left when no worker runs any more, unless the writer has failed with err.
func (w *writer) finish(ctx context.Context, err error) error {
	ctx, cancel := context.WithTimeout(ctx, lastWords)
	defer cancel()
	w.isEnding = true
	if err == nil {
		err = w.events.Finish(ctx, w)
	}
	for _, r := range append(w.orders.replays, w.inbox.close().replays...) {
		r.answer <- answer{err: webhook.ErrClosed}
	}
	if err != nil {
		return fmt.Errorf("webhook: not stored: %d parts of batches and what came after them: %w", len(w.commit.Parts), err)
	}
	return nil
}

// emptied is the room of a slice, without what was in it.
func emptied[T any](s []T) []T {
	if cap(s) > maxSpare {
		return nil
	}
	clear(s)
	return s[:0]
}

// reset keeps the room of the commit, but not what is in it.
func (w *writer) reset() {
	c := &w.commit
	*c = webhook.Commit{
		Parts: emptied(c.Parts), Done: emptied(c.Done), Dead: emptied(c.Dead),
		Forget: emptied(c.Forget), Told: emptied(c.Told), Sequences: emptied(c.Sequences),
	}
	clear(w.told)
	clear(w.sequences)
	w.isStaged, w.touched, w.changes, w.orders = false, emptied(w.touched), emptied(w.changes), orders{}
}

// save makes the commit durable, if there is one.
func (w *writer) save(ctx context.Context) error {
	if w.commit.IsEmpty() {
		return nil
	}
	start := time.Now()
	err := w.store.CommitWebhooks(ctx, &w.commit)
	if w.isStaged = err != nil; w.isStaged {
		w.o.Metrics.storeFailures.Inc()
		if !w.isFailing.Swap(true) {
			w.o.Log.Error("webhooks cannot be stored, trying again; none are sent until they are", "err", err)
		}
		return err
	}
	if w.isFailing.Swap(false) {
		w.o.Log.Info("webhooks are stored again")
	}
	w.o.Metrics.commits.Observe(time.Since(start).Seconds())
	return nil
}
