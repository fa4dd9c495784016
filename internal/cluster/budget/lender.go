package budget

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/log"
)

// maxShare is how much is lent at once.
const maxShare = 64

// LenderOptions are of one lender. Nodes and Limit are required; zero durations mean the default.
type LenderOptions struct {
	Partition cluster.Partition
	Nodes     []cluster.NodeID
	// Limit is how many connections an app may have. An app with a limit of 0 may have as many as it wants.
	Limit func(app string) int
	// CallBack is how long nodes have to give back what they do not use; default 200 ms.
	CallBack time.Duration
	// Grace is how long after the beginning of a term a node that is gone may still admit from a loan of the former
	// owner; default 2 s.
	Grace  time.Duration
	Faults cluster.Faults // of the simulator's tests
}

const (
	defaultCallBack = 200 * time.Millisecond
	defaultGrace    = 2 * time.Second
)

// Lender lends the budgets of the apps of one partition, in one term. Its methods are called by one goroutine at a
// time, with times that do not go back, while its node owns the partition under a valid lease.
type Lender struct {
	o    LenderOptions
	out  *cluster.Output
	term log.Term

	since   time.Duration // the first Tick
	now     time.Duration // the last one
	isBegun bool
	told    map[cluster.NodeID]bool // nodes that have told all their loans in their present life
	gone    map[cluster.NodeID]bool
	isOpen  bool // what every node has is known
	apps    map[string]*account
}

// account is what was lent of the budget of one app.
type account struct {
	app   string
	debts []*debt // in the order of nodes
	asks  []ask   // that wait, in their order
	round round
}

// debt is what one node may have.
type debt struct {
	node     cluster.NodeID
	amount   int
	used     int // as the node has told last
	version  uint64
	answered cluster.Lent // the last answer
}

// ask is a question for more.
type ask struct {
	node     cluster.NodeID
	number   uint64
	isUrgent bool
}

// round is the calling back of what nodes do not use.
type round struct {
	number uint64
	waits  []cluster.NodeID
	isOpen bool
	isOver bool          // its outcome does not count: something was lent since
	ends   time.Duration // of the round; after it, until when its outcome counts
}

// NewLender makes the lender of a term that begins. What it wants done goes to out.
func NewLender(term log.Term, out *cluster.Output, o LenderOptions) *Lender {
	o.CallBack = cmp.Or(o.CallBack, defaultCallBack)
	o.Grace = cmp.Or(o.Grace, defaultGrace)
	return &Lender{
		o: o, out: out, term: term,
		told: make(map[cluster.NodeID]bool), gone: make(map[cluster.NodeID]bool), apps: make(map[string]*account),
	}
}

// Alive tells of a node in a life that begins: what the former life had may be used until the node has told what
// it has.
func (l *Lender) Alive(node cluster.NodeID) {
	delete(l.told, node)
	delete(l.gone, node)
	for _, a := range l.apps {
		if d := a.find(node); d != nil {
			d.version, d.answered = 0, cluster.Lent{}
		}
		a.forget(node)
	}
}

// Gone tells of a node that is dead: what it had returns.
func (l *Lender) Gone(now time.Duration, node cluster.NodeID) {
	if l.gone[node] {
		return
	}
	l.gone[node] = true
	delete(l.told, node)
	for _, a := range l.apps {
		a.debts = slices.DeleteFunc(a.debts, func(d *debt) bool { return d.node == node })
		a.forget(node)
	}
	l.serveAll(now)
}

// forget forgets what a node has asked, and does not wait for its answer.
func (a *account) forget(node cluster.NodeID) {
	a.asks = slices.DeleteFunc(a.asks, func(q ask) bool { return q.node == node })
	a.answers(node)
}

// Renew takes what a node has. The first one of a life that counts is a whole one, with everything that the node has.
func (l *Lender) Renew(now time.Duration, node cluster.NodeID, loans []cluster.Loan, isWhole bool) {
	if !isWhole && !l.told[node] {
		return
	}
	if !l.told[node] {
		l.told[node] = true
		for _, a := range l.apps {
			if d := a.find(node); d != nil {
				d.amount, d.used = 0, 0
			}
		}
	}
	for i := range loans {
		l.take(now, node, &loans[i])
	}
	if isWhole {
		l.serveAll(now)
	}
}

// take takes one loan. What a node has returned counts only if it has taken all that was lent to it.
func (l *Lender) take(now time.Duration, node cluster.NodeID, m *cluster.Loan) {
	a := l.apps[m.App]
	if a == nil {
		a = &account{app: m.App}
		l.apps[m.App] = a
	}
	d := a.debt(node)
	d.used = m.Used
	if m.Version != d.version {
		d.amount = max(d.amount, m.Held)
	} else {
		d.amount = m.Held
	}
	if a.round.isOpen && m.Answers >= a.round.number {
		a.answers(node)
	}
	l.hear(a, d, m)
	l.serve(now, a)
}

// hear takes the question of a node, unless it is answered.
func (l *Lender) hear(a *account, d *debt, m *cluster.Loan) {
	if m.Ask == 0 {
		return
	}
	if m.Ask == d.answered.Ask {
		l.send(d.node, &d.answered)
		return
	}
	a.asks = slices.DeleteFunc(a.asks, func(q ask) bool { return q.node == d.node && q.number != m.Ask })
	for i := range a.asks {
		if a.asks[i].node == d.node {
			a.asks[i].isUrgent = m.IsUrgent
			return
		}
	}
	a.asks = append(a.asks, ask{d.node, m.Ask, m.IsUrgent})
}

// answers notes that the round does not wait for a node any more.
func (a *account) answers(node cluster.NodeID) {
	a.round.waits = slices.DeleteFunc(a.round.waits, func(id cluster.NodeID) bool { return id == node })
}

// Tick does what has become due. It is called at the latest at Next.
func (l *Lender) Tick(now time.Duration) {
	if !l.isBegun {
		l.isBegun, l.since = true, now
	}
	l.now = now
	l.serveAll(now)
}

// Next is when Tick is to be called; zero: not at all.
func (l *Lender) Next() (next time.Duration) {
	if !l.isBegun {
		return 0
	}
	if !l.isOpen && l.now < l.since+l.o.Grace {
		next = l.since + l.o.Grace
	}
	for _, a := range l.apps {
		if a.round.isOpen && (next == 0 || a.round.ends < next) {
			next = a.round.ends
		}
	}
	return next
}

// knows reports whether it is known what every node has.
func (l *Lender) knows(now time.Duration) bool {
	if l.isOpen {
		return true
	}
	for _, id := range l.o.Nodes {
		if !l.told[id] && !l.IsOut(id, now) {
			return false
		}
	}
	l.isOpen = true
	return true
}

// IsOut reports whether a node is gone, and can do nothing any more that it was permitted by a former owner.
func (l *Lender) IsOut(node cluster.NodeID, now time.Duration) bool {
	return l.gone[node] && l.isBegun && now >= l.since+l.o.Grace
}

// serveAll answers what can be answered, in the order of apps.
func (l *Lender) serveAll(now time.Duration) {
	for _, app := range slices.Sorted(maps.Keys(l.apps)) {
		l.serve(now, l.apps[app])
	}
}

// serve answers questions in their order. Before it refuses one it calls back what other nodes do not use.
func (l *Lender) serve(now time.Duration, a *account) {
	if !l.isBegun || !l.knows(now) {
		return
	}
	a.endRound(now, l.o.CallBack)
	for len(a.asks) > 0 {
		q, free := a.asks[0], l.free(a)
		if free <= 0 && q.isUrgent && !a.round.isOpen && (a.round.isOver || now >= a.round.ends) {
			l.callBack(now, a, q.node)
		}
		if free <= 0 && q.isUrgent && a.round.isOpen {
			return
		}
		a.asks = a.asks[1:]
		l.answer(a, q, free)
	}
}

// endRound ends a round in which nodes have answered, or whose time is over. Its outcome counts for a while.
func (a *account) endRound(now, counts time.Duration) {
	if a.round.isOpen && (len(a.round.waits) == 0 || now >= a.round.ends) {
		a.round.isOpen, a.round.waits, a.round.ends = false, nil, now+counts
	}
}

// callBack begins a round.
func (l *Lender) callBack(now time.Duration, a *account, except cluster.NodeID) {
	a.round.number++
	for _, d := range a.debts {
		if d.node != except && d.amount > 0 {
			a.round.waits = append(a.round.waits, d.node)
			l.out.Add(cluster.Send{To: d.node, Message: &cluster.CallBack{
				Partition: l.o.Partition, Term: l.term, App: a.app, Number: a.round.number,
			}})
		}
	}
	a.round.isOpen, a.round.isOver, a.round.ends = len(a.round.waits) > 0, false, now+l.o.CallBack
}

// free is how much of a budget is not lent.
func (l *Lender) free(a *account) int {
	limit := l.o.Limit(a.app)
	if limit == 0 {
		return maxShare // the limit was lifted
	}
	for _, d := range a.debts {
		if d.version == 0 && l.o.Faults.Has(cluster.FaultLentTwice) {
			continue // the former lender has lent it
		}
		limit -= d.amount
	}
	return limit
}

// answer lends a share, if there is something left.
func (l *Lender) answer(a *account, q ask, free int) {
	d := a.debt(q.node)
	if free > 0 {
		d.version++
		d.amount += min(free, l.share(a))
		a.round.isOver = true // the node may not use all of it
	}
	d.answered = cluster.Lent{App: a.app, Version: d.version, Amount: d.amount, Ask: q.number, IsRefused: free <= 0 && q.isUrgent}
	l.send(q.node, &d.answered)
}

// share is how much a node is lent at once: half of what is left goes around among the nodes.
func (l *Lender) share(a *account) int {
	left, nodes := l.o.Limit(a.app), len(l.o.Nodes)-len(l.gone)
	if left == 0 {
		return maxShare
	}
	for _, d := range a.debts {
		left -= d.used
	}
	return max(1, min(maxShare, left/(2*max(nodes, 1))))
}

func (l *Lender) send(to cluster.NodeID, m *cluster.Lent) {
	l.out.Add(cluster.Send{To: to, Message: &cluster.Lend{Partition: l.o.Partition, Term: l.term, Loans: []cluster.Lent{*m}}})
}

func (a *account) find(node cluster.NodeID) *debt {
	i, ok := a.search(node)
	if !ok {
		return nil
	}
	return a.debts[i]
}

// debt finds or makes the debt of a node.
func (a *account) debt(node cluster.NodeID) *debt {
	i, ok := a.search(node)
	if !ok {
		a.debts = slices.Insert(a.debts, i, &debt{node: node})
	}
	return a.debts[i]
}

func (a *account) search(node cluster.NodeID) (int, bool) {
	return slices.BinarySearchFunc(a.debts, node, func(d *debt, id cluster.NodeID) int { return cmp.Compare(d.node, id) })
}

// Lent is how many connections of an app all nodes may have, as far as the lender knows.
func (l *Lender) Lent(app string) (n int) {
	if a := l.apps[app]; a != nil {
		for _, d := range a.debts {
			n += d.amount
		}
	}
	return n
}
