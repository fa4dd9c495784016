package outbox

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/webhook"
	"github.com/millrace/millrace/internal/webhook/delivery"
)

// Load takes up what a former process has left: pending batches go on, each for the endpoint
// that has its ID when the endpoints of its app are set, before or after; what is still without
// an endpoint after Options.StartGrace becomes dead letters. Subjects that were told present have
// until Options.StartGrace after the start of Run to come back. Load comes before Run and before
// anything is told.
func (e *Outbox) Load(ctx context.Context) error {
	e.configure.Lock()
	defer e.configure.Unlock()
	w, now := &e.writer, e.o.Now()
	err := e.store.LoadWebhooks(ctx, webhook.Loader{
		Part: func(p webhook.Part) error {
			e.loadPart(p, now)
			e.sender.GoOn(p.Batch)
			return nil
		},
		Letter: func(l webhook.Letter) error {
			w.letters.add(&l)
			e.sender.GoOn(l.Number)
			return nil
		},
		Subject: func(s webhook.Subject) error {
			e.tracker.Restore(s)
			if s.Kind == webhook.SubjectUser {
				e.online.restore(s.App, s.User, 0)
			}
			return nil
		},
		Sequence: func(s webhook.Sequence) error {
			e.tracker.RestoreSequence(s.App, s.Last)
			e.online.restore(s.App, "", s.Last)
			return nil
		},
	})
	if err != nil {
		return fmt.Errorf("webhook: load: %w", err)
	}
	w.letters.sort()
	w.recovery.load()
	if err := e.upgradePending(ctx); err != nil {
		return err
	}
	for app := range e.orphans {
		if r := e.routesOf(app); r != nil {
			e.adopt(app, r)
		}
	}
	if len(e.orphans) > 0 {
		w.adrift = now.Add(e.o.StartGrace)
	}
	return nil
}

// loadPart puts a part to its batch. Parts come by batch and index.
func (e *Outbox) loadPart(p webhook.Part, now time.Time) {
	all := e.orphans[p.App]
	if n := len(all); n > 0 && all[n-1].Batch == p.Batch {
		whole := &all[n-1]
		whole.Events = append(append(whole.Events, ','), p.Events...)
		whole.Count += p.Count
		return
	}
	p.Events = slices.Clip(p.Events) // or the next part would be appended to what is not ours
	e.orphans[p.App] = append(all, orphan{Part: p, loaded: now})
}

// upgradePending brings what an earlier version has stored to the form and the lanes of today. An
// app with any such batch gets new numbers for all of its batches, which keeps their order.
func (e *Outbox) upgradePending(ctx context.Context) error {
	var c webhook.Commit
	for app, old := range e.orphans {
		list, isChanged := upgradeOrphans(old)
		if isChanged {
			for i := range list {
				list[i].Batch = e.sender.NextNumber()
				c.Parts = append(c.Parts, list[i].Part)
			}
			for _, o := range old {
				c.Done = append(c.Done, o.Batch)
			}
		}
		e.orphans[app] = list
	}
	if c.IsEmpty() {
		return nil
	}
	if err := e.store.CommitWebhooks(ctx, &c); err != nil {
		return fmt.Errorf("webhook: load: store what an earlier version has left: %w", err)
	}
	return nil
}

// upgradeOrphans makes batches of one lane each of the batches of one app. With isChanged they are
// new ones without numbers of their own.
func upgradeOrphans(old []orphan) (list []orphan, isChanged bool) {
	for _, o := range old {
		portions, isOld := webhook.Upgrade(o.Events, o.Count)
		isChanged = isChanged || isOld
		for i, p := range portions {
			if p.Count == 0 {
				continue
			}
			o.Events, o.Count, o.Index, o.lane = p.Events, p.Count, 0, webhook.Lane(i)
			list = append(list, o)
			o.Delivery = delivery.NewID() // of another lane, which is another request
		}
	}
	return list, isChanged
}

// abandon gives up what waits for endpoints that were not set.
func (e *Outbox) abandon(now time.Time) {
	e.configure.Lock()
	defer e.configure.Unlock()
	for app, orphans := range e.orphans {
		for i := range orphans {
			e.inbox.Dead(orphans[i].letter(now))
		}
		delete(e.orphans, app)
	}
}
