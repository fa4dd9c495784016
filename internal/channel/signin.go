package channel

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/room"
)

// user is a connection's part in users, once it has signed in: a subscription to the user's
// channel that counts for nothing else.
type user struct {
	subscription
	conn         *Connection
	info         []byte    // of the member that the connection may join as
	hasNumericID bool      // of that member
	watching     []watched // never grows, because the hub points into it
	prev, next   *user     // other connections of the user; guarded by the channel's lock
}

func (u *user) id() string { return u.channel.userID() }

// userID is whose channel it is.
func (ch *channel) userID() string {
	id, _ := room.UserOf(ch.topic.Name)
	return id
}

// SignIn makes c a connection of the user u, whose signature the caller has checked, and
// replies: success, then the state of those whom u watches (pusher-protocol 4.1, 4.4). As the
// same user again it replaces what u says about it.
//
// A returned error was not sent. Then c is what it was, save that it may watch nobody.
func (e *Engine) SignIn(ctx context.Context, c *Connection, u *User) *protocol.Error {
	switch {
	case c.hasLeft():
		return protocol.ErrInternal
	case c.user != nil && c.user.id() != u.ID:
		return protocol.ErrSignedIn
	}
	var position protocol.Position // of the user's channel, of a first sign-in
	isFirst := c.user == nil
	if isFirst {
		online := watchNotice(room.UserTopic(c.app.ID, u.ID), protocol.KindUserOnline, u.ID)
		err := e.hub.Reserve(ctx, online.Size())
		if err == nil {
			position, err = e.enter(ctx, c, online)
		}
		if err != nil {
			e.log.Warn("sign-in failed", "app", c.app.ID, "err", err)
			return protocol.ErrInternal.Withf("The server is busy; sign in again later")
		}
	}
	c.user.info, c.user.hasNumericID = u.Info, u.HasNumericID
	e.unwatch(c)
	if c.app.Features.Watchlists {
		if err := e.watch(ctx, c, u.Watchlist); err != nil {
			if isFirst {
				err = errors.Join(err, e.signOut(c))
			}
			e.log.Error("watchlist failed", "app", c.app.ID, "err", err)
			return protocol.ErrInternal
		}
	}
	c.replier.Reply(&protocol.Message{Kind: protocol.MessageSignedIn, UserData: u.Data})
	e.watchLive(ctx, c)
	if isFirst {
		c.userLive(position)
	}
	return nil
}

// userLive lets the events of the user flow. When more came during the hold than is kept, the
// kept ones are lost and it starts over.
func (c *Connection) userLive(position protocol.Position) {
	s := &c.user.subscription
	for range maxStarts {
		if s.Release(position) == nil {
			return
		}
		s.Close()
		c.Subscribe(&s.Subscription, &s.channel.topic)
		position = protocol.Position{} // whatever comes now was not delivered
	}
}

// enter adds c to the connections of the user, held at the position that it returns. online
// is published if it is the first.
func (e *Engine) enter(ctx context.Context, c *Connection, online *protocol.Publication) (at protocol.Position, err error) {
	ch := e.table.lock(room.UserTopic(c.app.ID, online.UserID))
	defer ch.mu.Unlock()
	u := &user{conn: c}
	u.channel = ch
	c.Subscribe(&u.Subscription, &ch.topic)
	if ch.subs > 0 {
		at, err = e.bus.Position(ctx, ch.topic)
	} else {
		at, err = e.goOnlineLocked(ctx, ch, online)
	}
	if err != nil {
		u.Close()
		e.forgetLocked(ch)
		return at, err
	}
	if u.next = ch.users; u.next != nil {
		u.next.prev = u
	}
	ch.users, c.user = u, u
	ch.subs++
	e.metrics.signedIn.Inc()
	return at, nil
}

// goOnlineLocked is for the first connection. With an error it has done nothing.
func (e *Engine) goOnlineLocked(ctx context.Context, ch *channel, online *protocol.Publication) (protocol.Position, error) {
	at, err := e.bus.Subscribe(ctx, &ch.topic)
	if err != nil {
		return at, err
	}
	if _, err := e.bus.Publish(ctx, online, bus.Retention{}); err != nil {
		e.bus.Unsubscribe(ch.topic)
		return at, err
	}
	e.metrics.usersOnline.Inc()
	if e.observer != nil {
		e.observer.UserOnline(ch.topic.App, ch.userID())
	}
	return at, nil
}

// signOut ends c's part in users, if it has any. It always happens; an error means that nobody
// was told that the user is offline.
func (e *Engine) signOut(c *Connection) (err error) {
	u := c.user
	if u == nil {
		return nil
	}
	e.unwatch(c)
	c.user = nil
	ch := u.channel
	ch.mu.Lock()
	defer ch.mu.Unlock()
	u.Close()
	if u.next != nil {
		u.next.prev = u.prev
	}
	if u.prev != nil {
		u.prev.next = u.next
	} else {
		ch.users = u.next
	}
	ch.subs--
	e.metrics.signedIn.Dec()
	if ch.subs == 0 {
		err = e.goOfflineLocked(ch)
	}
	e.forgetLocked(ch)
	return err
}

// goOfflineLocked is for the last connection. An error means that nobody was told.
func (e *Engine) goOfflineLocked(ch *channel) error {
	e.bus.Unsubscribe(ch.topic)
	e.metrics.usersOnline.Dec()
	if e.observer != nil {
		e.observer.UserOffline(ch.topic.App, ch.userID())
	}
	// A leave cannot be refused, so it does not wait for room.
	_, err := e.bus.Publish(context.Background(), watchNotice(ch.topic, protocol.KindUserOffline, ch.userID()), bus.Retention{})
	if err != nil {
		err = fmt.Errorf("offline not published: %w", err)
		e.metrics.noticeFailures.Inc()
	}
	return err
}

// forgetLocked takes a channel out of the table when nobody needs it.
func (e *Engine) forgetLocked(ch *channel) {
	if ch.subs == 0 && ch.watchers == 0 {
		e.table.removeLocked(ch)
	}
}

// subscribeUser answers a subscribe to a user's channel: a sign-in has done it already
// (pusher-protocol 4.3).
func (c *Connection) subscribeUser(name string) *protocol.Error {
	if c.user == nil || c.user.channel.topic.Name != name {
		return protocol.ErrUserChannel
	}
	c.replier.Reply(&protocol.Message{Kind: protocol.MessageSubscriptionSucceeded, Channel: name})
	return nil
}

// Terminate closes every connection that is signed in as the user (pusher-protocol 4.5).
func (e *Engine) Terminate(a *app.App, userID string) {
	ch := e.table.find(room.UserTopic(a.ID, userID))
	if ch == nil {
		return
	}
	ch.mu.Lock()
	repliers := make([]Replier, 0, ch.subs)
	for u := ch.users; u != nil; u = u.next {
		repliers = append(repliers, u.conn.replier)
	}
	ch.mu.Unlock()
	for _, r := range repliers {
		r.Terminate()
	}
}
