package channel

import (
	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/keyed"
)

// maxLeaves is how many subscriptions of a connection the bus is told the end of at once.
const maxLeaves = 256

// Unsubscribe ends c's subscription to the channel, with every effect on the others. When it
// returns no further frame of the channel is queued to c. Without a subscription it does
// nothing at all (pusher 2.6).
func (e *Engine) Unsubscribe(c *Connection, name string) {
	if s := c.subs.Get(name); s != nil {
		e.drop(c, s)
	}
}

// drop ends a subscription, which always succeeds.
func (e *Engine) drop(c *Connection, s *subscription) {
	s.Close()
	e.bus.Leave(e.leave(c, s))
	c.subs.Remove(s)
}

// Leave ends all subscriptions and the sign-in of a connection that is gone, with every effect
// on the others, and detaches it from the hub. Idempotent. Subscribe and SignIn refuse c from
// then on.
func (e *Engine) Leave(c *Connection) {
	if c.hasLeft() {
		return
	}
	c.Detach()
	var ls []bus.Leave
	for s := range c.subs.All() {
		if ls = append(ls, e.leave(c, s)); len(ls) == maxLeaves {
			e.bus.Leave(ls...)
			ls = nil // the former ones are the bus's
		}
	}
	e.pasts.Delete(c)
	c.subs = keyed.Set[string, *subscription]{}
	e.bus.Leave(append(ls, e.signOut(c)...)...)
	c.replier = nil // no longer reached for, because c is in no list of users
}

// leave takes a subscription out of the table. The caller passes the result to the bus.
func (e *Engine) leave(c *Connection, s *subscription) bus.Leave {
	if s.channel.kind.HasMembers() {
		e.dropInfo(c, s.Note)
	}
	p, isLast := e.table.leave(s.channel, nil)
	e.metrics.subscriptions.Dec()
	if isLast {
		e.metrics.channels.Dec()
	}
	return bus.Leave{Topic: s.channel.topic, Part: p, Subscriber: c.ID()}
}
