package model

import (
	"slices"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/protocol"
)

// Quotas checks the limit of an app's connections, which nodes borrow from its owner.
type Quotas struct {
	report

	// Window is how far back the limit may have been reached when a connection is refused.
	Window time.Duration

	nodes   *Nodes
	budgets map[string]*budget
}

// budget is what an app has.
type budget struct {
	app     string
	limit   int
	shares  []*share
	samples []load // the last is true now
}

// share is what one node has of a budget.
type share struct {
	node   cluster.NodeID
	conns  []admitted
	unused int // borrowed, and not used
	lent   int // sent to the node last, as connections that it may have: it may not have got it
	held   int // what it had when it died, until the owner has learned that
}

// admitted is a connection.
type admitted struct {
	socket protocol.SocketID
	at     time.Duration
}

// load is what the owner must take as in use, from a moment on.
type load struct {
	at    time.Duration
	total int
}

// NewQuotas makes quotas of apps without connections.
func NewQuotas(nodes *Nodes) *Quotas {
	return &Quotas{report: report{name: "quotas"}, Window: time.Second, nodes: nodes, budgets: map[string]*budget{}}
}

// ObserveLimit notes how many connections an app may have. The limit stays as it is.
func (q *Quotas) ObserveLimit(app string, limit int) {
	q.budgets[app] = &budget{app: app, limit: limit, samples: []load{{}}}
}

func (b *budget) share(node cluster.NodeID) *share {
	for _, s := range b.shares {
		if s.node == node {
			return s
		}
	}
	s := &share{node: node}
	b.shares = append(b.shares, s)
	return s
}

// ObserveAdmitted notes that a node has admitted a connection. The limit holds for what nodes have admitted while they have
// been in contact.
func (q *Quotas) ObserveAdmitted(now time.Duration, node cluster.NodeID, app string, socket protocol.SocketID) {
	b := q.budgets[app]
	if b == nil {
		return
	}
	s := b.share(node)
	s.conns = append(s.conns, admitted{socket, now})
	q.note(now, b)
	if !q.nodes.isInContact(node, now) {
		return
	}
	n := 0
	for _, s := range b.shares {
		for _, c := range s.conns {
			if q.nodes.isInContact(s.node, c.at) {
				n++
			}
		}
	}
	if n > b.limit {
		q.violated(now, "%s admits connection %d of %s, which may have %d", node, n, app, b.limit)
	}
}

// ObserveClosed notes that a connection of a node has ended.
func (q *Quotas) ObserveClosed(now time.Duration, node cluster.NodeID, app string, socket protocol.SocketID) {
	if b := q.budgets[app]; b != nil {
		s := b.share(node)
		s.conns = slices.DeleteFunc(s.conns, func(c admitted) bool { return c.socket == socket })
		q.note(now, b)
	}
}

// ObserveLent notes how many connections a node may still admit without asking.
func (q *Quotas) ObserveLent(now time.Duration, node cluster.NodeID, app string, unused int) {
	if b := q.budgets[app]; b != nil {
		b.share(node).unused = unused
		q.note(now, b)
	}
}

// ObserveSent notes that an owner has sent a loan to a node: it may have so many connections.
func (q *Quotas) ObserveSent(now time.Duration, node cluster.NodeID, app string, amount int) {
	if b := q.budgets[app]; b != nil {
		b.share(node).lent = amount
		q.note(now, b)
	}
}

// idle is the most that the node may have borrowed and not used.
func (s *share) idle() int { return max(s.unused, s.lent-len(s.conns)) }

// ObserveRefused notes that a node has refused a connection because of the limit. That is right if the limit was reached within the
// window by the connections that there were, and by what nodes out of contact had borrowed. The owner can call back what
// other nodes have borrowed.
func (q *Quotas) ObserveRefused(now time.Duration, node cluster.NodeID, app string) {
	b := q.budgets[app]
	if b == nil || !q.nodes.isInContact(node, now-q.Window) {
		return
	}
	most := 0
	for i, s := range b.samples {
		if i+1 == len(b.samples) || b.samples[i+1].at >= now-q.Window {
			most = max(most, s.total)
		}
	}
	if most < b.limit {
		q.violated(now, "%s refuses a connection of %s, which has had %d in use and may have %d", node, app, most, b.limit)
	}
}

// kill notes that a node has died. What it had stays in use until the owner has learned that.
func (q *Quotas) kill(now time.Duration, node cluster.NodeID) {
	for _, b := range q.budgets {
		s := b.share(node)
		s.held, s.unused, s.lent, s.conns = s.held+len(s.conns)+s.idle(), 0, 0, nil
		q.note(now, b)
	}
}

// ObserveDead notes that the owner has learned that a node has died.
func (q *Quotas) ObserveDead(now time.Duration, node cluster.NodeID) {
	for _, b := range q.budgets {
		b.share(node).held = 0
		q.note(now, b)
	}
}

// noteAll notes that nodes have come into contact, or have lost it.
func (q *Quotas) noteAll(now time.Duration) {
	for _, b := range q.budgets {
		q.note(now, b)
	}
}

// note takes a sample. It keeps the one that was true at the beginning of the window.
func (q *Quotas) note(now time.Duration, b *budget) {
	total := 0
	for _, s := range b.shares {
		if total += len(s.conns) + s.held; !q.nodes.isInContact(s.node, now) {
			total += s.idle()
		}
	}
	if b.samples[len(b.samples)-1].total == total {
		return
	}
	b.samples = append(b.samples, load{now, total})
	old := 0
	for old+1 < len(b.samples) && b.samples[old+1].at < now-q.Window {
		old++
	}
	b.samples = b.samples[old:]
}
