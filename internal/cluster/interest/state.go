package interest

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/room"
)

// Versions are all topics in order, with numbers that grow with each change of what State tells of a topic.
func (s *Table) Versions() iter.Seq2[*protocol.Topic, uint64] {
	return func(yield func(*protocol.Topic, uint64) bool) {
		for _, t := range s.Topics() {
			if !yield(t.Topic(), t.version) {
				return
			}
		}
	}
}

// Version is the number of a topic, as Versions tells it.
func (t *Topic) Version() uint64 { return t.version }

// State is what there is of a topic, for another owner. A stream of which the log has not told yet is not in it.
func (t *Topic) State(now time.Duration) cluster.TopicState {
	s := cluster.TopicState{Topic: t.Topic()}
	for _, p := range t.nodes {
		s.Nodes = append(s.Nodes, cluster.NodePart{Node: p.Node, Part: p.Part})
	}
	for _, p := range slices.SortedFunc(maps.Keys(t.places), func(a, b Place) int { return cmp.Compare(t.places[a], t.places[b]) }) {
		said := t.Said(p.Subscriber)
		s.Members = append(s.Members, cluster.PlaceState{Node: p.Node, Subscriber: p.Subscriber, Order: t.places[p], Member: &said})
	}
	if s.Retained = t.Retained(now); s.Retained != nil {
		_, s.RetainFor = t.Room.Retained(now)
	}
	if x := t.stream; x != nil && !x.isLoading {
		s.StreamID, s.Delivered, s.Ring = x.id, x.delivered, slices.Clip(x.ring)
	}
	return s
}

// Restore makes a topic what State has told of it at another owner. The topic has a stream of its own if that has none.
func (s *Table) Restore(now time.Duration, state *cluster.TopicState) *Topic {
	t := &Topic{Room: room.New(new(*state.Topic)), version: s.floor + 1}
	s.topics[state.Topic.Kind].Add(t)
	for _, p := range state.Nodes {
		t.nodes.take(p.Node, p.Part)
	}
	if !t.Kind().HasMembers() {
		_, _ = t.Join(now, room.Join{}) // nothing is told
	}
	if len(state.Members) > 0 {
		t.places = make(map[Place]uint64)
	}
	for _, p := range state.Members {
		t.places[Place{p.Node, p.Subscriber}] = p.Order
		_, _ = t.Join(now, room.Join{Subscriber: p.Subscriber, Member: p.Member})
	}
	if state.Retained != nil {
		t.Retain(now, state.Retained, state.RetainFor)
	}
	if state.StreamID != "" {
		t.stream = &Stream{id: state.StreamID, next: state.Delivered + 1, delivered: state.Delivered, ring: state.Ring}
	}
	return s.withStream(t)
}

// Patterns are the parts of nodes in patterns, in order.
func (s *Table) Patterns() (list []cluster.NodePattern) {
	for _, app := range slices.Sorted(maps.Keys(s.patterns)) {
		s.patterns[app].All(func(text string, p *pattern) {
			for _, in := range p.nodes {
				r := cluster.PatternReport{Pattern: cluster.Pattern{App: app, Text: text}, Part: in.Part}
				list = append(list, cluster.NodePattern{Node: in.Node, PatternReport: r})
			}
		})
	}
	return list
}
