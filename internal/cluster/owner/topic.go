package owner

import (
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"slices"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/room"
)

// topic is what the owner has of a topic in a term.
type topic struct {
	room    room.Room
	nodes   []interest         // that have subscriptions
	places  map[place]struct{} // of members; nil without
	stream  *stream            // nil: it keeps nothing
	version uint32             // of the room's part, which is the sum of all nodes
	waiting int32              // parts of behind and of groups that concern it
}

// interest is the part of one node in a topic.
type interest struct {
	node cluster.NodeID
	cluster.Part
}

// stream is the serials of a topic.
type stream struct {
	id        string
	next      uint64 // of the next publication that is decided
	delivered uint64 // the last one that was delivered
	isLoading bool
	ring      []*cluster.Publication // the last ones that were delivered
}

// topic finds or makes a topic.
func (o *Owner) topic(t *protocol.Topic) *topic {
	if tp := o.topics.get(t); tp != nil {
		return o.withStream(tp)
	}
	return o.kept(new(*t))
}

// kept is topic for a name that may be kept: it does not change.
func (o *Owner) kept(t *protocol.Topic) *topic {
	tp := o.topics.get(t)
	if tp == nil {
		tp = &topic{room: room.New(t)}
		o.topics.add(tp)
	}
	return o.withStream(tp)
}

// withStream begins the stream of a topic that keeps a ring.
func (o *Owner) withStream(tp *topic) *topic {
	t := tp.room.Topic()
	if tp.stream == nil && o.o.Keeps(t) == Ring {
		tp.stream = &stream{id: o.newStreamID(t), next: 1}
	}
	return tp
}

// removeIfEmpty forgets a topic of which nothing is known that matters.
func (o *Owner) removeIfEmpty(t *topic) {
	if len(t.nodes) == 0 && t.stream == nil && t.waiting == 0 && t.room.IsEmpty() {
		o.topics.remove(t)
	}
}

// newStreamID draws an identity that no stream has had: terms are never repeated, and within one the number grows.
func (o *Owner) newStreamID(t *protocol.Topic) string {
	o.streams++
	h := fnv.New128a()
	term, number := uint64(o.term), o.streams
	if o.o.Faults.Has(cluster.FaultStreamKept) {
		term, number = 0, 0
	}
	fmt.Fprintf(h, "%d/%d/%d/%d/%s/%s", o.o.Partition, term, number, t.Kind, t.App, t.Name)
	return hex.EncodeToString(h.Sum(nil))
}

// position is up to where the topic was delivered.
func (o *Owner) position(t *topic) cluster.Position {
	if t.stream == nil {
		return cluster.Position{Serial: o.offset}
	}
	return cluster.Position{StreamID: t.stream.id, Serial: t.stream.delivered}
}

// find is the part of a node; nil without one.
func (t *topic) find(id cluster.NodeID) *interest {
	for i := range t.nodes {
		if t.nodes[i].node == id {
			return &t.nodes[i]
		}
	}
	return nil
}

// take makes a part known unless it is an old one.
func (t *topic) take(id cluster.NodeID, p cluster.Part) {
	in := t.find(id)
	if in == nil {
		t.nodes = append(t.nodes, interest{node: id})
		in = &t.nodes[len(t.nodes)-1]
	}
	if p.Version > in.Version {
		in.Part = p
	}
}

// trim forgets parts without subscriptions. Their versions are not needed: a link keeps the order of a node's messages.
func (t *topic) trim() {
	t.nodes = slices.DeleteFunc(t.nodes, func(in interest) bool { return in.Subscriptions == 0 })
}

// part is the sum of all parts, as the room takes it.
func (t *topic) part() room.Part {
	t.version++
	p := room.Part{Version: uint64(t.version)}
	for i := range t.nodes {
		p.Subscriptions += t.nodes[i].Subscriptions
	}
	return p
}

// receivers are the nodes that are sent what is published to a topic, in order.
func (o *Owner) receivers(t *topic) (ids []cluster.NodeID) {
	for i := range t.nodes {
		ids = append(ids, t.nodes[i].node)
	}
	for id, n := range o.nodes {
		if !n.hasReported && t.find(id) == nil {
			ids = append(ids, id)
		}
	}
	ids = o.patterns.receivers(ids, t.room.Topic())
	slices.Sort(ids)
	return slices.Compact(ids)
}

// topicsOf are the topics in which a node has a part, in order.
func (o *Owner) topicsOf(id cluster.NodeID) (ts []*topic) {
	for t := range o.topics.all() {
		if t.find(id) != nil {
			ts = append(ts, t)
		}
	}
	sortTopics(ts)
	return ts
}

// sorted are all topics, in order.
func (o *Owner) sorted() (ts []*topic) {
	for t := range o.topics.all() {
		ts = append(ts, t)
	}
	sortTopics(ts)
	return ts
}

func sortTopics(ts []*topic) {
	slices.SortFunc(ts, func(a, b *topic) int { return a.room.Topic().Compare(b.room.Topic()) })
}

// drop forgets the part of a node.
func (t *topic) drop(id cluster.NodeID) {
	t.nodes = slices.DeleteFunc(t.nodes, func(in interest) bool { return in.node == id })
}
