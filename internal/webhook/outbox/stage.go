package outbox

import (
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/webhook"
	"github.com/millrace/millrace/internal/webhook/delivery"
	"github.com/millrace/millrace/internal/webhook/presence"
)

// stage puts everything that waits into the commit.
func (w *writer) stage(events []webhook.Event) {
	now := w.o.Now()
	w.reportLost(w.tracker.Taken())
	w.orders = w.inbox.take(w.sender.IsDraining() || len(events) > 0 || !w.tracker.IsEmpty())
	w.commit.Done = append(w.commit.Done, w.orders.done...)
	w.bury(w.orders.dead)
	w.stageEvents(events, now)
	w.stageParts()
	for _, r := range w.orders.replays {
		w.stageReplay(r, now)
	}
	w.shed(now)
	w.commit.Forget = w.letters.evict(now, w.commit.Forget)
	for s, isPresent := range w.told {
		w.commit.Told = append(w.commit.Told, webhook.Told{Subject: s, IsPresent: isPresent})
	}
	for app, last := range w.sequences {
		w.commit.Sequences = append(w.commit.Sequences, webhook.Sequence{App: app, Last: last})
	}
}

func (w *writer) stageEvents(events []webhook.Event, now time.Time) {
	app, routes := "", (*routes)(nil)
	for i := range events {
		e := &events[i]
		w.o.Metrics.events.WithLabelValues(e.Kind.String()).Inc()
		if i == 0 || e.App != app {
			app, routes = e.App, w.routesOf(e.App)
		}
		w.note(e)
		w.recovery.note(e, routes)
		if routes != nil {
			w.stageEvent(e, routes, now)
		}
	}
}

// note takes down what receivers are going to have been told.
func (w *writer) note(e *webhook.Event) {
	kind, ok := e.Kind.Subject()
	if !ok {
		return
	}
	w.told[webhook.Subject{App: e.App, Kind: kind, Channel: e.Channel, User: e.User}] = e.Kind.IsPresence()
	if kind == webhook.SubjectUser {
		w.sequences[e.App] = e.Number
		w.changes = append(w.changes, change{e.App, e.User, e.Kind.IsPresence(), e.Number})
	}
}

//millrace:hot BenchmarkEndpoint
func (w *writer) stageEvent(e *webhook.Event, r *routes, now time.Time) {
	w.text = w.text[:0]
	for i := range r.targets {
		t := &r.targets[i]
		if !t.takes(e.Kind, e.Channel) {
			continue
		}
		if len(w.text) == 0 {
			w.text = e.AppendJSON(w.text)
		}
		q := t.lanes[webhook.LaneOf(e.Channel)]
		if b, isFirst := q.Append(w.text, e.Time, now); isFirst {
			w.touched = append(w.touched, touched{q, b})
		}
	}
}

// stageParts puts into the commit what was added to batches.
func (w *writer) stageParts() {
	for _, t := range w.touched {
		w.commit.Parts = append(w.commit.Parts, t.queue.Cut(t.batch))
	}
}

// stageReplay makes pending batches of dead letters, or discards them.
func (w *writer) stageReplay(r *replay, now time.Time) {
	routes := w.routesOf(r.app)
	for i := range r.letters {
		l := &r.letters[i]
		if !w.letters.has(r.app, l.Number) {
			continue // another caller was faster
		}
		if !r.isDiscard && !w.stageLetter(r, l, routes, now) {
			continue
		}
		w.letters.remove(r.app, l.Number)
		w.commit.Forget = append(w.commit.Forget, l.Number)
		r.count++
	}
}

// stageLetter makes pending batches of one letter, one for each lane that has a part of it; false
// when it stays a letter.
func (w *writer) stageLetter(r *replay, l *webhook.Letter, routes *routes, now time.Time) bool {
	queues := routes.find(l.Endpoint)
	if queues == nil {
		r.err = fmt.Errorf("%w: %q", webhook.ErrNoEndpoint, l.Endpoint)
		return false
	}
	portions, _ := webhook.Upgrade(l.Events, l.Count)
	for i, p := range portions {
		if p.Count > 0 && !queues[i].HasRoom(len(p.Events), w.o.MaxPending) {
			r.full[l.Endpoint] = true
		}
	}
	if r.full[l.Endpoint] {
		r.err = fmt.Errorf("%w: %q", webhook.ErrBacklog, l.Endpoint)
		return false
	}
	id := l.Delivery
	for i, p := range portions {
		if p.Count == 0 {
			continue
		}
		b := delivery.Whole(&webhook.Part{
			Batch: w.sender.NextNumber(), Delivery: id, Time: l.Time, Count: p.Count, Events: p.Events,
		}, now)
		if !queues[i].Put(b) {
			return false
		}
		id = delivery.NewID()                                     // of another lane, which is another request
		w.commit.Parts = append(w.commit.Parts, queues[i].Cut(b)) // here: stageParts has been
		w.touched = append(w.touched, touched{queues[i], b})
	}
	return true
}

// reportLost logs what the tracker could not keep.
func (w *writer) reportLost(lost presence.Lost) {
	if lost.Events > 0 {
		w.o.Log.Error("webhook events dropped; they come faster than they can be stored", "events", lost.Events)
	}
	if lost.Subjects > 0 {
		w.o.Metrics.refused.Add(float64(lost.Subjects))
		w.o.Log.Error("webhooks of presence not sent; too much of it is tracked", "subjects", lost.Subjects, "limit", w.o.MaxSubjects)
	}
}

// shed makes dead letters of the oldest batches of what has grown too large.
func (w *writer) shed(now time.Time) {
	var gone []webhook.Letter
	for _, t := range w.touched {
		gone = append(gone, t.queue.Shed(w.o.MaxPending, now)...)
	}
	for _, q := range w.orders.start {
		gone = append(gone, q.Shed(w.o.MaxPending, now)...)
	}
	if w.sender.Pending() > int64(w.o.MaxPendingTotal) {
		if q, bytes := w.largest(); q != nil {
			gone = append(gone, q.Shed(bytes/2, now)...)
		}
	}
	w.bury(gone)
}

// largest finds the queue in which the most waits.
func (w *writer) largest() (found *delivery.Queue, bytes int) {
	w.each(func(q *delivery.Queue) {
		if n := q.Size(); n > bytes {
			found, bytes = q, n
		}
	})
	return found, bytes
}

// bury puts dead letters into the commit, in place of their batches.
func (w *writer) bury(letters []webhook.Letter) {
	for i := 0; i < len(letters); {
		first, events := &letters[i], 0
		for ; i < len(letters) && isLike(&letters[i], first); i++ {
			events += letters[i].Count
			w.letters.add(&letters[i])
			w.commit.Done = append(w.commit.Done, letters[i].Number)
		}
		w.o.Metrics.dead.WithLabelValues(string(first.Reason)).Add(float64(events))
		w.o.Log.Warn("webhook events given up, kept as dead letters",
			"app", first.App, "webhook", first.Endpoint, "reason", string(first.Reason), "err", first.Detail, "events", events)
	}
	w.commit.Dead = append(w.commit.Dead, letters...)
}

// isLike reports whether one line in the log tells of both letters.
func isLike(l, o *webhook.Letter) bool {
	return l.App == o.App && l.Endpoint == o.Endpoint && l.Reason == o.Reason
}
