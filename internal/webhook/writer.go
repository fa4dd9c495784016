package webhook

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/google/uuid"

	"github.com/millrace/millrace/internal/commit"
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
	_ commit.Committer[event] = (*writer)(nil)
	_ commit.Scheduler        = (*writer)(nil)
)

// writer decides what is stored, in which order, and hands on what is. Load fills it, then the
// goroutine that calls Run owns it.
type writer struct {
	*Engine
	graves graveyard
	due    []*subject
	text   []byte
	adrift time.Time // when what waits for endpoints that nobody sets is given up

	isEnding bool // no worker is started any more

	// Of the commit.
	commit    Commit
	isStaged  bool // it could not be stored yet
	touched   []touched
	told      map[Subject]bool
	sequences map[string]uint64
	changes   []change
	orders    orders
}

type touched struct {
	queue *queue
	batch *batch
}

// Prepare makes events of what has become due. It implements commit.Scheduler.
func (w *writer) Prepare() {
	if now := w.o.Now(); !w.adrift.IsZero() && !now.Before(w.adrift) {
		w.adrift = time.Time{}
		w.abandon(now)
	}
	w.due = w.intake.expire(w.due)
}

// Store stages the events with all else that waits, and stores it. It implements commit.Committer.
func (w *writer) Store(ctx context.Context, events []event) error {
	if !w.isStaged {
		w.stage(events)
	}
	return w.save(ctx)
}

// Refuse keeps what is staged for another try. It implements commit.Committer.
func (w *writer) Refuse([]event, error) time.Duration { return storeRetry }

// Install hands on what is stored. ctx ends the workers that it starts. It implements
// commit.Committer.
func (w *writer) Install(ctx context.Context, _ []event) {
	if w.isEnding {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		cancel()
	}
	w.online.apply(w.changes) // before it is sent, so that no receiver knows more than the snapshot
	for _, t := range w.touched {
		t.queue.stored(ctx, t.batch)
	}
	for _, q := range w.orders.rouse {
		q.start(ctx)
	}
	for _, r := range w.orders.replays {
		r.answer <- answer{r.count, r.err}
	}
	w.reset()
}

// Next implements commit.Scheduler.
func (w *writer) Next() (wait time.Duration, goesOn bool) {
	wait = min(w.intake.wait(), w.outbox.wait())
	if !w.adrift.IsZero() {
		wait = min(wait, max(0, w.adrift.Sub(w.o.Now())))
	}
	if w.isHalted.Load() && !w.isEnding {
		return wait, false
	}
	return wait, !w.isDrained()
}

func (w *writer) isDrained() bool {
	// Workers leave word before they end.
	return w.isDraining.Load() && w.running.Load() == 0 && !w.isStaged && w.outbox.isEmpty() && w.intake.isEmpty()
}

// finish stores what is left when no worker runs any more, unless the writer has failed with err.
func (w *writer) finish(ctx context.Context, err error) error {
	ctx, cancel := context.WithTimeout(ctx, lastWords)
	defer cancel()
	w.isEnding = true
	if err == nil {
		err = w.intake.queue.Finish(ctx, w)
	}
	for _, r := range append(w.orders.replays, w.outbox.close().replays...) {
		r.answer <- answer{err: ErrClosed}
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

func (w *writer) reset() {
	w.commit.reset()
	clear(w.told)
	clear(w.sequences)
	w.isStaged, w.touched, w.changes, w.orders = false, emptied(w.touched), emptied(w.changes), orders{}
}

// save makes the commit durable, if there is one.
func (w *writer) save(ctx context.Context) error {
	if w.commit.isEmpty() {
		return nil
	}
	start := time.Now()
	err := w.store.CommitWebhooks(ctx, &w.commit)
	if w.isStaged = err != nil; w.isStaged {
		w.o.Metrics.storeFailures.Inc()
		if !w.isFailing.Swap(true) {
			w.o.Log.Error("webhooks cannot be stored, trying again; none are sent meanwhile", "err", err)
		}
		return err
	}
	if w.isFailing.Swap(false) {
		w.o.Log.Info("webhooks are stored again")
	}
	w.o.Metrics.commits.Observe(time.Since(start).Seconds())
	return nil
}

// stage puts everything that waits into the commit.
func (w *writer) stage(events []event) {
	now := w.o.Now()
	w.intake.taken()
	w.orders = w.outbox.take(w.isDraining.Load() || len(events) > 0 || !w.intake.isEmpty())
	w.commit.Done = append(w.commit.Done, w.orders.done...)
	w.bury(w.orders.dead)
	w.stageEvents(events, now)
	w.stageParts()
	for _, r := range w.orders.replays {
		w.stageReplay(r, now)
	}
	w.shed(now)
	w.commit.Forget = w.graves.evict(now, w.commit.Forget)
	for s, isPresent := range w.told {
		w.commit.Told = append(w.commit.Told, Told{s, isPresent})
	}
	for app, last := range w.sequences {
		w.commit.Sequences = append(w.commit.Sequences, Sequence{app, last})
	}
}

func (w *writer) stageEvents(events []event, now time.Time) {
	app, routes := "", (*routes)(nil)
	for i := range events {
		e := &events[i]
		w.o.Metrics.events.WithLabelValues(e.kind.String()).Inc()
		if i == 0 || e.app != app {
			app, routes = e.app, w.routesOf(e.app)
		}
		w.note(e)
		if routes != nil {
			w.stageEvent(e, routes, now)
		}
	}
}

// note takes down what receivers are going to have been told.
func (w *writer) note(e *event) {
	kind, ok := e.kind.subject()
	if !ok {
		return
	}
	w.told[Subject{App: e.app, Kind: kind, Channel: e.channel, User: e.user}] = e.kind.isPresence()
	if kind == SubjectUser {
		w.sequences[e.app] = e.number
		w.changes = append(w.changes, change{e.app, e.user, e.kind.isPresence(), e.number})
	}
}

//millrace:hot BenchmarkEndpoint
func (w *writer) stageEvent(e *event, r *routes, now time.Time) {
	w.text = w.text[:0]
	for i := range r.targets {
		t := &r.targets[i]
		if !t.takes(e.kind, e.channel) {
			continue
		}
		if len(w.text) == 0 {
			w.text = e.appendJSON(w.text)
		}
		q := t.lanes[laneOf(e.channel)]
		b := q.append(w, w.text, e.time, now)
		if b != nil && !b.isTouched {
			b.isTouched = true
			w.touched = append(w.touched, touched{q, b})
		}
	}
}

// open begins a batch.
func (w *writer) open(now time.Time) *batch {
	return &batch{number: w.lastNumber.Add(1), delivery: newDelivery(), ready: now}
}

// newDelivery is an id for receivers. The later ones sort behind the earlier ones.
func newDelivery() string {
	id, err := uuid.NewV7()
	if err != nil {
		id = uuid.New() // does not happen: the system's source of random numbers does not fail
	}
	return id.String()
}

// stageParts puts into the commit what was added to batches.
func (w *writer) stageParts() {
	for _, t := range w.touched {
		b := t.batch
		p := Part{
			Batch: b.number, Index: b.parts, App: t.queue.app, Endpoint: t.queue.id,
			Delivery: b.delivery, Time: b.time, Count: b.count - b.counted, Events: b.events[b.from:len(b.events):len(b.events)],
		}
		if b.from > 0 {
			p.Events = p.Events[1:] // the comma
		}
		b.parts++
		b.from, b.counted, b.isTouched = len(b.events), b.count, false
		w.commit.Parts = append(w.commit.Parts, p)
	}
}

// stageReplay makes pending batches of dead letters, or discards them.
func (w *writer) stageReplay(r *replay, now time.Time) {
	routes := w.routesOf(r.app)
	for i := range r.letters {
		l := &r.letters[i]
		if !w.graves.has(r.app, l.Number) {
			continue // somebody was faster
		}
		if !r.isDiscard && !w.stageLetter(r, l, routes, now) {
			continue
		}
		w.graves.remove(r.app, l.Number)
		w.commit.Forget = append(w.commit.Forget, l.Number)
		r.count++
	}
}

// stageLetter makes pending batches of one letter, one for each lane that has a part of it; false
// when it stays a letter.
func (w *writer) stageLetter(r *replay, l *Letter, routes *routes, now time.Time) bool {
	queues := routes.find(l.Endpoint)
	if queues == nil {
		r.err = fmt.Errorf("%w: %q", ErrNoEndpoint, l.Endpoint)
		return false
	}
	portions, _ := upgrade(l.Events, l.Count)
	for i, p := range portions {
		if p.count > 0 && !queues[i].hasRoom(len(p.events), w.o.MaxPending) {
			r.full[l.Endpoint] = true
		}
	}
	if r.full[l.Endpoint] {
		r.err = fmt.Errorf("%w: %q", ErrBacklog, l.Endpoint)
		return false
	}
	delivery := l.Delivery
	for i, p := range portions {
		if p.count == 0 {
			continue
		}
		b := w.open(now)
		b.delivery, b.time, b.count, b.events, b.isClosed = delivery, l.Time, p.count, p.events, true
		if !queues[i].put(b) {
			return false
		}
		delivery = newDelivery() // of another lane, which is another request
		// Its one part is put together here: stageParts has been.
		b.parts, b.from, b.counted = 1, len(b.events), b.count
		w.commit.Parts = append(w.commit.Parts, b.part(r.app, l.Endpoint))
		w.touched = append(w.touched, touched{queues[i], b})
	}
	return true
}

// shed makes dead letters of the oldest batches of what has grown too large.
func (w *writer) shed(now time.Time) {
	var letters []Letter
	shed := func(q *queue, bytes int) {
		for _, b := range q.shed(bytes) {
			letters = append(letters, b.letter(q.app, q.id, ReasonOverflow, "", now))
		}
	}
	for _, t := range w.touched {
		shed(t.queue, w.o.MaxPending)
	}
	for _, q := range w.orders.rouse {
		shed(q, w.o.MaxPending)
	}
	if w.pending.Load() > int64(w.o.MaxPendingTotal) {
		if q, bytes := w.largest(); q != nil {
			shed(q, bytes/2)
		}
	}
	w.bury(letters)
}

// largest is the queue in which the most waits.
func (w *writer) largest() (found *queue, bytes int) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	for r := range maps.Values(w.routes) {
		for i := range r.targets {
			for _, q := range r.targets[i].lanes {
				if n := q.size(); n > bytes {
					found, bytes = q, n
				}
			}
		}
	}
	return found, bytes
}

// bury puts dead letters into the commit, in place of their batches.
func (w *writer) bury(letters []Letter) {
	for i := 0; i < len(letters); {
		first, events := &letters[i], 0
		for ; i < len(letters) && letters[i].isLike(first); i++ {
			events += letters[i].Count
			w.graves.add(&letters[i])
			w.commit.Done = append(w.commit.Done, letters[i].Number)
		}
		w.o.Metrics.dead.WithLabelValues(string(first.Reason)).Add(float64(events))
		w.o.Log.Warn("webhook events given up, kept as dead letters",
			"app", first.App, "webhook", first.Endpoint, "reason", string(first.Reason), "err", first.Detail, "events", events)
	}
	w.commit.Dead = append(w.commit.Dead, letters...)
}

// isLike reports whether one line in the log tells of both.
func (l *Letter) isLike(o *Letter) bool {
	return l.App == o.App && l.Endpoint == o.Endpoint && l.Reason == o.Reason
}
