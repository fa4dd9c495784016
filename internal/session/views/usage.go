package views

import (
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/millrace/millrace/internal/locks"
	"github.com/millrace/millrace/internal/meter"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/view"
)

// flushInterval is how long live frames are added up before they are metered (views
// 7.1).
const flushInterval = time.Second

// usage is what metering keeps of a connection.
type usage struct {
	client string    // id in usage events; immutable
	opened time.Time // immutable

	// isDue says that live frames wait to be metered and that the timer is set for them.
	isDue atomic.Bool

	mu        locks.Mutex
	making    creation       // guarded by mu
	caughtUps map[string]sum // changes sent to this connection alone, by view; guarded by mu
}

// creation is how far the metering of a subscription that is being made has come.
type creation uint8

const (
	creationNone    creation = iota
	creationPending          // nothing of it was sent
	creationMetered
)

// sum of frames of data.
type sum struct{ frames, bytes int }

func newUsage(now time.Time) *usage { return &usage{client: uuid.NewString(), opened: now} }

// identity is the subject that the connection is metered for: always the present principal.
func (o *outlet) identity() meter.Identity {
	p := o.grant.Load().principal
	return meter.Identity{
		ClientID: o.usage.client, DeploymentID: p.DeploymentID, MeteringKey: p.MeteringKey, Subject: p.Subject,
	}
}

func (o *outlet) established(c *view.Connection, remoteAddr string) {
	if o.usage != nil {
		c.Meter()
		o.o.Meter.ConnectionEstablished(o.identity(), remoteAddr, o.grant.Load().principal.KeyClass)
	}
}

// note says that live frames are being sent, so that they will be metered soon. The turn
// sets the timer first and looks at isDue then, so whichever comes last sets it right.
func (o *outlet) note() {
	u := o.usage
	if u == nil || u.isDue.Load() || u.isDue.Swap(true) {
		return
	}
	wait := flushInterval
	if e := o.grant.Load().principal.Expires; !e.IsZero() {
		wait = max(min(wait, e.Sub(o.group.Now())), 1)
	}
	o.conn.SetTimer(wait)
}

// replied meters a message of data to this connection alone.
func (o *outlet) replied(m *protocol.Message, bytes int) {
	u := o.usage
	if u == nil {
		return
	}
	id := o.identity()
	if m.Kind == protocol.MessageViewSnapshot {
		o.o.Meter.SnapshotSent(id, m.View.View, len(m.View.Rows), bytes)
		return
	}
	u.mu.Lock()
	isFirst := u.making == creationPending
	if isFirst {
		u.making = creationMetered
	}
	u.mu.Unlock()
	if isFirst {
		o.o.Meter.SubscriptionCreated(id, m.View.View)
	}
	o.o.Meter.UpdateSent(id, m.View.View, 1, bytes)
}

// caughtUp counts a change that was sent to this connection alone.
func (o *outlet) caughtUp(p *protocol.Publication, bytes int) {
	u := o.usage
	if u == nil || p.Change == nil {
		return
	}
	u.mu.Lock()
	if u.caughtUps == nil {
		u.caughtUps = make(map[string]sum, 1)
	}
	s := u.caughtUps[p.Change.View]
	u.caughtUps[p.Change.View] = sum{s.frames + 1, s.bytes + bytes}
	u.mu.Unlock()
	o.note()
}

// subscribing comes before the view engine is asked for a subscription. The event goes out
// with its first frame, ahead of everything that is sent for it. It reports whether there
// was one already, which is what subscribed must be told.
func (o *outlet) subscribing(c *view.Connection, r *protocol.ViewRequest) (had bool) {
	u := o.usage
	if u == nil {
		return false
	}
	if had = c.Has(r.View, r.Key); !had {
		u.mu.Lock()
		u.making = creationPending
		u.mu.Unlock()
	}
	return had
}

// subscribed comes after the view engine has answered.
func (o *outlet) subscribed(c *view.Connection, r *protocol.ViewRequest, had bool) {
	u := o.usage
	if u == nil {
		return
	}
	u.mu.Lock()
	isMetered := had || u.making == creationMetered
	u.making = creationNone
	u.mu.Unlock()
	has := c.Has(r.View, r.Key)
	if has && !isMetered { // nothing was sent for it
		isMetered = true
		o.o.Meter.SubscriptionCreated(o.identity(), r.View)
	}
	if isMetered && !has {
		o.unsubscribed(r.View)
	}
}

// unsubscribed meters the end of a subscription.
func (o *outlet) unsubscribed(name string) {
	if o.usage != nil {
		o.o.Meter.SubscriptionRemoved(o.identity(), name)
	}
}

// flush meters what was sent live since the last flush.
func (o *outlet) flush(c *view.Connection) {
	u := o.usage
	if u == nil || !u.isDue.Swap(false) {
		return
	}
	u.mu.Lock()
	sums := u.caughtUps
	u.caughtUps = nil
	u.mu.Unlock()
	c.Usage(func(name string, frames, bytes int) {
		if frames == 0 {
			return
		}
		if sums == nil {
			sums = make(map[string]sum, 1)
		}
		s := sums[name]
		sums[name] = sum{s.frames + frames, s.bytes + bytes}
	})
	id := o.identity()
	for name, s := range sums {
		o.o.Meter.UpdateSent(id, name, s.frames, s.bytes)
	}
}

// ending is what ended must be told: the views of the subscriptions that there are before the
// connection leaves them.
func (o *outlet) ending(c *view.Connection) (active []string) {
	if o.usage == nil {
		return nil
	}
	active = make([]string, 0, c.Subscriptions())
	for name := range c.Subscribed() {
		active = append(active, name)
	}
	return active
}

// ended meters the end of the connection, and of every subscription before that.
func (o *outlet) ended(c *view.Connection, active []string) {
	u := o.usage
	if u == nil {
		return
	}
	o.flush(c)
	id := o.identity()
	for _, name := range active {
		o.o.Meter.SubscriptionRemoved(id, name)
	}
	o.o.Meter.ConnectionClosed(id, o.group.Now().Sub(u.opened), len(active))
}
