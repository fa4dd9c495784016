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

	"github.com/millrace/millrace/internal/protocol"
)

// few connections are searched one by one; more are a crowd.
const few = 8

// Set is the membership of one channel. The zero Set is empty and ready to use.
//
// Every operation but Members is constant in the number of members, and in the number of
// connections of one user. Most channels have few connections, and one connection may be the
// only one in thousands of channels: few take little memory.
type Set struct {
	few  []place // in the order in which they joined; none while there is a crowd
	many *crowd  // until it is empty
}

// place is a connection and what it says about its user.
type place struct {
	id protocol.SocketID
	protocol.Member
}

// Join adds connection id as a connection of m.UserID and reports whether it is that
// user's first. A connection that is in the set already stays as it is. m.Info is kept.
func (s *Set) Join(id protocol.SocketID, m protocol.Member) (isFirst bool) {
	if s.has(id) {
		return false
	}
	if s.many == nil && len(s.few) == few {
		s.many = new(crowd)
		for _, p := range s.few {
			s.many.join(p.id, p.Member)
		}
		s.few = nil
	}
	if s.many != nil {
		return s.many.join(id, m)
	}
	isFirst = true
	for _, p := range s.few {
		if p.UserID != m.UserID {
			continue
		}
		isFirst, m.UserID = false, p.UserID
		if bytes.Equal(p.Info, m.Info) {
			m.Info = p.Info // a user's connections mostly say the same: keep it once
		}
	}
	s.few = append(s.few, place{id, m})
	return isFirst
}

// Leave removes connection id. It returns the member whose it was, as Members listed it, and
// whether it was that user's last. An unknown connection is of no member: zero and false.
func (s *Set) Leave(id protocol.SocketID) (m protocol.Member, isLast bool) {
	if s.many != nil {
		m, isLast = s.many.leave(id)
		if len(s.many.members) == 0 {
			s.many = nil
		}
		return m, isLast
	}
	i := s.find(id)
	if i < 0 {
		return protocol.Member{}, false
	}
	m = s.shown(s.few[i].UserID)
	s.few = slices.Delete(s.few, i, i+1)
	return m, !s.Has(m.UserID)
}

// Member is the member as whom connection id is there, as Members lists it; zero for an unknown
// connection.
func (s *Set) Member(id protocol.SocketID) protocol.Member {
	if s.many != nil {
		return s.many.member(id)
	}
	if i := s.find(id); i >= 0 {
		return s.shown(s.few[i].UserID)
	}
	return protocol.Member{}
}

// Said is what connection id has said about its user; zero for an unknown connection.
func (s *Set) Said(id protocol.SocketID) protocol.Member {
	if s.many != nil {
		return s.many.said(id)
	}
	if i := s.find(id); i >= 0 {
		return s.few[i].Member
	}
	return protocol.Member{}
}

// Members lists each user once, in no particular order, with the info of its oldest
// connection that is still there, and its id spelled as that connection gave it. The list is
// the caller's; the infos must not be changed.
func (s *Set) Members() []protocol.Member {
	if s.many != nil {
		return slices.Clone(s.many.members)
	}
	var list []protocol.Member
	for i := range s.few {
		if s.isShown(i) {
			list = append(list, s.few[i].Member)
		}
	}
	return list
}

// Has reports whether the user is a member.
func (s *Set) Has(userID string) bool {
	if s.many != nil {
		return s.many.users.Get(userID) != nil
	}
	return slices.ContainsFunc(s.few, func(p place) bool { return p.UserID == userID })
}

// Len is the number of distinct users.
func (s *Set) Len() (n int) {
	if s.many != nil {
		return len(s.many.members)
	}
	for i := range s.few {
		if s.isShown(i) {
			n++
		}
	}
	return n
}

func (s *Set) has(id protocol.SocketID) bool {
	if s.many != nil {
		return s.many.has(id)
	}
	return s.find(id) >= 0
}

// find is the index in few of a connection, below zero for one that is not there.
func (s *Set) find(id protocol.SocketID) int {
	return slices.IndexFunc(s.few, func(p place) bool { return p.id == id })
}

// shown is the member of few as Members lists it.
func (s *Set) shown(userID string) protocol.Member {
	return s.few[slices.IndexFunc(s.few, func(p place) bool { return p.UserID == userID })].Member
}

// isShown reports whether the connection at i is the oldest of its user.
func (s *Set) isShown(i int) bool {
	userID := s.few[i].UserID
	return !slices.ContainsFunc(s.few[:i], func(p place) bool { return p.UserID == userID })
}
