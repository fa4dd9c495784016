package order

import (
	"cmp"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/cluster"
)

// keepResults is how many results are kept for each node that gives orders.
const keepResults = 256

// Desk gives the orders of one node, and takes the orders of others. Its methods are called by one goroutine at a time, with
// times that do not go back.
type Desk struct {
	nodes []cluster.NodeID // in order
	out   *cluster.Output

	last    uint64   // number, above all numbers of former processes of the node
	given   []*given // without an outcome, by their numbers
	parties map[cluster.NodeID]*party
}

// given is an order of this node.
type given struct {
	number  uint64
	order   cluster.Order
	ends    time.Duration
	missing []cluster.NodeID
	results []cluster.OrderResult
}

// party is a node that gives orders, in its present life.
type party struct {
	life    cluster.Incarnation
	taken   uint64 // the highest number
	results map[uint64]*cluster.Obeyed
}

// New makes the desk of a node in a life that begins. An answer to an order of a former life is to none of this one. What it wants done goes to out.
func New(life cluster.Incarnation, nodes []cluster.NodeID, out *cluster.Output) *Desk {
	const ordersOfLife = 20 // bits
	return &Desk{
		nodes: slices.Sorted(slices.Values(nodes)), out: out, last: uint64(life) << ordersOfLife, parties: make(map[cluster.NodeID]*party),
	}
}

// Give gives an order. An Ordered ends it.
func (d *Desk) Give(now time.Duration, o cluster.Order, timeout time.Duration) (number uint64) {
	d.last++
	g := &given{number: d.last, order: o, ends: now + timeout, missing: slices.Clone(d.nodes)}
	d.given = append(d.given, g)
	for _, id := range d.nodes {
		d.ask(g, id)
	}
	return g.number
}

func (d *Desk) ask(g *given, id cluster.NodeID) {
	d.out.Add(cluster.Send{To: id, Message: &cluster.Command{Number: g.number, Order: g.order}})
}

// AskAgain asks a node again what it has not answered: a link has dropped messages, or the node has begun another life.
func (d *Desk) AskAgain(id cluster.NodeID) {
	for _, g := range d.given {
		if slices.Contains(g.missing, id) {
			d.ask(g, id)
		}
	}
}

// Reborn begins another life of this node: what was sent to its former life does not come.
func (d *Desk) Reborn() {
	for _, id := range d.nodes {
		d.AskAgain(id)
	}
}

// Receive takes a message of a node.
func (d *Desk) Receive(from cluster.Peer, m cluster.Message) {
	switch m := m.(type) {
	case *cluster.Command:
		d.take(from, m)
	case *cluster.Obeyed:
		d.obeyed(from.Node, m)
	}
}

// take has the node carry an order out that has not come before.
func (d *Desk) take(from cluster.Peer, m *cluster.Command) {
	p := d.parties[from.Node]
	if p == nil || p.life < from.Incarnation {
		p = &party{life: from.Incarnation, results: make(map[uint64]*cluster.Obeyed)}
		d.parties[from.Node] = p
	}
	result, isKnown := p.results[m.Number]
	switch {
	case result != nil:
		d.out.Add(cluster.Send{To: from.Node, Message: result})
	case isKnown || m.Number+keepResults <= p.taken: // the node is at it, or it was long ago
	default:
		p.taken = max(p.taken, m.Number)
		delete(p.results, p.taken-keepResults)
		p.results[m.Number] = nil
		d.out.Add(cluster.Obey{From: from, Number: m.Number, Order: m.Order})
	}
}

// Carried tells that the node has carried an order out.
func (d *Desk) Carried(from cluster.Peer, number uint64, result []byte) {
	p := d.parties[from.Node]
	if p == nil || p.life != from.Incarnation {
		return
	}
	m := &cluster.Obeyed{Number: number, Result: result}
	if _, isKnown := p.results[number]; isKnown {
		p.results[number] = m
	}
	d.out.Add(cluster.Send{To: from.Node, Message: m})
}

// obeyed takes the answer of a node.
func (d *Desk) obeyed(from cluster.NodeID, m *cluster.Obeyed) {
	i, ok := slices.BinarySearchFunc(d.given, m.Number, func(g *given, n uint64) int { return cmp.Compare(g.number, n) })
	if !ok {
		return
	}
	g := d.given[i]
	at := slices.Index(g.missing, from)
	if at < 0 {
		return
	}
	g.missing = slices.Delete(g.missing, at, at+1)
	g.results = append(g.results, cluster.OrderResult{Node: from, Result: m.Result})
	if len(g.missing) == 0 {
		d.end(i)
	}
}

func (d *Desk) end(i int) {
	g := d.given[i]
	d.given = slices.Delete(d.given, i, i+1)
	slices.SortFunc(g.results, func(a, b cluster.OrderResult) int { return cmp.Compare(a.Node, b.Node) })
	d.out.Add(cluster.Ordered{Number: g.number, Results: g.results, Missing: g.missing})
}

// Tick ends orders whose time is over. It is called at the latest at Next.
func (d *Desk) Tick(now time.Duration) {
	for i := 0; i < len(d.given); {
		if now >= d.given[i].ends {
			d.end(i)
		} else {
			i++
		}
	}
}

// Next is when Tick is to be called; zero: not at all.
func (d *Desk) Next() (next time.Duration) {
	for _, g := range d.given {
		if next == 0 || g.ends < next {
			next = g.ends
		}
	}
	return next
}
