package channel

import (
	"context"

	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/room"
)

func watchNotice(topic protocol.Topic, k protocol.PublicationKind, userID string) *protocol.Publication {
	return &protocol.Publication{Topic: room.WatchTopic(topic.App, userID), Kind: k, UserID: userID}
}

// watched is a user that a connection watches.
type watched struct {
	hub.Subscription
	channel  *channel
	position protocol.Position // of what the connection is told first
	isOnline bool              // at position
}

// watch subscribes c to users, held. With an error it watches nobody.
func (e *Engine) watch(ctx context.Context, c *Connection, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	c.user.watching = make([]watched, len(ids))
	for i, id := range ids {
		if err := e.watchOne(ctx, c, &c.user.watching[i], id); err != nil {
			c.user.watching = c.user.watching[:i]
			e.unwatch(c)
			return err
		}
	}
	return nil
}

func (e *Engine) watchOne(ctx context.Context, c *Connection, w *watched, id string) (err error) {
	ch := e.table.lock(room.UserTopic(c.app.ID, id))
	defer ch.mu.Unlock()
	topic := room.WatchTopic(ch.topic.App, ch.userID())
	c.Subscribe(&w.Subscription, &topic)
	if ch.watchers > 0 {
		w.position, err = e.bus.Position(ctx, topic)
	} else {
		w.position, err = e.bus.Subscribe(ctx, &topic)
	}
	if err != nil {
		w.Close()
		e.forgetLocked(ch)
		return err
	}
	ch.watchers++
	w.channel, w.isOnline = ch, ch.subs > 0
	return nil
}

// unwatch ends what c watches.
func (e *Engine) unwatch(c *Connection) {
	for i := range c.user.watching {
		w := &c.user.watching[i]
		ch := w.channel
		ch.mu.Lock()
		w.Close()
		if ch.watchers--; ch.watchers == 0 {
			e.bus.Unsubscribe(room.WatchTopic(ch.topic.App, ch.userID()))
		}
		e.forgetLocked(ch)
		ch.mu.Unlock()
	}
	c.user.watching = nil
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

func (e *Engine) watchAgain(ctx context.Context, c *Connection, w *watched) (err error) {
	ch := w.channel
	ch.mu.Lock()
	defer ch.mu.Unlock()
	w.Close()
	topic := room.WatchTopic(ch.topic.App, ch.userID())
	c.Subscribe(&w.Subscription, &topic)
	w.isOnline = ch.subs > 0
	w.position, err = e.bus.Position(ctx, topic)
	return err
}
