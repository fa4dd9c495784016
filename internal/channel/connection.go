package channel

import (
	"iter"
	"maps"
	"slices"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/protocol"
)

// fewSubscriptions are searched one by one; more are kept in a map.
const fewSubscriptions = 16

// Replier sends direct messages to one connection; never blocks. What it is given belongs
// to others and is read during the call only.
type Replier interface {
	Reply(m *protocol.Message)
	// ReplyPublication sends p to this connection alone, encoded as any delivery of it and
	// whatever p.Except says: the replay of a cache channel.
	ReplyPublication(p *protocol.Publication)
	// Terminate closes the connection because the app wants its user gone. It may be called
	// from any goroutine.
	Terminate()
}

// Connection is a connection's part in channels; embedded by value in its session, attached
// to the hub by it, and detached by [Engine.Leave]. Its methods and those of Engine that
// take it are called one at a time per connection.
type Connection struct {
	hub.Subscriber
	app     *app.App
	replier Replier                  // nil once it has left
	few     []*subscription          // all, unless many is set
	many    map[string]*subscription // all, by name of the channel
	user    *user                    // nil unless signed in
}

// subscription is a connection's place in a channel.
type subscription struct {
	hub.Subscription
	channel *channel
}

// Init prepares c, which is the zero value before. a's limits and features rule c for as
// long as it lasts.
func (c *Connection) Init(a *app.App, r Replier) { c.app, c.replier = a, r }

func (c *Connection) hasLeft() bool { return c.replier == nil }

// IsSubscribed reports whether c is subscribed to the channel.
func (c *Connection) IsSubscribed(name string) bool { return c.find(name) != nil }

// Subscriptions is the number of channels that c is subscribed to.
func (c *Connection) Subscriptions() int {
	if c.many != nil {
		return len(c.many)
	}
	return len(c.few)
}

func (c *Connection) find(name string) *subscription {
	if c.many != nil {
		return c.many[name]
	}
	for _, s := range c.few {
		if s.channel.topic.Name == name {
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
		c.many = make(map[string]*subscription, 2*fewSubscriptions)
		for _, s := range c.few {
			c.many[s.channel.topic.Name] = s
		}
		c.few = nil
	}
	c.many[s.channel.topic.Name] = s
}

func (c *Connection) remove(s *subscription) {
	if c.many != nil {
		delete(c.many, s.channel.topic.Name)
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
