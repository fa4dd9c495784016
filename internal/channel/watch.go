package channel

import (
	"context"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/protocol"
)

// watched is a user that a connection watches.
type watched struct {
	hub.Subscription
	channel  *channel
	position protocol.Position // of what the connection is told first
	isOnline bool              // at position
}

// watch subscribes c to users, held. After an error its watchlist is empty.
func (e *Engine) watch(ctx context.Context, c *Connection, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	c.user.watching = make([]watched, len(ids))
	for i, id := range ids {
		if err := e.watchOne(ctx, c, &c.user.watching[i], id); err != nil {
			c.user.watching = c.user.watching[:i]
			e.bus.Leave(e.unwatch(c)...)
			return err
		}
	}
	return nil
}

func (e *Engine) watchOne(ctx context.Context, c *Connection, w *watched, id string) error {
	ch, part, _ := e.table.enter(protocol.Topic{App: c.app.ID, Kind: protocol.TopicWatch, Name: id}, nil)
	w.channel = ch
	c.Subscribe(&w.Subscription, &ch.topic)
	st, err := e.bus.Join(ctx, bus.Join{Topic: &ch.topic, Part: part, Subscriber: c.ID()})
	if err != nil {
		e.bus.Leave(e.unwatchOne(c, w))
		return err
	}
	w.position, w.isOnline = st.Position, st.IsOnline
	return nil
}

// unwatch ends what c watches. The caller passes the result to the bus.
func (e *Engine) unwatch(c *Connection) []bus.Leave {
	var ls []bus.Leave
	for i := range c.user.watching {
		ls = append(ls, e.unwatchOne(c, &c.user.watching[i]))
	}
	c.user.watching = nil
	return ls
}

func (e *Engine) unwatchOne(c *Connection, w *watched) bus.Leave {
	w.Close()
	p, _ := e.table.leave(w.channel, nil)
	return bus.Leave{Topic: w.channel.topic, Part: p, Subscriber: c.ID()}
}

// watchLive tells c the state of all it watches and lets the changes flow.
func (e *Engine) watchLive(ctx context.Context, c *Connection) {
	list := c.user.watching
	if len(list) == 0 {
		return
	}
	m := protocol.Message{Kind: protocol.MessageWatchlist}
	for i := range list {
		list[i].appendTo(&m)
	}
	c.replier.Reply(&m)
	for i := range list {
		if err := e.watchOneLive(ctx, c, &list[i]); err != nil {
			e.log.Warn("watchlist entry lost", "app", c.app.ID, "err", err)
		}
	}
}

func (w *watched) appendTo(m *protocol.Message) {
	if id := w.channel.userID(); w.isOnline {
		m.Online = append(m.Online, id)
	} else {
		m.Offline = append(m.Offline, id)
	}
}

// watchOneLive lets the changes of one user flow. When there were more during the hold than
// are kept, it starts over: c is told the state again. After an error it hears no more of the
// user.
func (e *Engine) watchOneLive(ctx context.Context, c *Connection, w *watched) error {
	for start := 1; ; start++ {
		err := w.Release(w.position)
		if err == nil {
			return nil
		}
		if start < maxStarts {
			if err = e.watchAgain(ctx, c, w); err == nil {
				m := protocol.Message{Kind: protocol.MessageWatchlist}
				w.appendTo(&m)
				c.replier.Reply(&m)
				continue
			}
		}
		w.Close()
		return err
	}
}

func (e *Engine) watchAgain(ctx context.Context, c *Connection, w *watched) error {
	w.Close()
	c.Subscribe(&w.Subscription, &w.channel.topic)
	st, err := e.bus.State(ctx, w.channel.topic)
	w.position, w.isOnline = st.Position, st.IsOnline
	return err
}
