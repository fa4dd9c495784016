package channel

import (
	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/keyed"
	"github.com/millrace/millrace/internal/protocol"
)

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
// to the hub by it, and detached by [Engine.Leave]. Its methods, and the methods of Engine that
// take it, are called one at a time per connection.
type Connection struct {
	hub.Subscriber
	app     *app.App
	replier Replier // nil once it has left
	subs    keyed.Set[string, *subscription]
	user    *user // nil unless signed in
}

// subscription is a connection's place in a channel.
type subscription struct {
	hub.Subscription // whose Note is what the connection says about its user there; see infos
	channel          *channel
}

// Key is the name of the channel.
func (s *subscription) Key() string { return s.channel.topic.Name }

// Init prepares c, which is the zero value before. a's limits and features rule c for as
// long as it lasts.
func (c *Connection) Init(a *app.App, r Replier) { c.app, c.replier = a, r }

func (c *Connection) hasLeft() bool { return c.replier == nil }

// IsSubscribed reports whether c is subscribed to the channel.
func (c *Connection) IsSubscribed(name string) bool { return c.subs.Get(name) != nil }

// Subscriptions is the number of channels that c is subscribed to.
func (c *Connection) Subscriptions() int { return c.subs.Len() }
