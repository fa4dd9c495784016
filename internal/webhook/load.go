package webhook

import (
	"context"
	"fmt"
	"time"
)

// Load takes up what a former process has left: pending batches go on, each for the endpoint
// that has its ID when the endpoints of its app are set, before or after; what is still without
// an endpoint after Options.StartGrace becomes dead letters. It comes before Run and before
// anything is told.
func (e *Engine) Load(ctx context.Context) error {
	e.configure.Lock()
	defer e.configure.Unlock()
	w, now := &e.writer, e.o.Now()
	err := e.store.LoadWebhooks(ctx, Loader{
		Part: func(p Part) error {
			e.loadPart(p, now)
			e.lastNumber.Store(max(e.lastNumber.Load(), p.Batch))
			return nil
		},
		Letter: func(l Letter) error {
			w.graves.add(&l)
			e.lastNumber.Store(max(e.lastNumber.Load(), l.Number))
			return nil
		},
		Subject: func(s Subject) error {
			e.intake.restore(s, e.o.StartGrace)
			if s.Kind == SubjectUser {
				e.online.restore(s.App, s.User, 0)
			}
			return nil
		},
		Sequence: func(s Sequence) error {
			e.intake.restoreSeq(s.App, s.Last)
			e.online.restore(s.App, "", s.Last)
			return nil
		},
	})
	if err != nil {
		return fmt.Errorf("webhook: load: %w", err)
	}
	w.graves.sort()
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
func (e *Engine) loadPart(p Part, now time.Time) {
	all := e.orphans[p.App]
	if n := len(all); n == 0 || all[n-1].number != p.Batch {
		all = append(all, orphan{endpoint: p.Endpoint, batch: &batch{
			number: p.Batch, delivery: p.Delivery, time: p.Time, ready: now, isClosed: true, isStored: true,
		}})
		e.orphans[p.App] = all
	}
	b := all[len(all)-1].batch
	if b.count > 0 {
		b.events = append(b.events, ',')
	}
	b.events = append(b.events, p.Events...)
	b.count += p.Count
}

// upgradePending brings what an earlier version has stored to the form and the lanes of today. An
// app with any such batch gets new numbers for all of its batches, which keeps their order.
func (e *Engine) upgradePending(ctx context.Context) error {
	var c Commit
	for app, old := range e.orphans {
		list, isChanged := e.upgradeOrphans(old)
		if isChanged {
			for i, o := range list {
				list[i].number = e.lastNumber.Add(1)
				c.Parts = append(c.Parts, o.part(app, o.endpoint))
			}
			for _, o := range old {
				c.Done = append(c.Done, o.number)
			}
		}
		e.orphans[app] = list
	}
	if c.isEmpty() {
		return nil
	}
	if err := e.store.CommitWebhooks(ctx, &c); err != nil {
		return fmt.Errorf("webhook: load: store what an earlier version has left: %w", err)
	}
	return nil
}

// upgradeOrphans makes batches of one lane each of the batches of one app. With isChanged they are
// new ones without numbers.
func (e *Engine) upgradeOrphans(old []orphan) (list []orphan, isChanged bool) {
	for _, o := range old {
		portions, isOld := upgrade(o.events, o.count)
		isChanged = isChanged || isOld
		delivery := o.delivery
		for i, p := range portions {
			if p.count == 0 {
				continue
			}
			b := *o.batch
			b.delivery, b.events, b.count = delivery, p.events, p.count
			list = append(list, orphan{o.endpoint, lane(i), &b})
			delivery = newDelivery() // of another lane, which is another request
		}
	}
	return list, isChanged
}

// abandon gives up what waits for endpoints that nobody has set.
func (e *Engine) abandon(now time.Time) {
	e.configure.Lock()
	defer e.configure.Unlock()
	for app, orphans := range e.orphans {
		for _, o := range orphans {
			e.outbox.bury(o.letter(app, o.endpoint, ReasonRemoved, "", now))
		}
		delete(e.orphans, app)
	}
}
