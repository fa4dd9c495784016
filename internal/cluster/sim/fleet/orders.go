package fleet

import (
	"slices"
	"time"

	"github.com/millrace/millrace/internal/cluster"
)

// orderTime is how long an order waits.
const orderTime = 2 * time.Second

// orders watches what all nodes are to do: each life of a node does it once, and the outcome is right about who has.
type orders struct {
	fleet *Fleet
	given map[orderID]*orderState
	ends  int
	late  int // outcomes with missing nodes
}

// orderID is an order of one process.
type orderID struct {
	node   cluster.NodeID
	life   cluster.Incarnation
	number uint64
}

// command is an order as it comes to a node: a life of the giver may ask again what a former one has asked.
type command struct {
	from   cluster.Peer
	number uint64
}

// orderState is what has become of an order.
type orderState struct {
	given   time.Duration
	carried map[cluster.NodeID]bool
	isOver  bool
}

func newOrders(f *Fleet) orders { return orders{fleet: f, given: make(map[orderID]*orderState)} }

// order has the node give an order.
func (m *member) order(kind cluster.OrderKind) {
	f := m.fleet
	m.do(func(now time.Duration) {
		number := m.machine.Give(now, cluster.Order{Kind: kind, App: app}, orderTime)
		f.orders.given[orderID{m.id, m.lives, number}] = &orderState{given: f.now(), carried: make(map[cluster.NodeID]bool)}
	})
}

// obeyed has a node carry an order out, which takes some time.
func (s *orders) obeyed(m *member, e cluster.Obey) {
	o := s.given[orderID{e.From.Node, e.From.Incarnation >> 16, e.Number}]
	if o == nil {
		s.fleet.breaks("order: %s carries out %d of %s, which has not given it", m.id, e.Number, e.From.Node)
		return
	}
	c := command{e.From, e.Number}
	if m.guests.carried[c] {
		s.fleet.breaks("order: %s carries out %d of %s twice", m.id, e.Number, e.From.Node)
	}
	m.guests.carried[c], o.carried[m.id] = true, true
	m.node.Post(time.Millisecond, func() {
		m.do(func(now time.Duration) { m.machine.Carried(now, e, []byte(m.id)) })
	})
}

func (s *orders) ended(m *member, e cluster.Ordered) {
	o := s.given[orderID{m.id, m.lives, e.Number}]
	if o.isOver {
		s.fleet.breaks("order: %s has two outcomes of %d", m.id, e.Number)
	}
	o.isOver = true
	s.ends++
	named := slices.Clone(e.Missing)
	for _, r := range e.Results {
		named = append(named, r.Node)
		if !o.carried[r.Node] || string(r.Result) != string(r.Node) {
			s.fleet.breaks("order: %s has %q of %s for %d", m.id, r.Result, r.Node, e.Number)
		}
	}
	slices.Sort(named)
	if !slices.Equal(named, slices.Sorted(slices.Values(s.fleet.names))) {
		s.fleet.breaks("order: the outcome of %d at %s names %v", e.Number, m.id, named)
	}
	if len(e.Missing) > 0 {
		s.late++
		if s.fleet.isQuiet {
			s.fleet.breaks("order: %v have not carried out %d of %s at a quiet moment", e.Missing, e.Number, m.id)
		}
	}
}

// checkQuiet sees that every order has an outcome whose node lives.
func (s *orders) checkQuiet() {
	for id, o := range s.given {
		m := s.fleet.nodes[id.node]
		if m.machine != nil && m.lives == id.life && !o.isOver {
			s.fleet.breaks("order: %d of %s has no outcome", id.number, id.node)
		}
	}
}
