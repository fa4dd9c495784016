package admission

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/budget"
	"github.com/millrace/millrace/internal/log"
)

// Options are of one gate. Partitions, Limit and Rate are required; zero durations mean the default.
type Options struct {
	Partitions int
	// Limit is how many connections an app may have on all nodes. An app with a limit of 0 may have as many as it wants.
	Limit func(app string) int
	// Rate is how many events in a second an app may have on all nodes. An app with a rate of 0 may have as many as it wants.
	Rate    func(app string) int
	Nodes   int            // how many there are; default 1
	Renew   time.Duration  // between two renewals; default 500 ms
	Contact time.Duration  // how long one lasts; default 1.5 s
	Timeout time.Duration  // how long a connection waits; default 5 s
	Idle    time.Duration  // after which what is not used is given back; default 5 s
	Alone   time.Duration  // how long an isolated node admits by the state that it has; default 60 s
	Faults  cluster.Faults // of the simulator's tests
}

const (
	defaultRenew   = 500 * time.Millisecond
	defaultContact = 1500 * time.Millisecond
	defaultTimeout = 5 * time.Second
	defaultIdle    = 5 * time.Second
	defaultAlone   = time.Minute
)

func (o Options) withDefaults() Options {
	o.Renew = cmp.Or(o.Renew, defaultRenew)
	o.Contact = cmp.Or(o.Contact, defaultContact)
	o.Timeout = cmp.Or(o.Timeout, defaultTimeout)
	o.Idle = cmp.Or(o.Idle, defaultIdle)
	o.Alone = cmp.Or(o.Alone, defaultAlone)
	return o
}

// Gate is one node's. Its methods are called by one goroutine at a time, with times that do not go back.
type Gate struct {
	o        Options
	out      *cluster.Output
	borrower *budget.Borrower
	spender  *budget.Spender
	contacts []contact // by partition
	apps     map[string]*app
	last     uint64 // admission
	idleAt   time.Duration
	alone    time.Duration // until when an isolated node admits by itself; zero: it is not isolated
}

// contact is what the node has with the owner of a partition.
type contact struct {
	owner   cluster.Ownership
	number  uint64        // of the last Renew in the term
	renewAt time.Duration // when the next one is sent
	until   time.Duration // the end of the contact
	isWhole bool          // the next Renew has all loans
	isDue   bool          // the next Renew has what was asked for in the last second

	state   uint64 // number of the state that the node has
	newest  uint64 // that it must have
	isKnown bool   // the node has had what it must have
}

// app is an app at this node.
type app struct {
	document cluster.Document
	waiting  []waiting
}

// waiting is a connection that waits.
type waiting struct {
	admission uint64
	ends      time.Duration
}

// New makes the gate of a node. What it wants done goes to out.
func New(out *cluster.Output, o Options) *Gate {
	o = o.withDefaults()
	g := &Gate{o: o, out: out, borrower: budget.NewBorrower(o.Limit), spender: budget.NewSpender(o.Nodes, o.Rate), contacts: make([]contact, o.Partitions), apps: make(map[string]*app)}
	for i := range g.contacts {
		g.contacts[i].owner.Partition = cluster.Partition(i) //nolint:gosec // few
	}
	return g
}

// contact is the contact with the owner of an app.
func (g *Gate) contact(app string) *contact {
	return &g.contacts[cluster.PartitionOfApp(app, g.o.Partitions)]
}

// isOf is a function that reports whether an app is of a partition.
func (g *Gate) isOf(p cluster.Partition) func(string) bool {
	return func(app string) bool { return cluster.PartitionOfApp(app, g.o.Partitions) == p }
}

// app finds or makes an app.
func (g *Gate) app(name string) *app {
	a := g.apps[name]
	if a == nil {
		a = new(app)
		g.apps[name] = a
	}
	return a
}

// Follow tells who owns each partition, as far as the node knows. It is called after each input, and sends what is to be sent at
// once.
func (g *Gate) Follow(now time.Duration, owners []cluster.Ownership) {
	for i := range owners {
		c := &g.contacts[i]
		if owners[i].Term > c.owner.Term {
			c.begin(now)
			g.borrower.Begin(g.isOf(c.owner.Partition))
		}
		c.owner = owners[i]
		if now >= c.renewAt || g.borrower.HasNews(g.isOf(c.owner.Partition)) {
			g.renew(now, c)
		}
	}
}

// begin begins a term, or a life of the node: the owner knows nothing of it.
func (c *contact) begin(now time.Duration) { c.number, c.isWhole, c.renewAt = 0, true, now }

// renew tells the owner that the node is there, and what it has.
func (g *Gate) renew(now time.Duration, c *contact) {
	c.renewAt = now + g.o.Renew
	if c.owner.Node == "" {
		return
	}
	c.number++
	m := &cluster.Renew{
		Partition: c.owner.Partition, Term: c.owner.Term, Number: c.number, Sent: now, State: c.state,
		Loans: g.borrower.Loans(g.isOf(c.owner.Partition), c.isWhole), IsWhole: c.isWhole,
	}
	if c.isDue {
		m.Demands = g.spender.Demands(g.isOf(c.owner.Partition))
	}
	c.isWhole, c.isDue = false, false
	g.send(c, m)
}

func (g *Gate) send(c *contact, m cluster.Message) {
	if c.owner.Node != "" {
		g.out.Add(cluster.Send{To: c.owner.Node, Message: m})
	}
}

// Reborn begins another life of the node, which an owner has taken for dead.
func (g *Gate) Reborn(now time.Duration) {
	g.borrower.Reborn()
	for i := range g.contacts {
		c := &g.contacts[i]
		c.until = 0
		c.begin(now)
		g.borrower.Begin(g.isOf(c.owner.Partition))
	}
}

// Receive takes a message of an owner.
func (g *Gate) Receive(now time.Duration, from cluster.NodeID, m cluster.Message) {
	switch m := m.(type) {
	case *cluster.Renewed:
		if c := &g.contacts[m.Partition]; c.believes(from, m.Term) {
			g.renewed(now, c, m)
		}
	case *cluster.Lend:
		if c := &g.contacts[m.Partition]; c.believes(from, m.Term) {
			g.lend(now, m)
		}
	case *cluster.CallBack:
		if c := &g.contacts[m.Partition]; c.believes(from, m.Term) {
			g.borrower.CallBack(m.App, m.Number)
		}
	case *cluster.State:
		g.install(now, &g.contacts[m.Partition], m)
	}
}

// believes reports whether a message is of the owner that the node knows.
func (c *contact) believes(from cluster.NodeID, term log.Term) bool {
	return c.owner.Node == from && c.owner.Term == term
}

// renewed takes the answer to a Renew.
func (g *Gate) renewed(now time.Duration, c *contact, m *cluster.Renewed) {
	c.until = max(c.until, m.Sent+g.o.Contact)
	c.newest = max(c.newest, m.State)
	for _, s := range m.Shares {
		g.spender.Take(s)
	}
	if m.WantsWhole {
		c.isWhole, c.renewAt = true, now
	}
	if c.isKnown = c.isKnown || c.state >= c.newest; c.state < c.newest {
		g.send(c, &cluster.Fetch{Partition: m.Partition, After: c.state})
	}
	g.admitAll(now, c)
}

// lend takes loans.
func (g *Gate) lend(now time.Duration, m *cluster.Lend) {
	for i := range m.Loans {
		l := &m.Loans[i]
		if !g.borrower.Lend(l) {
			g.admit(now, l.App)
			continue
		}
		g.takeIn(now, l.App)
		g.refuse(l.App, cluster.OverLimit)
	}
}

// install takes documents. They are stored, so that it does not matter who sends them.
func (g *Gate) install(now time.Duration, c *contact, m *cluster.State) {
	c.newest = max(c.newest, m.Number)
	if m.After <= c.state && m.Number > c.state {
		later := slices.DeleteFunc(slices.Clone(m.Documents), func(d cluster.Document) bool { return d.Number <= c.state })
		for _, d := range later {
			g.app(d.App).document = d
		}
		c.state, c.renewAt = m.Number, now
		c.isKnown = c.isKnown || c.state >= c.newest
		g.out.Add(cluster.Install{Partition: m.Partition, Number: m.Number, Documents: later})
		g.admitAll(now, c)
	} else if m.After > c.state {
		g.send(c, &cluster.Fetch{Partition: m.Partition, After: c.state})
		return
	}
	if c.state < c.newest {
		g.send(c, &cluster.Fetch{Partition: m.Partition, After: c.state})
	}
}

// Admit asks whether a connection of an app is admitted. An Admitted ends its wait.
func (g *Gate) Admit(now time.Duration, app string) (admission uint64) {
	g.last++
	a := g.app(app)
	a.waiting = append(a.waiting, waiting{g.last, now + g.o.Timeout})
	g.admit(now, app)
	return g.last
}

// Cancel ends the wait of a connection.
func (g *Gate) Cancel(app string, admission uint64) {
	a := g.app(app)
	a.waiting = slices.DeleteFunc(a.waiting, func(w waiting) bool { return w.admission == admission })
}

// Release tells that a connection has ended that was admitted.
func (g *Gate) Release(now time.Duration, app string) {
	g.borrower.Release(app)
	g.admit(now, app)
}

// Isolate tells that the node has become isolated by its own judgement, or is no longer. An isolated node admits by the state that it
// has, each app up to its whole limit, and after a minute nothing any more. A node that has never had the state admits nothing.
func (g *Gate) Isolate(now time.Duration, is bool) {
	if g.alone = 0; !is {
		return
	}
	g.alone = now + g.o.Alone
	for _, name := range g.sorted() {
		g.admit(now, name)
	}
}

// isReady reports whether the node may decide about connections of a partition.
func (g *Gate) isReady(now time.Duration, c *contact) bool {
	return now < c.until && (c.state >= c.newest || g.o.Faults.Has(cluster.FaultAdmitsBehind))
}

// admit takes in connections that wait, and asks for more if that is not lent.
func (g *Gate) admit(now time.Duration, name string) {
	if g.alone > 0 {
		g.admitAlone(now, name)
		return
	}
	if g.takeIn(now, name); len(g.app(name).waiting) > 0 && g.isReady(now, g.contact(name)) {
		g.borrower.Ask(name)
	}
}

// admitAlone decides about connections that wait, without an owner.
func (g *Gate) admitAlone(now time.Duration, name string) {
	a := g.app(name)
	for len(a.waiting) > 0 && now < g.alone && g.contact(name).isKnown {
		if !g.borrower.TakeAlone(name) {
			g.refuse(name, cluster.OverLimit)
			return
		}
		g.out.Add(cluster.Admitted{Admission: a.waiting[0].admission, App: name, State: g.contact(name).state})
		a.waiting = a.waiting[1:]
	}
}

// takeIn takes in connections that wait, as many as are lent.
func (g *Gate) takeIn(now time.Duration, name string) {
	a, c := g.app(name), g.contact(name)
	for len(a.waiting) > 0 && g.isReady(now, c) && g.borrower.Take(name) {
		g.out.Add(cluster.Admitted{Admission: a.waiting[0].admission, App: name, State: c.state})
		a.waiting = a.waiting[1:]
	}
}

// admitAll takes in what waits for the owner of a partition.
func (g *Gate) admitAll(now time.Duration, c *contact) {
	for _, name := range g.sorted() {
		if g.contact(name) == c {
			g.admit(now, name)
		}
	}
}

// sorted are the apps for which connections wait.
func (g *Gate) sorted() (names []string) {
	for _, name := range slices.Sorted(maps.Keys(g.apps)) {
		if len(g.apps[name].waiting) > 0 {
			names = append(names, name)
		}
	}
	return names
}

// refuse refuses what waits.
func (g *Gate) refuse(name string, v cluster.Verdict) {
	a := g.app(name)
	for _, w := range a.waiting {
		g.out.Add(cluster.Admitted{Admission: w.admission, App: name, Verdict: v})
	}
	a.waiting = nil
}

// Tick does what has become due. It is called at the latest at Next, before Follow.
func (g *Gate) Tick(now time.Duration) {
	if now >= g.idleAt {
		g.borrower.Return()
		g.idleAt = now + g.o.Idle
	}
	if g.spender.Settle(now) {
		for i := range g.contacts {
			g.contacts[i].isDue = true
		}
	}
	for _, name := range g.sorted() {
		a := g.apps[name]
		for len(a.waiting) > 0 && now >= a.waiting[0].ends {
			g.out.Add(cluster.Admitted{Admission: a.waiting[0].admission, App: name, Verdict: cluster.NotReady})
			a.waiting = a.waiting[1:]
		}
	}
}

// Next is when Tick is to be called.
func (g *Gate) Next() time.Duration {
	next := g.idleAt
	for i := range g.contacts {
		next = min(next, g.contacts[i].renewAt)
	}
	for _, a := range g.apps {
		if len(a.waiting) > 0 {
			next = min(next, a.waiting[0].ends)
		}
	}
	return max(next, 1)
}

// Ask notes that events of an app were asked for, whether they were permitted or not.
func (g *Gate) Ask(app string, events int) { g.spender.Ask(app, events) }

// Share is how many events of an app in a second this node may have.
func (g *Gate) Share(app string) int { return g.spender.Share(app) }

// Unused is how many connections of an app the node may take in without asking.
func (g *Gate) Unused(app string) int { return g.borrower.Unused(app) }

// State is the number of the state that the node has of a partition, and the document of an app.
func (g *Gate) State(app string) (number uint64, d cluster.Document) {
	if a := g.apps[app]; a != nil {
		d = a.document
	}
	return g.contact(app).state, d
}
