package outbox

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/webhook"
	"github.com/millrace/millrace/internal/webhook/delivery"
)

// routes are where the events of one app go. They are immutable.
type routes struct {
	kinds   webhook.Kinds // of all targets
	targets []target
}

type target struct {
	lanes  delivery.Lanes
	kinds  webhook.Kinds
	filter filter
}

// takes reports whether an event goes to the target.
func (t *target) takes(k webhook.Kind, channel string) bool {
	return t.kinds.Has(k) && (!k.HasChannel() || t.filter.passes(channel))
}

// tracks reports whether any target is told of the coming or the going of a subject.
func (r *routes) tracks(s *webhook.Subject) bool {
	coming, going := s.Kind.Event(true), s.Kind.Event(false)
	return slices.ContainsFunc(r.targets, func(t target) bool {
		return t.takes(coming, s.Channel) || t.takes(going, s.Channel)
	})
}

// takes reports whether an event goes to any target.
func (r *routes) takes(e *webhook.Event) bool {
	return r != nil && slices.ContainsFunc(r.targets, func(t target) bool { return t.takes(e.Kind, e.Channel) })
}

// hasRoom reports whether less than so many bytes wait for some target that is told of going, or
// there is none: a target that is slow or dead holds up no other.
func (r *routes) hasRoom(bytes int) bool {
	if r == nil {
		return true
	}
	isAsked := false
	for i := range r.targets {
		t := &r.targets[i]
		if !t.kinds.TellsGoing() {
			continue
		}
		if isAsked = true; t.lanes[webhook.LaneUsual].Size() < bytes {
			return true
		}
	}
	return !isAsked
}

// find finds the queues of an endpoint; nil means that there is no such endpoint.
func (r *routes) find(endpoint string) *delivery.Lanes {
	if r == nil {
		return nil
	}
	i := slices.IndexFunc(r.targets, func(t target) bool { return t.lanes.ID() == endpoint })
	if i < 0 {
		return nil
	}
	return &r.targets[i].lanes
}

// routesOf finds the routes of an app; nil means that it has no endpoints.
func (e *Outbox) routesOf(app string) *routes {
	if e == nil || !e.hasRoutes.Load() {
		return nil
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.routes[app]
}

// Wants reports whether any endpoint of the app is told of events of this kind. A caller that asks
// first need not put together what no endpoint wants; Tell asks, too.
func (e *Outbox) Wants(app string, k webhook.Kind) bool {
	r := e.routesOf(app)
	return r != nil && r.kinds.Has(k)
}

// SetEndpoints replaces the endpoints of an app; from then on its events go to these. What
// waits for an endpoint whose ID stays, stays and is sent as the new one says; what waits for
// another becomes dead letters. An error joins everything wrong, and changes nothing.
//
// Channels, members and users that are there already when the first endpoint asks for their
// kind are not known, and their going is not told, until they are told again: telling the
// engine of a subject that is there has no other effect. What another endpoint was told of already
// is not told to one that is added.
func (e *Outbox) SetEndpoints(app string, endpoints []webhook.Endpoint) error {
	if err := check(endpoints); err != nil {
		return err
	}
	e.configure.Lock()
	defer e.configure.Unlock()
	old, next := e.routesOf(app), &routes{}
	known := map[string]delivery.Lanes{}
	if old != nil {
		for _, t := range old.targets {
			known[t.lanes.ID()] = t.lanes
		}
	}
	for i := range endpoints {
		p := &endpoints[i]
		queues, isKnown := known[p.ID]
		delete(known, p.ID)
		if !isKnown {
			queues = e.sender.NewLanes(app, p.ID)
		}
		queues.Set(delivery.SettingsOf(p, e.o.defaults()))
		t := target{lanes: queues, filter: compile(p.Filter)}
		for _, name := range p.EventTypes {
			k, _ := webhook.ParseKind(name)
			t.kinds = t.kinds.With(k)
			next.kinds = next.kinds.With(k)
		}
		next.targets = append(next.targets, t)
	}
	e.adopt(app, next) // before anything new can come
	e.setRoutes(app, next)
	e.tracker.Want(app, next.kinds)
	for _, queues := range known {
		queues.Retire()
	}
	e.events.Wake()
	return nil
}

func (e *Outbox) setRoutes(app string, r *routes) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(r.targets) == 0 {
		delete(e.routes, app)
	} else {
		e.routes[app] = r
	}
	e.hasRoutes.Store(len(e.routes) > 0)
}

func check(endpoints []webhook.Endpoint) error {
	var errs []error
	seen := map[string]bool{}
	for i := range endpoints {
		p := &endpoints[i]
		for _, problem := range webhook.Validate(p) {
			errs = append(errs, fmt.Errorf("webhook %d (%q): %s: %s", i, p.ID, problem.Field, problem.Message))
		}
		if seen[p.ID] {
			errs = append(errs, fmt.Errorf("webhook %d (%q): ID: another webhook of the app has it", i, p.ID))
		}
		seen[p.ID] = true
	}
	return errors.Join(errs...)
}

// orphan is a loaded batch whose endpoint has not been set yet.
type orphan struct {
	webhook.Part // all of the batch
	lane         webhook.Lane
	loaded       time.Time
}

// adopt gives the new endpoints of an app what a former process has left for them, and calls
// the rest dead.
func (e *Outbox) adopt(app string, r *routes) {
	orphans := e.orphans[app]
	delete(e.orphans, app)
	for i := range orphans {
		o := &orphans[i]
		queues := r.find(o.Endpoint)
		if queues == nil {
			e.inbox.Dead(o.letter(e.o.Now()))
			continue
		}
		q := queues[o.lane]
		q.Put(delivery.Stored(&o.Part, o.loaded))
		e.inbox.start(q)
	}
}

// letter makes a dead letter of an orphan.
func (o *orphan) letter(now time.Time) webhook.Letter {
	return webhook.Letter{
		Number: o.Batch, App: o.App, Endpoint: o.Endpoint, Delivery: o.Delivery, Time: o.Time, Count: o.Count,
		Events: o.Events, Size: len(o.Events), Reason: webhook.ReasonRemoved, Died: now,
	}
}
