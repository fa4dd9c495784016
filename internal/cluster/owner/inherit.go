package owner

import (
	"maps"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/handover"
	"github.com/millrace/millrace/internal/log"
)

// takeHanded takes a piece of what an owner hands over.
func (o *Owner) takeHanded(from cluster.Peer, m *cluster.Handed) {
	var isNext bool
	if o.inheritance, isNext = o.inheritance.Take(from, m); isNext {
		o.send(from.Node, &cluster.Taken{Partition: m.Partition, Term: m.Term, Number: m.Number})
	}
}

// takeInheritance returns what was handed over by the owner of the term just before, if it is whole. In any other term
// another owner may have decided since. A node must be heard in the life that the owner has heard: what is sent to one
// that is not may reach another life.
func (o *Owner) takeInheritance() *handover.Inheritance {
	in := o.inheritance
	o.inheritance = nil
	if in == nil || in.Rest == nil || in.Term+1 != o.term && !o.o.Faults.Has(cluster.FaultHandedLater) {
		return nil
	}
	for i := range in.Rest.Nodes {
		if p := &in.Rest.Nodes[i]; o.nodes[p.Node] == nil || o.nodes[p.Node].Incarnation < p.Incarnation {
			return nil
		}
	}
	return in
}

// After is the term whose owner has handed over to this one; zero: none has.
func (o *Owner) After() log.Term { return o.after }

// inherit goes on where another owner has stopped: there are no reports to wait for, but of nodes that it does not know.
func (o *Owner) inherit(now time.Duration, in *handover.Inheritance) {
	o.after = in.Term
	o.takeover = takeover{isOver: true, isSettled: true}
	heard := o.nodes
	o.inheritNodes(now, in.Rest)
	for _, s := range in.Topics() {
		o.inheritTopic(now, s)
	}
	for _, p := range in.Patterns {
		o.interest.TakePattern(p.Node, p.PatternReport)
	}
	for _, id := range slices.Sorted(maps.Keys(heard)) {
		o.Alive(now, heard[id].Peer)
	}
	for _, id := range o.aliveNodes() {
		if !o.interest.IsSettled(id) {
			o.send(id, &cluster.AskReport{Partition: o.o.Partition, Term: o.term})
		}
	}
	for _, f := range in.Queue {
		if p, ok := f.Message.(*cluster.Publish); ok && o.nodes[f.From.Node] != nil {
			o.nodes[f.From.Node].answers.Ask(p.Request)
		}
		o.load(f.Message)
		o.queue.add(request{f.From, f.Message})
	}
}

// inheritNodes takes the nodes for alive that another owner has taken for alive, and no others.
func (o *Owner) inheritNodes(now time.Duration, rest *cluster.HandedRest) {
	heard := o.aliveNodes()
	o.nodes, o.dropped = make(map[cluster.NodeID]*node), make(map[cluster.NodeID]cluster.Incarnation)
	for _, s := range rest.Nodes {
		o.nodes[s.Node] = &node{Peer: s.Peer}
		o.contacts.Alive(s.Peer)
		if !s.IsKnown {
			o.interest.Await(s.Node)
		}
	}
	for _, id := range heard {
		if o.nodes[id] == nil {
			o.contacts.Gone(now, id)
		}
	}
	for _, p := range rest.Dropped {
		o.dropped[p.Node] = p.Incarnation
	}
}

// inheritTopic makes a topic what another owner had. Nodes that are interested hear of a stream that is not the same.
func (o *Owner) inheritTopic(now time.Duration, s *cluster.TopicState) {
	t := o.interest.Restore(now, s)
	if s.StreamID != "" || t.Stream() == nil {
		return
	}
	for _, id := range t.Nodes() {
		o.send(id, &cluster.Stands{Partition: o.o.Partition, Term: o.term, Topic: *t.Topic(), Position: o.interest.Position(t)})
	}
}
