package room

import (
	"bytes"
	"slices"

	"github.com/millrace/millrace/internal/protocol"
)

// few connections are searched one by one; more are a crowd.
const few = 8

// Members is the membership of one channel: the distinct users, each with the connections through which it is
// there (pusher 2.7). It decides which join is the first of a user and which leave the last. The zero
// Members is empty and ready to use.
//
// Every operation but List is constant in the number of members, and in the number of
// connections of one user. Most channels have few connections, and one connection may be the
// only one in thousands of channels: few take little memory, and one nothing but the set.
type Members struct {
	one  [1]place // the only connection; without a member while there is none, or several
	more *more    // nil while there are fewer than two, and nothing to remember
}

// more is what a channel with one member, of which there may be millions, does without.
type more struct {
	few  []place // in the order in which they joined; none while there is a crowd, or fewer than two
	many *crowd  // until it is empty
	memo memo    // of the room
}

// place is a connection and what it says about its user, which it mostly says elsewhere too.
type place struct {
	id protocol.SocketID
	*protocol.Member
}

// Join adds connection id as a connection of m.UserID and reports whether it is that
// user's first. A connection that is in the set already stays as it is. m is kept and must not
// change: a connection that says the same in many sets gives all of them the same.
func (s *Members) Join(id protocol.SocketID, m *protocol.Member) (isFirst bool) {
	if s.has(id) {
		return false
	}
	if g := s.crowd(); g != nil {
		return g.join(id, *m)
	}
	places := s.places()
	if len(places) == few {
		return s.gather().join(id, *m)
	}
	isFirst = true
	for _, p := range places {
		if p.UserID != m.UserID {
			continue
		}
		isFirst = false
		if bytes.Equal(p.Info, m.Info) && p.HasNumericID == m.HasNumericID {
			m = p.Member // a user's connections mostly say the same: keep it once
		}
	}
	s.keep(append(places, place{id, m}))
	return isFirst
}

// Leave removes connection id. It returns the member whose it was, as List had it, and
// whether it was that user's last. An unknown connection is of no member: zero and false.
func (s *Members) Leave(id protocol.SocketID) (m protocol.Member, isLast bool) {
	if g := s.crowd(); g != nil {
		m, isLast = g.leave(id)
		if len(g.members) == 0 {
			s.more.many = nil
			s.trim()
		}
		return m, isLast
	}
	i := s.find(id)
	if i < 0 {
		return protocol.Member{}, false
	}
	places := s.places()
	m = s.shown(places[i].UserID)
	s.keep(slices.Delete(places, i, i+1))
	return m, !s.Has(m.UserID)
}

// crowd is where the connections are if they are many, otherwise nil.
func (s *Members) crowd() *crowd {
	if s.more == nil {
		return nil
	}
	return s.more.many
}

// places are the connections if they are few, in the order in which they joined.
func (s *Members) places() []place {
	switch {
	case s.more != nil && len(s.more.few) > 0:
		return s.more.few
	case s.one[0].Member != nil:
		return s.one[:]
	default:
		return s.one[:0]
	}
}

// keep makes places, which are few, the places of the set. They may lie where places returns them.
func (s *Members) keep(places []place) {
	if len(places) > 1 {
		s.others().few, s.one[0] = places, place{}
		return
	}
	var one place
	if len(places) == 1 {
		one = places[0]
	}
	if s.one[0] = one; s.more != nil {
		s.more.few = nil
		s.trim()
	}
}

// others finds or makes what there is beside one connection.
func (s *Members) others() *more {
	if s.more == nil {
		s.more = new(more)
	}
	return s.more
}

// trim forgets what is empty.
func (s *Members) trim() {
	if m := s.more; m != nil && len(m.few) == 0 && m.many == nil && m.memo == (memo{}) {
		s.more = nil
	}
}

// gather makes a crowd of the few.
func (s *Members) gather() *crowd {
	g := new(crowd)
	for _, p := range s.more.few {
		g.join(p.id, *p.Member)
	}
	s.more.few, s.more.many = nil, g
	return g
}

// Member is the member as whom connection id is there, as List has it; zero for an unknown
// connection.
func (s *Members) Member(id protocol.SocketID) protocol.Member {
	if g := s.crowd(); g != nil {
		return g.member(id)
	}
	if i := s.find(id); i >= 0 {
		return s.shown(s.places()[i].UserID)
	}
	return protocol.Member{}
}

// Said is what connection id has said about its user; zero for an unknown connection.
func (s *Members) Said(id protocol.SocketID) protocol.Member {
	if g := s.crowd(); g != nil {
		return g.said(id)
	}
	if i := s.find(id); i >= 0 {
		return *s.places()[i].Member
	}
	return protocol.Member{}
}

// List has each user once, in no particular order, with the info of its oldest
// connection that is still there, and its id spelled as that connection gave it. The list is
// the caller's; the infos must not be changed.
func (s *Members) List() []protocol.Member {
	if g := s.crowd(); g != nil {
		return slices.Clone(g.members)
	}
	var list []protocol.Member
	for i, p := range s.places() {
		if s.isShown(i) {
			list = append(list, *p.Member)
		}
	}
	return list
}

// Has reports whether the user is a member.
func (s *Members) Has(userID string) bool {
	if g := s.crowd(); g != nil {
		return g.users.Get(userID) != nil
	}
	return slices.ContainsFunc(s.places(), func(p place) bool { return p.UserID == userID })
}

// Len is the number of distinct users.
func (s *Members) Len() (n int) {
	if g := s.crowd(); g != nil {
		return len(g.members)
	}
	for i := range s.places() {
		if s.isShown(i) {
			n++
		}
	}
	return n
}

func (s *Members) has(id protocol.SocketID) bool {
	if g := s.crowd(); g != nil {
		return g.has(id)
	}
	return s.find(id) >= 0
}

// find is the index in places of a connection, below zero for one that is not there.
func (s *Members) find(id protocol.SocketID) int {
	return slices.IndexFunc(s.places(), func(p place) bool { return p.id == id })
}

// shown is the member of few as List has it.
func (s *Members) shown(userID string) protocol.Member {
	places := s.places()
	return *places[slices.IndexFunc(places, func(p place) bool { return p.UserID == userID })].Member
}

// isShown reports whether the connection at i is the oldest of its user.
func (s *Members) isShown(i int) bool {
	places := s.places()
	return !slices.ContainsFunc(places[:i], func(p place) bool { return p.UserID == places[i].UserID })
}
