package view

import (
	"iter"
	"maps"
	"slices"

	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/protocol"
)

// fewSubscriptions are searched one by one; more are kept in a map.
const fewSubscriptions = 16

// Replier sends to one connection and never blocks. What it is given belongs to others and is
// read during the call only.
type Replier interface {
	Reply(m *protocol.Message)
	ReplyPublication(p *protocol.Publication)
	// IsCongested reports whether so much waits that no more snapshot should be sent now;
	// after true, Engine.Resume is called once it has been written.
	IsCongested() bool
	// CloseSlow closes the connection with code 1013 and the reason "slow-consumer: resync":
	// what it missed can no longer be told. Called at most once.
	CloseSlow()
}

// Connection is a connection's part in views. Its methods and those of Engine that take it
// are called one at a time per connection. The zero Connection, before Init, has no
// subscriptions and may only be asked about them.
type Connection struct {
	app        string
	subscriber *hub.Subscriber
	replier    Replier
	few        []*subscription                  // all, unless many is set
	many       map[subscriptionID]*subscription // all
	turn       int                              // of few: where the next Resume begins
	ended      []usage                          // of subscriptions that are gone, not yet told
	isLost     bool                             // CloseSlow was called
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
func (c *Connection) Subscriptions() int {
	if c.many != nil {
		return len(c.many)
	}
	return len(c.few)
}

// Has reports whether c is subscribed to a view with exactly this key, or without one.
func (c *Connection) Has(view string, key *string) bool { return c.find(newID(view, key)) != nil }

// Usage calls fn with what was sent live of each view since the last call. After Leave it
// tells the rest.
func (c *Connection) Usage(fn func(view string, frames, bytes int)) {
	for s := range c.all() {
		c.countUsage(s)
	}
	for _, u := range c.ended {
		fn(u.view, u.frames, u.bytes)
	}
	c.ended = nil
}

// countUsage takes what was sent to s since it was last asked.
func (c *Connection) countUsage(s *subscription) {
	frames, bytes := s.Sent()
	if frames == 0 {
		return
	}
	i := slices.IndexFunc(c.ended, func(u usage) bool { return u.view == s.id.view })
	if i < 0 {
		i = len(c.ended)
		c.ended = append(c.ended, usage{view: s.id.view})
	}
	c.ended[i].frames += frames
	c.ended[i].bytes += bytes
}

// subscriptionID tells the subscriptions of a connection apart (live-views 3.3 [M]).
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

func (c *Connection) find(id subscriptionID) *subscription {
	if c.many != nil {
		return c.many[id]
	}
	for _, s := range c.few {
		if s.id == id {
			return s
		}
	}
	return nil
}

func (c *Connection) add(s *subscription) {
	if c.many == nil && len(c.few) < fewSubscriptions {
		c.few = append(c.few, s)
		return
	}
	if c.many == nil {
		c.many = make(map[subscriptionID]*subscription, 2*fewSubscriptions)
		for _, s := range c.few {
			c.many[s.id] = s
		}
		c.few = nil
	}
	c.many[s.id] = s
}

func (c *Connection) remove(s *subscription) {
	if c.many != nil {
		delete(c.many, s.id)
		if len(c.many) == 0 {
			c.many = nil
		}
		return
	}
	if i := slices.Index(c.few, s); i >= 0 {
		c.few = slices.Delete(c.few, i, i+1)
	}
}

func (c *Connection) all() iter.Seq[*subscription] {
	if c.many != nil {
		return maps.Values(c.many)
	}
	return slices.Values(c.few)
}
