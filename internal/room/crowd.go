package room

import (
	"bytes"

	"github.com/millrace/millrace/internal/keyed"
	"github.com/millrace/millrace/internal/protocol"
)

// crowd is the membership of a channel with many connections.
type crowd struct {
	users   keyed.Set[string, *user]
	conns   keyed.Set[protocol.SocketID, *conn]
	members []protocol.Member // one for each user, at user.index; ready to be copied
}

// user is one member: its connections in the order in which they joined. There is at
// least one, and members[index] says what the oldest does.
type user struct {
	id             string
	index          int
	oldest, newest *conn
}

type conn struct {
	id           protocol.SocketID
	user         *user
	older, newer *conn // of the same user
	info         []byte
	hasNumericID bool
}

// Key is the id of the user.
func (u *user) Key() string { return u.id }

// Key is the id of the connection.
func (c *conn) Key() protocol.SocketID { return c.id }

func (g *crowd) has(id protocol.SocketID) bool { return g.conns.Get(id) != nil }

// join is Members.Join for a connection that is not there.
func (g *crowd) join(id protocol.SocketID, m protocol.Member) (isFirst bool) {
	c := &conn{id: id, info: m.Info, hasNumericID: m.HasNumericID}
	g.conns.Add(c)
	u := g.users.Get(m.UserID)
	if u == nil {
		c.user = &user{id: m.UserID, index: len(g.members), oldest: c, newest: c}
		g.users.Add(c.user)
		g.members = append(g.members, m)
		return true
	}
	if bytes.Equal(c.info, u.newest.info) {
		c.info = u.newest.info // a user's connections mostly say the same: keep it once
	}
	c.user, c.older = u, u.newest
	u.newest.newer, u.newest = c, c
	return false
}

func (g *crowd) leave(id protocol.SocketID) (m protocol.Member, isLast bool) {
	c := g.conns.Get(id)
	if c == nil {
		return protocol.Member{}, false
	}
	g.conns.Remove(c)
	u := c.user
	m = g.members[u.index]
	switch {
	case c.older == nil && c.newer == nil:
		g.users.Remove(u)
		g.removeMember(u.index)
		return m, true
	case c.older == nil:
		u.oldest, c.newer.older = c.newer, nil
		shown := &g.members[u.index]
		shown.Info, shown.HasNumericID = u.oldest.info, u.oldest.hasNumericID
	case c.newer == nil:
		u.newest, c.older.newer = c.older, nil
	default:
		c.older.newer, c.newer.older = c.newer, c.older
	}
	return m, false
}

// removeMember puts the last member in the place of the one at i.
func (g *crowd) removeMember(i int) {
	last := len(g.members) - 1
	if i != last {
		g.members[i] = g.members[last]
		g.users.Get(g.members[i].UserID).index = i
	}
	g.members[last] = protocol.Member{}
	g.members = g.members[:last]
}

func (g *crowd) member(id protocol.SocketID) protocol.Member {
	if c := g.conns.Get(id); c != nil {
		return g.members[c.user.index]
	}
	return protocol.Member{}
}

func (g *crowd) said(id protocol.SocketID) protocol.Member {
	if c := g.conns.Get(id); c != nil {
		return protocol.Member{UserID: c.user.id, Info: c.info, HasNumericID: c.hasNumericID}
	}
	return protocol.Member{}
}
