package outbox

import (
	"maps"
	"slices"
	"sync"
)

// change is one event of a user that is stored.
type change struct {
	app, user string
	isPresent bool
	seq       uint64
}

// online has the users of whom receivers have been told that they are online. The writer keeps it.
type online struct {
	mu   sync.Mutex
	apps map[string]*onlineApp
}

type onlineApp struct {
	users map[string]struct{}
	seq   uint64 // of the last change
}

func (o *online) apply(changes []change) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range changes {
		a := o.appLocked(c.app)
		a.seq = c.seq
		if c.isPresent {
			a.users[c.user] = struct{}{}
		} else {
			delete(a.users, c.user)
		}
	}
}

func (o *online) appLocked(app string) *onlineApp {
	a := o.apps[app]
	if a == nil {
		a = &onlineApp{users: map[string]struct{}{}}
		o.apps[app] = a
	}
	return a
}

// restore notes a user, or the last number, of a former process.
func (o *online) restore(app, user string, seq uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	a := o.appLocked(app)
	a.seq = max(a.seq, seq)
	if user != "" {
		a.users[user] = struct{}{}
	}
}

// Online lists the users of an app as a receiver has them after the event with number seq: those
// that were told online and not offline since, by name. A receiver that lost events takes the list
// as its state and goes on with the events whose numbers are greater.
//
// It is kept only while an endpoint of the app is told of users.
func (e *Outbox) Online(app string) (users []string, seq uint64) {
	if e == nil {
		return nil, 0
	}
	e.online.mu.Lock()
	if a := e.online.apps[app]; a != nil {
		users, seq = slices.AppendSeq(make([]string, 0, len(a.users)), maps.Keys(a.users)), a.seq
	}
	e.online.mu.Unlock()
	slices.Sort(users)
	return users, seq
}
