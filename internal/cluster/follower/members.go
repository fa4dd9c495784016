package follower

import (
	"cmp"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/protocol"
)

// members is who is in a topic: the connections of this node, which are the truth about them, and all users as this
// node's connections were told.
type members struct {
	here []here
	all  map[string]protocol.Member

	isStale bool // some of their coming and going was lost: the owner is asked
}

// here is a connection of this node.
type here struct {
	subscriber protocol.SocketID
	member     *protocol.Member
	order      uint64 // zero: no owner has answered its Join
}

// enter takes a connection in, before the owner is asked.
func (t *followed) enter(j *cluster.Join) {
	if t.members == nil {
		t.members = &members{all: make(map[string]protocol.Member)}
	}
	t.members.here = append(t.members.here, here{subscriber: j.Subscriber, member: j.Member})
}

func (s *members) leave(id protocol.SocketID) {
	s.here = slices.DeleteFunc(s.here, func(h here) bool { return h.subscriber == id })
}

// entered takes the answer to the Join of a connection. The first answer tells who is there; to later ones the node
// says itself who is there, at the position at which it is.
func (f *Follower) entered(t *followed, j *cluster.Join, m *cluster.Joined, isFirst bool) {
	s := t.members
	for i := range s.here {
		if s.here[i].subscriber == j.Subscriber && !f.isIsolated() { // otherwise no owner of the cluster has answered
			s.here[i].order = m.Order
		}
	}
	if !isFirst {
		return
	}
	for _, member := range m.Members {
		s.all[member.UserID] = member
	}
}

// list is who is there, in no order that means anything.
func (s *members) list() []protocol.Member {
	list := make([]protocol.Member, 0, len(s.all))
	for _, m := range s.all {
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b protocol.Member) int { return cmp.Compare(a.UserID, b.UserID) })
	return list
}

// follow takes publications that are handed on. The coming of users who are there already is silent, and so is the going of users
// who are not: an owner that has begun a term may say so again.
func (s *members) follow(ps []*cluster.Publication) (isSilent []bool) {
	for i, p := range ps {
		if s.changes(p) {
			continue
		}
		if isSilent == nil {
			isSilent = make([]bool, len(ps))
		}
		isSilent[i] = true
	}
	return isSilent
}

// changes takes one publication, and reports whether it tells anything.
func (s *members) changes(p *cluster.Publication) bool {
	_, isThere := s.all[p.UserID]
	switch p.Kind {
	case protocol.KindMemberAdded:
		s.all[p.UserID] = protocol.Member{UserID: p.UserID, Info: p.Data, HasNumericID: p.HasNumericID}
		return !isThere
	case protocol.KindMemberRemoved:
		delete(s.all, p.UserID)
		return isThere
	default:
		return true
	}
}

// askMembers asks the owner who is in a topic.
func (f *Follower) askMembers(t *followed) {
	t.members.isStale = true
	if w := f.owners[f.partition(t.topic)]; w.Node != "" {
		f.send(w.Node, &cluster.AskMembers{Topic: *t.topic})
	}
}

// compareMembers takes the members at a position. What comes while a gap is filled does not count: the node asks then.
func (f *Follower) compareMembers(now time.Duration, m *cluster.Members) {
	t := f.topics[m.Topic]
	if t == nil || !t.isLive || t.members == nil {
		return
	}
	f.standsAt(now, t, m.Term, m.Position)
	if t.replay != 0 {
		t.members.isStale = true
		return
	}
	t.members.isStale = false
	f.show(t, m.Members)
	f.release(t)
}

// show makes the list the members, and tells connections of the difference.
func (f *Follower) show(t *followed, list []protocol.Member) {
	s := t.members
	var changes []*cluster.Publication
	is := make(map[string]bool, len(list))
	for _, m := range list {
		is[m.UserID] = true
		if _, isThere := s.all[m.UserID]; !isThere {
			changes = append(changes, &cluster.Publication{Kind: protocol.KindMemberAdded, UserID: m.UserID, HasNumericID: m.HasNumericID, Data: m.Info})
		}
		s.all[m.UserID] = m
	}
	var gone []*cluster.Publication
	for id, m := range s.all {
		if !is[id] {
			gone = append(gone, &cluster.Publication{Kind: protocol.KindMemberRemoved, UserID: id, HasNumericID: m.HasNumericID})
			delete(s.all, id)
		}
	}
	slices.SortFunc(gone, func(a, b *cluster.Publication) int { return cmp.Compare(a.UserID, b.UserID) })
	if changes = append(gone, changes...); len(changes) > 0 {
		f.out.Add(cluster.Receive{Topic: *t.topic, Publications: changes})
	}
}

// report is the connections of this node.
func (s *members) report() (list []cluster.MemberReport) {
	for _, h := range s.here {
		list = append(list, cluster.MemberReport{Subscriber: h.subscriber, Member: h.member, Order: h.order})
	}
	return list
}
