package view

import (
	"iter"
	"slices"

	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/keyed"
	"github.com/millrace/millrace/internal/protocol"
)

// Replier sends to one connection and never blocks. What it is given belongs to others and is
// read during the call only.
type Replier interface {
	Reply(m *protocol.Message)
	ReplyPublication(p *protocol.Publication)
	// IsCongested reports whether so much waits, or was sent so fast, that no more snapshot
	// should be sent now; after true, Engine.Resume is called once it may. It is called with
	// the lock of a type held.
	IsCongested() bool
	// CloseSlow closes the connection with code 1013 and the reason "slow-consumer: resync":
	// what it missed can no longer be told. Called at most once.
	CloseSlow()
}

// Connection holds the subscriptions of one client connection. Its methods, and the methods of
// Engine that take it, are called one at a time per connection. The zero Connection, before Init,
// has no subscriptions and may only be asked about them.
type Connection struct {
	app        string
	subscriber *hub.Subscriber
	replier    Replier
	subs       keyed.Set[subscriptionID, *subscription]
	turn       int32   // of subs: where the next Resume begins
	begun      int32   // windows that are on their way to the present; see maxBegun
	ended      []usage // of subscriptions that are gone, not yet told
	had        int32   // bytes of keys that waiting windows hold; see maxHad
	isMetered  bool    // what is sent live is counted
	isLost     bool    // CloseSlow was called
	isWaiting  bool    // something was not sent because of IsCongested
}

// usage is what was sent live of one view.
type usage struct {
	view          string
	frames, bytes int
}

// Init prepares c for a connection of app. s is attached to the hub, and detached after
// [Engine.Leave], by the caller.
func (c *Connection) Init(app string, s *hub.Subscriber, r Replier) {
	c.app, c.subscriber, c.replier = app, s, r
}

// Subscriptions is the number of subscriptions of c.
func (c *Connection) Subscriptions() int { return c.subs.Len() }

// IsWaiting reports whether something is to be sent when Engine.Resume is called.
func (c *Connection) IsWaiting() bool { return c.isWaiting }

// isHeldUp reports whether nothing should be sent now.
func (c *Connection) isHeldUp() bool {
	isCongested := c.replier.IsCongested()
	c.isWaiting = c.isWaiting || isCongested
	return isCongested
}

// Has reports whether c is subscribed to a view with exactly this key, or without one.
func (c *Connection) Has(view string, key *string) bool { return c.subs.Get(newID(view, key)) != nil }

// Kept is what c keeps of the view and key of a subscription that it has, until that ends: an owner
// that notes these instead of its own keeps neither twice. Of others it is what was given.
func (c *Connection) Kept(view string, key *string) (string, *string) {
	if s := c.subs.Get(newID(view, key)); s != nil {
		return s.view(), s.keyOrNil()
	}
	return view, key
}

// Subscribed are the views and keys that c is subscribed to. The loop may end the subscription that
// it is at, and no other.
func (c *Connection) Subscribed() iter.Seq2[string, *string] {
	return func(yield func(string, *string) bool) {
		for _, s := range slices.Collect(c.subs.All()) {
			if !yield(s.view(), s.keyOrNil()) {
				return
			}
		}
	}
}

// Meter makes c count what it is sent live. Its owner asks for Usage from time to time.
func (c *Connection) Meter() { c.isMetered = true }

// Usage calls fn with what was sent live of each view since the last call. After Leave it
// tells the rest.
func (c *Connection) Usage(fn func(view string, frames, bytes int)) {
	for s := range c.subs.All() {
		c.countUsage(s)
	}
	for _, u := range c.ended {
		fn(u.view, u.frames, u.bytes)
	}
	c.ended = nil
}

// countUsage takes what was sent to s since it was last asked.
func (c *Connection) countUsage(s *subscription) {
	if !c.isMetered {
		return
	}
	frames, bytes := s.Sent()
	if frames == 0 {
		return
	}
	view := s.view()
	i := slices.IndexFunc(c.ended, func(u usage) bool { return u.view == view })
	if i < 0 {
		i = len(c.ended)
		c.ended = append(c.ended, usage{view: view})
	}
	c.ended[i].frames += frames
	c.ended[i].bytes += bytes
}

// subscriptionID tells the subscriptions of a connection apart (views 3.3 [M]).
type subscriptionID struct {
	view, key string
	hasKey    bool
}

func newID(view string, key *string) subscriptionID {
	if key == nil {
		return subscriptionID{view: view}
	}
	return subscriptionID{view, *key, true}
}

// keyOrNil is the key as requests have it.
func (s *subscription) keyOrNil() *string {
	if !s.hasKey {
		return nil
	}
	return &s.key
}

// Key is what tells s from the others of its connection.
func (s *subscription) Key() subscriptionID { return subscriptionID{s.view(), s.key, s.hasKey} }
