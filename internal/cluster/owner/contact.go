package owner

import (
	"maps"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/budget"
)

// contact is what a node has told in its life and in the term.
type contact struct {
	renewed    uint64 // the number of its last Renew
	wantsWhole bool
	state      uint64 // number of the state that it has
}

// beginContacts begins a term in which no node has told what it has.
func (o *Owner) beginContacts() {
	o.lender = budget.NewLender(o.term, o.out, budget.LenderOptions{
		Partition: o.o.Partition, Nodes: o.allNodes(), Limit: o.o.Limit, Faults: o.o.Faults,
	})
	o.splitter = budget.NewSplitter(1+len(o.o.Nodes), o.o.Rate)
	for _, n := range o.nodes {
		n.contact = contact{}
	}
	o.documents.BeginTerm()
}

// allNodes are all nodes, in an order that is the same each time.
func (o *Owner) allNodes() []cluster.NodeID { return append([]cluster.NodeID{o.o.Self}, o.o.Nodes...) }

// alive tells of a life of a node that begins.
func (o *Owner) alive(id cluster.NodeID) {
	if o.lender != nil {
		o.lender.Alive(id)
	}
}

// renewContact takes what a node has, and answers that it is in contact.
func (o *Owner) renewContact(now time.Duration, from cluster.Peer, m *cluster.Renew) {
	if m.Term != o.term {
		return
	}
	c := &o.nodes[from.Node].contact
	c.wantsWhole = !m.IsWhole && (c.wantsWhole || m.Number != c.renewed+1)
	c.renewed, c.state = m.Number, m.State
	o.lender.Renew(now, from.Node, m.Loans, m.IsWhole)
	answer := &cluster.Renewed{
		Partition: o.o.Partition, Term: o.term, Sent: m.Sent, State: o.documents.Number(), WantsWhole: c.wantsWhole,
	}
	for _, d := range m.Demands {
		answer.Shares = append(answer.Shares, cluster.RateShare{App: d.App, PerSecond: o.splitter.Share(from.Node, d)})
	}
	o.send(from.Node, answer)
	o.settleChanges(now)
}

// tickContacts does what has become due for budgets and state.
func (o *Owner) tickContacts(now time.Duration) {
	if o.term != 0 && o.lease.IsValid(now) {
		o.lender.Tick(now)
		o.settleChanges(now)
	}
}

// nextContact is when tickContacts is to be called; zero: not at all.
func (o *Owner) nextContact() time.Duration {
	next := o.lender.Next()
	for _, c := range o.spreading {
		if next == 0 || c.ends < next {
			next = c.ends
		}
	}
	if next <= o.ticked {
		return 0 // it waits for the lease
	}
	return next
}

// Unaware are nodes that are alive and have not renewed their contact in the term: they may not know of it.
func (o *Owner) Unaware() (ids []cluster.NodeID) {
	if o.term == 0 {
		return nil
	}
	for _, id := range o.aliveNodes() {
		if o.nodes[id].contact.renewed == 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

// mayBeAlive reports whether a node is alive, or was never heard.
func (o *Owner) mayBeAlive(id cluster.NodeID) bool { return o.nodes[id] != nil || o.unheard[id] }

// aliveNodes are the nodes that are alive, in order.
func (o *Owner) aliveNodes() []cluster.NodeID { return slices.Sorted(maps.Keys(o.nodes)) }
