package interest

import (
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"iter"
	"slices"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/keyed"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/room"
)

// Options of a table. Partition, Term, RingCount and HasRing are required; zero fields mean the default.
type Options struct {
	Partition cluster.Partition
	Term      log.Term
	RingCount int                        // publications that a ring keeps
	HasRing   func(*protocol.Topic) bool // says which topics have a stream that is not logged
	Streams   string                     // begins the identities of these, where terms do not tell them apart; default none
	Faults    cluster.Faults             // of the simulator's tests; default none
}

// Table is who wants what in one partition, in one term.
type Table struct {
	o        Options
	topics   [protocol.NumTopicKinds]keyed.Table[protocol.TopicName, *Topic]
	patterns patterns
	unknown  map[cluster.NodeID]struct{} // nodes that have not reported what they want: they are sent everything
	streams  int                         // that were made, for their identities
	offset   uint64                      // the last serial of topics without streams
	entered  uint64                      // members
	floor    uint64                      // no topic that was removed had a higher version
}

// New is the table of a term that begins.
func New(o Options) Table {
	return Table{o: o, patterns: make(patterns), unknown: make(map[cluster.NodeID]struct{})}
}

// Find finds a topic; nil: there is nothing of it.
func (s *Table) Find(t *protocol.Topic) *Topic { return s.topics[t.Kind].Get(t.Key()) }

// Topic finds or makes a topic.
func (s *Table) Topic(t *protocol.Topic) *Topic {
	if tp := s.Find(t); tp != nil {
		return s.withStream(tp)
	}
	return s.Keep(new(*t))
}

// Keep finds or makes a topic, as Topic does, for a name that may be kept: it does not change.
func (s *Table) Keep(t *protocol.Topic) *Topic {
	tp := s.Find(t)
	if tp == nil {
		tp = &Topic{Room: room.New(t), version: s.floor + 1}
		s.topics[t.Kind].Add(tp)
	}
	return s.withStream(tp)
}

// withStream begins the stream of a topic that keeps a ring.
func (s *Table) withStream(tp *Topic) *Topic {
	if t := tp.Topic(); tp.stream == nil && s.o.HasRing(t) {
		tp.version++
		tp.stream = &Stream{id: s.newStreamID(t), next: 1}
	}
	return tp
}

// RemoveIfEmpty forgets a topic of which nothing is known that matters.
func (s *Table) RemoveIfEmpty(t *Topic) {
	if t.isEmpty() {
		s.floor = max(s.floor, t.version)
		s.topics[t.Topic().Kind].Remove(t.Key())
	}
}

// Load begins the stream of a topic that is logged, before the log has told where it stands. It reports false if the
// stream is there.
func (s *Table) Load(t *protocol.Topic) bool {
	tp := s.Topic(t)
	if tp.stream != nil {
		return false
	}
	tp.stream = &Stream{isLoading: true}
	return true
}

// Loaded notes where the stream of a topic stands by the log. It reports false if no stream waits for that.
func (s *Table) Loaded(t *protocol.Topic, l log.Stream) bool {
	if !s.IsLoading(t) {
		return false
	}
	tp, next := s.Find(t), max(l.Next, 1)
	tp.version++
	*tp.stream = Stream{id: l.ID, next: next, delivered: next - 1}
	if l.ID == "" {
		tp.stream.id = s.newStreamID(t) // of its first publication, if there is ever one
	}
	return true
}

// IsLoading reports whether the log has not told yet where the stream of a topic stands.
func (s *Table) IsLoading(t *protocol.Topic) bool {
	tp := s.Find(t)
	return tp != nil && tp.stream != nil && tp.stream.isLoading
}

// newStreamID draws an identity that no stream has had: terms are never repeated, and within one the number grows.
func (s *Table) newStreamID(t *protocol.Topic) string {
	s.streams++
	h := fnv.New128a()
	term, number := uint64(s.o.Term), s.streams
	if s.o.Faults.Has(cluster.FaultStreamKept) {
		term, number = 0, 0
	}
	fmt.Fprintf(h, "%s/%d/%d/%d/%d/%s/%s", s.o.Streams, s.o.Partition, term, number, t.Kind, t.App, t.Name)
	return hex.EncodeToString(h.Sum(nil))
}

// NextOffset is the serial of the next publication of a topic without a stream.
func (s *Table) NextOffset() uint64 {
	s.offset++
	return s.offset
}

// Position is up to where a topic was delivered.
func (s *Table) Position(t *Topic) cluster.Position {
	if t.stream == nil {
		return cluster.Position{Serial: s.offset}
	}
	return cluster.Position{StreamID: t.stream.id, Serial: t.stream.delivered}
}

// Deliver notes that publications of a topic are delivered, and returns the nodes that are sent them, in order.
func (s *Table) Deliver(t *Topic, ps []*cluster.Publication) []cluster.NodeID {
	t.version++
	if t.stream != nil {
		t.stream.deliver(ps, s.o.RingCount)
	}
	return s.receivers(t)
}

// receivers are the nodes that may want what is published to a topic, in order.
func (s *Table) receivers(t *Topic) (ids []cluster.NodeID) {
	for i := range t.nodes {
		ids = append(ids, t.nodes[i].Node)
	}
	for id := range s.unknown {
		ids = append(ids, id)
	}
	ids = s.patterns.receivers(ids, t.Topic())
	slices.Sort(ids)
	return slices.Compact(ids)
}

// Await notes a node that has not reported yet what it wants: until it has, it is sent everything.
func (s *Table) Await(id cluster.NodeID) { s.unknown[id] = struct{}{} }

// Settle notes that all is known that a node wants, or that it is gone: it is sent nothing else any more.
func (s *Table) Settle(id cluster.NodeID) { delete(s.unknown, id) }

// IsSettled reports whether all is known that a node wants.
func (s *Table) IsSettled(id cluster.NodeID) bool {
	_, isUnknown := s.unknown[id]
	return !isUnknown
}

// Enter notes which node has a connection that is a member. It returns the number of the join: a later one is greater.
func (s *Table) Enter(t *Topic, p Place) (order uint64) {
	if t.places == nil {
		t.places = make(map[Place]uint64)
	}
	s.entered++
	order = uint64(s.o.Term)<<32 | s.entered
	t.places[p] = order
	return order
}

// TopicsOf are the topics in which a node has a part, in order.
func (s *Table) TopicsOf(id cluster.NodeID) []*Topic {
	return s.sorted(func(t *Topic) bool { return t.IsWantedBy(id) })
}

// Topics are all topics, in order.
func (s *Table) Topics() []*Topic { return s.sorted(func(*Topic) bool { return true }) }

func (s *Table) sorted(is func(*Topic) bool) (ts []*Topic) {
	for t := range s.all() {
		if is(t) {
			ts = append(ts, t)
		}
	}
	slices.SortFunc(ts, func(a, b *Topic) int { return a.Topic().Compare(b.Topic()) })
	return ts
}

// all are all topics, in no order.
func (s *Table) all() iter.Seq[*Topic] {
	return func(yield func(*Topic) bool) {
		for kind := range s.topics {
			for t := range s.topics[kind].All() {
				if !yield(t) {
					return
				}
			}
		}
	}
}
