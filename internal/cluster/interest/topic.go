package interest

import (
	"cmp"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/room"
)

// Topic is what the owner has of a topic in a term: its room, and the nodes whose subscriptions the room sums up.
type Topic struct {
	room.Room
	nodes   parts
	places  map[Place]uint64 // of members, with the numbers of their joins; nil without
	stream  *Stream          // nil: it keeps nothing
	version uint64           // grows with each change; of the room's part too, which is the sum of all nodes
	holds   int32
}

// Place is a connection in a topic with members, and the node that has it.
type Place struct {
	Node       cluster.NodeID
	Subscriber protocol.SocketID
}

// Stream is the stream of the topic; nil: it keeps nothing, or the log was not asked yet.
func (t *Topic) Stream() *Stream { return t.stream }

// Hold notes that something which waits concerns the topic: it is kept until as many calls of Release.
func (t *Topic) Hold() { t.holds++ }

// Release undoes Hold.
func (t *Topic) Release() { t.holds-- }

// IsHeld reports whether something that waits concerns the topic.
func (t *Topic) IsHeld() bool { return t.holds > 0 }

// Nodes are the nodes that have a part, in the order in which they came.
func (t *Topic) Nodes() []cluster.NodeID {
	ids := make([]cluster.NodeID, len(t.nodes))
	for i := range t.nodes {
		ids[i] = t.nodes[i].Node
	}
	return ids
}

// IsWantedBy reports whether a node has a part.
func (t *Topic) IsWantedBy(id cluster.NodeID) bool { return t.nodes.find(id) != nil }

// Take makes the part of a node known unless it is an old one. The room learns of it with the next Join or Leave.
func (t *Topic) Take(id cluster.NodeID, p cluster.Part) {
	t.version++
	t.nodes.take(id, p)
}

// End ends the subscriptions of a node that has a part. The next Remove forgets the part.
func (t *Topic) End(id cluster.NodeID) { t.nodes.find(id).Subscriptions = 0 }

// Drop forgets the part of a node, of which the room has not learned.
func (t *Topic) Drop(id cluster.NodeID) { t.nodes.drop(id) }

// Join makes a subscription known to the room, with the parts of all nodes.
func (t *Topic) Join(now time.Duration, j room.Join) ([]room.Event, *protocol.Error) {
	j.Part = t.sum()
	return t.Room.Join(now, j, nil)
}

// Remove forgets places, and parts without subscriptions. Versions of these are not needed: a link keeps the order of a
// node's messages.
func (t *Topic) Remove(ps []Place) {
	for _, p := range ps {
		delete(t.places, p)
	}
	t.nodes = slices.DeleteFunc(t.nodes, func(p Part) bool { return p.Subscriptions == 0 })
}

// Leave makes it known to the room that places were removed, or parts without places.
func (t *Topic) Leave(ps []Place) (events []room.Event) {
	sum := t.sum()
	if len(ps) == 0 {
		return t.Room.Leave(room.Leave{Part: sum}, nil)
	}
	for _, p := range ps {
		events = t.Room.Leave(room.Leave{Part: sum, Subscriber: p.Subscriber}, events)
	}
	return events
}

// sum is the sum of all parts, as the room takes it.
func (t *Topic) sum() room.Part {
	t.version++
	p := room.Part{Version: t.version}
	for i := range t.nodes {
		p.Subscriptions += t.nodes[i].Subscriptions
	}
	return p
}

// PlacesOf are the connections of a node that are members, in order.
func (t *Topic) PlacesOf(id cluster.NodeID) (ps []Place) {
	for p := range t.places {
		if p.Node == id {
			ps = append(ps, p)
		}
	}
	slices.SortFunc(ps, func(a, b Place) int { return cmp.Compare(a.Subscriber.String(), b.Subscriber.String()) })
	return ps
}

// EndsWith are the places that end when a connection leaves: all of its node if the node has no subscriptions any more, since an
// earlier leave may be lost.
func (t *Topic) EndsWith(p Place) []Place {
	if in := t.nodes.find(p.Node); in != nil && in.Subscriptions == 0 && len(t.places) > 0 {
		return t.PlacesOf(p.Node)
	}
	return []Place{p}
}

// HasMember reports whether a user is a member.
func (t *Topic) HasMember(user string) bool {
	return slices.ContainsFunc(t.Members(), func(m protocol.Member) bool { return m.UserID == user })
}

// isEmpty reports whether nothing is known of the topic that matters.
func (t *Topic) isEmpty() bool {
	return len(t.nodes) == 0 && t.stream == nil && t.holds == 0 && t.IsEmpty()
}

// Retain keeps a publication instead of what was kept, for a time from now on.
func (t *Topic) Retain(now time.Duration, p *cluster.Publication, ttl time.Duration) {
	t.Room.Retain(now, &protocol.Publication{
		Topic: *t.Topic(), Kind: p.Kind, Event: p.Event, Data: p.Data, UserID: p.UserID, HasNumericID: p.HasNumericID,
		Position: protocol.Position{Offset: p.Serial},
	}, ttl)
}

// Retained is the publication that is kept; nil: there is none.
func (t *Topic) Retained(now time.Duration) *cluster.Publication {
	p, _ := t.Room.Retained(now)
	if p == nil {
		return nil
	}
	return &cluster.Publication{
		Kind: p.Kind, Event: p.Event, Data: p.Data, UserID: p.UserID, HasNumericID: p.HasNumericID, Serial: p.Position.Offset,
	}
}
