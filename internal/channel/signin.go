package channel

import (
	"context"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/protocol"
)

// user is a connection's part in users, once it has signed in: a subscription to the user's
// channel that counts for nothing else.
type user struct {
	subscription
	conn         *Connection
	info         []byte    // of the member that the connection may join as
	hasNumericID bool      // of that member
	watching     []watched // never grows, because the hub points into it
	prev, next   *user     // other connections of the user; guarded by the stripe of the table
}

func (u *user) id() string { return u.channel.userID() }

// SignIn makes c a connection of the user u, whose signature the caller has checked, and
// replies: success, then the state of those whom u watches (pusher 4.1, 4.4). As the
// same user again it replaces what u says about it.
//
// A returned error was not sent. Then c is as before, except that its watchlist may be empty.
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
		var err error
		if position, err = e.enter(ctx, c, u.ID); err != nil {
			e.log.Warn("sign-in failed", "app", c.app.ID, "err", err)
			return protocol.ErrInternal.Withf("The server is busy; sign in again later")
		}
	}
	c.user.info, c.user.hasNumericID = u.Info, u.HasNumericID
	e.bus.Leave(e.unwatch(c)...)
	if c.app.Features.Watchlists {
		if err := e.watch(ctx, c, u.Watchlist); err != nil {
			if isFirst {
				e.bus.Leave(e.signOut(c)...)
			}
			e.log.Warn("watchlist failed", "app", c.app.ID, "err", err)
			return protocol.ErrInternal.Withf("The server is busy; sign in again later")
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

// enter adds c to the connections of the user, held at the position that it returns.
func (e *Engine) enter(ctx context.Context, c *Connection, userID string) (protocol.Position, error) {
	u := &user{conn: c}
	ch, part, isFirst := e.table.enter(userTopic(c.app.ID, userID), u)
	e.metrics.signedIn.Inc()
	if isFirst {
		e.metrics.usersOnline.Inc()
	}
	c.Subscribe(&u.Subscription, &ch.topic)
	st, err := e.bus.Join(ctx, bus.Join{Topic: &ch.topic, Part: part, Subscriber: c.ID()})
	if err != nil {
		e.bus.Leave(e.exit(u))
		return st.Position, err
	}
	c.user = u
	return st.Position, nil
}

// exit undoes enter. The caller passes the result to the bus.
func (e *Engine) exit(u *user) bus.Leave {
	u.Close()
	p, isLast := e.table.leave(u.channel, u)
	e.metrics.signedIn.Dec()
	if isLast {
		e.metrics.usersOnline.Dec()
	}
	return bus.Leave{Topic: u.channel.topic, Part: p, Subscriber: u.conn.ID()}
}

// linkLocked puts u in front of the connections of a user.
func (s *stripe) linkLocked(u *user, ch *channel) {
	u.channel = ch
	if u.next = s.users[ch]; u.next != nil {
		u.next.prev = u
	}
	if s.users == nil {
		s.users = make(map[*channel]*user)
	}
	s.users[ch] = u
}

func (s *stripe) unlinkLocked(u *user) {
	if u.next != nil {
		u.next.prev = u.prev
	}
	switch {
	case u.prev != nil:
		u.prev.next = u.next
	case u.next != nil:
		s.users[u.channel] = u.next
	default:
		if delete(s.users, u.channel); len(s.users) == 0 {
			s.users = nil // a map never shrinks
		}
	}
}

// signOut ends c's part in users, if it has any. The caller passes the result to the bus.
func (e *Engine) signOut(c *Connection) []bus.Leave {
	u := c.user
	if u == nil {
		return nil
	}
	ls := e.unwatch(c)
	c.user = nil
	return append(ls, e.exit(u))
}

// subscribeUser answers a subscribe to a user's channel: a sign-in has done it already
// (pusher 4.3).
func (c *Connection) subscribeUser(name, userID string) *protocol.Error {
	if c.user == nil || c.user.channel.userID() != userID {
		return protocol.ErrUserChannel
	}
	c.replier.Reply(&protocol.Message{Kind: protocol.MessageSubscriptionSucceeded, Channel: name})
	return nil
}

// Terminate closes every connection that is signed in as the user (pusher 4.5). An error says
// that connections on other nodes may not have been reached.
func (e *Engine) Terminate(_ context.Context, a *app.App, userID string) error {
	for _, r := range e.table.repliers(userTopic(a.ID, userID)) {
		r.Terminate()
	}
	return nil
}

// userTopic is the topic of a user: the connections that are signed in as the user are subscribed to
// it, and the user is online while there are any.
func userTopic(app, userID string) protocol.Topic {
	return protocol.Topic{App: app, Kind: protocol.TopicUser, Name: userID}
}
