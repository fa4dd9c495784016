package interest

import (
	"cmp"
	"slices"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/protocol"
)

// Report is what a node has, as it reports it piece by piece. The zero Report has no piece yet.
type Report struct {
	Topics   []*cluster.TopicReport
	Patterns []cluster.PatternReport
	by       map[protocol.Topic]*cluster.TopicReport
}

// Add adds a piece.
func (r *Report) Add(m *cluster.Report) {
	if r.by == nil {
		r.by = make(map[protocol.Topic]*cluster.TopicReport)
	}
	for i := range m.Topics {
		t := &m.Topics[i]
		r.Topics, r.by[*t.Topic] = append(r.Topics, t), t
	}
	r.Patterns = append(r.Patterns, m.Patterns...)
}

// HasBegun reports whether there is a piece.
func (r *Report) HasBegun() bool { return r.by != nil }

// Has reports whether a connection is in a topic by the report.
func (r *Report) Has(t *protocol.Topic, id protocol.SocketID) bool { return r.by[*t].Has(id) }

// Departure is what a node has no more in a topic: some places, or its part.
type Departure struct {
	Topic  *Topic
	Places []Place
}

// NotIn lists what a node has that is not in its report, in the order of topics, and ends its subscriptions in topics that
// the report does not have.
func (s *Table) NotIn(r *Report, id cluster.NodeID) (ds []Departure) {
	for _, t := range s.TopicsOf(id) {
		reported := r.by[*t.Topic()]
		if reported == nil {
			t.End(id)
		}
		gone := slices.DeleteFunc(t.PlacesOf(id), func(p Place) bool { return reported.Has(p.Subscriber) })
		if len(gone) > 0 || reported == nil {
			ds = append(ds, Departure{t, gone})
		}
	}
	return ds
}

// Reports are what nodes report to an owner that begins: which nodes have not done so, and which members rooms do not have
// yet. The zero Reports expects none.
type Reports struct {
	missing map[cluster.NodeID]struct{}
	members []Reported
}

// Reported is one member as a node has reported it.
type Reported struct {
	Place
	Topic  protocol.Topic
	Member *protocol.Member
	Order  uint64 // of its join; zero: not known
}

// Expect notes that a node is to report.
func (r *Reports) Expect(id cluster.NodeID) {
	if r.missing == nil {
		r.missing = make(map[cluster.NodeID]struct{})
	}
	r.missing[id] = struct{}{}
}

// Done notes that a node has reported.
func (r *Reports) Done(id cluster.NodeID) { delete(r.missing, id) }

// IsComplete reports whether all nodes have reported that still may; others are not expected any more.
func (r *Reports) IsComplete(may func(cluster.NodeID) bool) bool {
	for id := range r.missing {
		if !may(id) {
			delete(r.missing, id)
		}
	}
	return len(r.missing) == 0
}

// Add adds the members of a topic at a node.
func (r *Reports) Add(id cluster.NodeID, t *cluster.TopicReport) {
	for _, m := range t.Members {
		r.members = append(r.members, Reported{Place{id, m.Subscriber}, *t.Topic, m.Member, m.Order})
	}
}

// Forget forgets the members at a node that were not taken.
func (r *Reports) Forget(id cluster.NodeID) {
	r.members = slices.DeleteFunc(r.members, func(m Reported) bool { return m.Node == id })
}

// HasMembers reports whether there are any to take.
func (r *Reports) HasMembers() bool { return len(r.members) > 0 }

// Take takes all members, by topic, in the order in which they joined; those whose order is not known are last.
func (r *Reports) Take() []Reported {
	ms := r.members
	r.members = nil
	slices.SortStableFunc(ms, func(a, b Reported) int {
		return cmp.Or(a.Topic.Compare(&b.Topic), cmp.Compare(a.Order-1, b.Order-1)) // zero is last
	})
	return ms
}
