package contact

import (
	"maps"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/budget"
	"github.com/millrace/millrace/internal/log"
)

// Options of a register. Nodes, Limit and Rate are required; zero fields mean the default.
type Options struct {
	Partition cluster.Partition    // default 0
	Nodes     []cluster.NodeID     // all nodes, alive or not
	Limit     func(app string) int // how many connections an app may have
	Rate      func(app string) int // how many events in a second an app may have
	Faults    cluster.Faults       // of the simulator's tests; default none
}

// Register is the contacts of one owner with nodes. Its methods are called by one goroutine at a time, with times that do
// not go back.
type Register struct {
	o         Options
	out       *cluster.Output
	nodes     map[cluster.NodeID]*node // that are alive
	documents documents                // as of all that the log of the owner's node has

	// In a term.
	term      log.Term         // zero: there is none
	lender    *budget.Lender   // nil without a term
	splitter  *budget.Splitter // nil without a term
	deciding  []*Change        // not stored
	spreading []*Change        // stored, and not answered
}

// node is a node that is alive, and what it has told in the term.
type node struct {
	cluster.Peer
	renewed    uint64 // the number of its last Renew
	wantsWhole bool
	state      uint64 // number of the state that it has
}

// New makes the register of an owner. What it wants done goes to out.
func New(out *cluster.Output, o Options) *Register {
	return &Register{o: o, out: out, nodes: make(map[cluster.NodeID]*node), documents: newDocuments()}
}

// Begin begins a term in which no node has told what it has.
func (r *Register) Begin(term log.Term) {
	r.End()
	r.term = term
	r.lender = budget.NewLender(term, r.out, budget.LenderOptions{
		Partition: r.o.Partition, Nodes: r.o.Nodes, Limit: r.o.Limit, Faults: r.o.Faults,
	})
	r.splitter = budget.NewSplitter(len(r.o.Nodes), r.o.Rate)
	for id, n := range r.nodes {
		r.nodes[id] = &node{Peer: n.Peer}
	}
	r.documents.beginTerm()
}

// End ends the term. Changes that were not answered may be stored.
func (r *Register) End() {
	r.term, r.lender, r.splitter, r.deciding, r.spreading = 0, nil, nil, nil, nil
}

// Alive tells of a life of a node that begins.
func (r *Register) Alive(p cluster.Peer) {
	r.nodes[p.Node] = &node{Peer: p}
	if r.term != 0 {
		r.lender.Alive(p.Node)
	}
}

// Gone tells of a node that is not there, whether it was alive or was never heard.
func (r *Register) Gone(now time.Duration, id cluster.NodeID) {
	delete(r.nodes, id)
	if r.term != 0 {
		r.lender.Gone(now, id)
		r.splitter.Gone(id)
	}
}

// Renew takes what a node has, and answers that it is in contact.
func (r *Register) Renew(now time.Duration, from cluster.Peer, m *cluster.Renew) {
	n := r.nodes[from.Node]
	if m.Term != r.term || n == nil {
		return
	}
	n.wantsWhole = !m.IsWhole && (n.wantsWhole || m.Number != n.renewed+1)
	n.renewed, n.state = m.Number, m.State
	r.lender.Renew(now, from.Node, m.Loans, m.IsWhole)
	answer := &cluster.Renewed{
		Partition: r.o.Partition, Term: r.term, Sent: m.Sent, State: r.documents.number, WantsWhole: n.wantsWhole,
	}
	for _, d := range m.Demands {
		answer.Shares = append(answer.Shares, cluster.RateShare{App: d.App, PerSecond: r.splitter.Share(from.Node, d)})
	}
	r.send(from.Node, answer)
	r.settle(now)
}

// Unaware are nodes that are alive and have not renewed their contact in the term: they may not know of it.
func (r *Register) Unaware() (ids []cluster.NodeID) {
	if r.term == 0 {
		return nil
	}
	for _, id := range r.alive() {
		if r.nodes[id].renewed == 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

// Tick does what has become due, in a term.
func (r *Register) Tick(now time.Duration) {
	r.lender.Tick(now)
	r.settle(now)
}

// Next is when Tick is to be called, in a term; zero: not at all.
func (r *Register) Next() time.Duration {
	next := r.lender.Next()
	for _, c := range r.spreading {
		if next == 0 || c.ends < next {
			next = c.ends
		}
	}
	return next
}

// alive are the nodes that are alive, in order.
func (r *Register) alive() []cluster.NodeID { return slices.Sorted(maps.Keys(r.nodes)) }

// reply answers a node in the life in which it has asked: another life has requests of its own with the same numbers.
func (r *Register) reply(to cluster.Peer, m cluster.Message) {
	if n := r.nodes[to.Node]; n != nil && n.Incarnation == to.Incarnation {
		r.send(to.Node, m)
	}
}

func (r *Register) send(to cluster.NodeID, m cluster.Message) {
	r.out.Add(cluster.Send{To: to, Message: m})
}
