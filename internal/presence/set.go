// Package presence holds the members of one channel: the distinct users, each with the
// connections through which it is there (pusher-protocol 2.7).
//
// It decides which join is a user's first and which leave its last, and nothing more: it
// must never know who is told about it, limits, or the wire. A Set is not synchronised and
// has no goroutines; its owner serialises calls, and their order is the order of events.
package presence

import (
	"bytes"
	"slices"

	"github.com/millrace/millrace/internal/keyed"
	"github.com/millrace/millrace/internal/protocol"
)

// Set is the membership of one channel. The zero Set is empty and ready to use.
//
// Every operation but Members is constant in the number of members, and in the number of
// connections of one user.
type Set struct {
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

// Join adds connection id as a connection of m.UserID and reports whether it is that
// user's first. A connection that is in the set already stays as it is. m.Info is kept.
func (s *Set) Join(id protocol.SocketID, m protocol.Member) (isFirst bool) {
	if s.conns.Get(id) != nil {
		return false
	}
	c := &conn{id: id, info: m.Info, hasNumericID: m.HasNumericID}
	s.conns.Add(c)
	u := s.users.Get(m.UserID)
	if u == nil {
		c.user = &user{id: m.UserID, index: len(s.members), oldest: c, newest: c}
		s.users.Add(c.user)
		s.members = append(s.members, m)
		return true
	}
	if bytes.Equal(c.info, u.newest.info) {
		c.info = u.newest.info // a user's connections mostly say the same: keep it once
	}
	c.user, c.older = u, u.newest
	u.newest.newer, u.newest = c, c
	return false
}

// Leave removes connection id. It returns the member whose it was, as Members listed it, and
// whether it was that user's last. An unknown connection is of no member: zero and false.
func (s *Set) Leave(id protocol.SocketID) (m protocol.Member, isLast bool) {
	c := s.conns.Get(id)
	if c == nil {
		return protocol.Member{}, false
	}
	s.conns.Remove(c)
	u := c.user
	m = s.members[u.index]
	switch {
	case c.older == nil && c.newer == nil:
		s.users.Remove(u)
		s.removeMember(u.index)
		return m, true
	case c.older == nil:
		u.oldest, c.newer.older = c.newer, nil
		shown := &s.members[u.index]
		shown.Info, shown.HasNumericID = u.oldest.info, u.oldest.hasNumericID
	case c.newer == nil:
		u.newest, c.older.newer = c.older, nil
	default:
		c.older.newer, c.newer.older = c.newer, c.older
	}
	return m, false
}

// removeMember puts the last member in the place of the one at i.
func (s *Set) removeMember(i int) {
	last := len(s.members) - 1
	if i != last {
		s.members[i] = s.members[last]
		s.users.Get(s.members[i].UserID).index = i
	}
	s.members[last] = protocol.Member{}
	s.members = s.members[:last]
}

// Member is the member as whom connection id is there, as Members lists it; zero for an unknown
// connection.
func (s *Set) Member(id protocol.SocketID) protocol.Member {
	if c := s.conns.Get(id); c != nil {
		return s.members[c.user.index]
	}
	return protocol.Member{}
}

// Info is what connection id has said about its user; nil for an unknown connection.
func (s *Set) Info(id protocol.SocketID) []byte {
	if c := s.conns.Get(id); c != nil {
		return c.info
	}
	return nil
}

// Members lists each user once, in no particular order, with the info of its oldest
// connection that is still there, and its id spelled as that connection gave it. The list is
// the caller's; the infos must not be changed.
func (s *Set) Members() []protocol.Member { return slices.Clone(s.members) }

// Has reports whether the user is a member.
func (s *Set) Has(userID string) bool {
	return s.users.Get(userID) != nil
}

// Len is the number of distinct users.
func (s *Set) Len() int { return len(s.members) }
