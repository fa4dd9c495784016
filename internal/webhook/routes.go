package webhook

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// routes are where the events of one app go. They are immutable.
type routes struct {
	kinds   kindSet // of all targets
	targets []target
}

type target struct {
	lanes  lanes
	kinds  kindSet
	filter filter
}

// takes reports whether an event goes to the target.
func (t *target) takes(k Kind, channel string) bool {
	return t.kinds.has(k) && (!k.hasChannel() || t.filter.passes(channel))
}

// tracks reports whether any target is told of the coming or the going of a subject.
func (r *routes) tracks(s *Subject) bool {
	coming, going := s.Kind.kind(true), s.Kind.kind(false)
	return slices.ContainsFunc(r.targets, func(t target) bool {
		return t.takes(coming, s.Channel) || t.takes(going, s.Channel)
	})
}

// find is nil for an endpoint that there is not.
func (r *routes) find(endpoint string) *lanes {
	if r == nil {
		return nil
	}
	i := slices.IndexFunc(r.targets, func(t target) bool { return t.lanes.id() == endpoint })
	if i < 0 {
		return nil
	}
	return &r.targets[i].lanes
}

// routesOf is nil for an app without endpoints.
func (e *Engine) routesOf(app string) *routes {
	if e == nil || !e.hasRoutes.Load() {
		return nil
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.routes[app]
}

// Wants reports whether any endpoint of the app is told of events of this kind. Nobody has to
// ask before telling the engine; asking saves putting together what to tell.
func (e *Engine) Wants(app string, k Kind) bool {
	r := e.routesOf(app)
	return r != nil && r.kinds.has(k)
}

// SetEndpoints replaces the endpoints of an app; from then on its events go to these. What
// waits for an endpoint whose ID stays, stays and is sent as the new one says; what waits for
// another becomes dead letters. An error joins everything wrong, and changes nothing.
//
// Channels, members and users that are there already when the first endpoint asks for their
// kind are not known, and their going is not told, until they are told again: telling the
// engine of somebody who is there has no other effect. What another endpoint was told of already
// is not told to one that is added.
func (e *Engine) SetEndpoints(app string, endpoints []Endpoint) error {
	if err := check(endpoints); err != nil {
		return err
	}
	e.configure.Lock()
	defer e.configure.Unlock()
	old, next := e.routesOf(app), &routes{}
	known := map[string]lanes{}
	if old != nil {
		for _, t := range old.targets {
			known[t.lanes.id()] = t.lanes
		}
	}
	for i := range endpoints {
		p := &endpoints[i]
		queues, isKnown := known[p.ID]
		delete(known, p.ID)
		if !isKnown {
			queues = newLanes(e, app, p.ID)
		}
		queues.set(settingsOf(p, &e.o))
		t := target{lanes: queues, filter: compile(p.Filter)}
		for _, name := range p.EventTypes {
			k, _ := ParseKind(name)
			t.kinds = t.kinds.with(k)
			next.kinds = next.kinds.with(k)
		}
		next.targets = append(next.targets, t)
	}
	e.adopt(app, next) // before anything new can come
	e.setRoutes(app, next)
	e.intake.want(app, next.kinds)
	for _, queues := range known {
		queues.retire()
	}
	e.poke()
	return nil
}

func (e *Engine) setRoutes(app string, r *routes) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(r.targets) == 0 {
		delete(e.routes, app)
	} else {
		e.routes[app] = r
	}
	e.hasRoutes.Store(len(e.routes) > 0)
}

func check(endpoints []Endpoint) error {
	var errs []error
	seen := map[string]bool{}
	for i := range endpoints {
		p := &endpoints[i]
		for _, problem := range Validate(p) {
			errs = append(errs, fmt.Errorf("webhook %d (%q): %s: %s", i, p.ID, problem.Field, problem.Message))
		}
		if seen[p.ID] {
			errs = append(errs, fmt.Errorf("webhook %d (%q): ID: another webhook of the app has it", i, p.ID))
		}
		seen[p.ID] = true
	}
	return errors.Join(errs...)
}

// adopt gives the new endpoints of an app what a former process has left for them, and calls
// the rest dead.
func (e *Engine) adopt(app string, r *routes) {
	orphans := e.orphans[app]
	delete(e.orphans, app)
	for _, o := range orphans {
		queues := r.find(o.endpoint)
		if queues == nil {
			e.outbox.bury(o.letter(app, o.endpoint, ReasonRemoved, "", e.o.Now()))
			continue
		}
		q := queues[o.lane]
		q.put(o.batch)
		e.outbox.rouse(q)
	}
}

// orphan is a loaded batch whose endpoint has not been set yet.
type orphan struct {
	endpoint string
	lane     lane
	*batch
}

const userPrefix = "#server-to-user-"

// isUserChannel reports whether a channel is one of those that produce no webhooks
// (pusher-protocol 6.1).
func isUserChannel(channel string) bool { return strings.HasPrefix(channel, userPrefix) }

// userChannel is the channel of a user.
func userChannel(user string) string { return userPrefix + user }
