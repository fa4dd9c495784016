package owner

import (
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/contact"
	"github.com/millrace/millrace/internal/cluster/handover"
	"github.com/millrace/millrace/internal/cluster/interest"
	"github.com/millrace/millrace/internal/cluster/known"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// Keeps says what is kept of the publications of a topic.
type Keeps uint8

// What a topic keeps.
const (
	Nothing Keeps = iota
	Ring          // the last ones, in the owner's memory
	Log           // all, in the log; the last ones in the owner's memory too
)

// Options of an owner. Keeps, Tells and Wall are required; zero fields mean the default.
type Options struct {
	Partition cluster.Partition // default 0
	Self      cluster.NodeID    // required where there are Nodes
	Nodes     []cluster.NodeID  // all other nodes: one that was not heard yet may be alive; default none
	Heartbeat time.Duration     // heartbeat time-out of the log; default 500 ms
	MaxQueue  int               // bytes of requests that wait; default 16 MiB
	RingCount int               // publications that a replay ring keeps; default 100
	MaxKeyed  int               // bytes of claims and of ids of publications with keys; default 64 MiB
	MaxRings  int               // bytes of rings that a hand-over carries; default 64 MiB
	HandPiece int               // bytes of a piece of a hand-over; default 64 KiB
	// Keeps is what the settings of an app say about a topic.
	Keeps func(*protocol.Topic) Keeps
	// Tells is what the settings of an app say about the webhooks of a topic: they tell who comes and goes.
	Tells func(*protocol.Topic) bool
	// Limit is how many connections an app may have; default as many as it wants.
	Limit func(app string) int
	// Rate is how many events in a second an app may have; default as many as it wants.
	Rate func(app string) int
	// ReportTime is how long joins wait for nodes that do not report; default 3 s. With a negative one they do not wait.
	ReportTime time.Duration
	// Streams begins the identities of streams that are not logged, where terms do not tell them apart. Default none.
	Streams string
	// Wall is the time of day, for publications, in Unix milliseconds.
	Wall   func() int64
	Faults cluster.Faults // of the simulator's tests; default none
}

func (o Options) withDefaults() Options {
	if o.Heartbeat == 0 {
		o.Heartbeat = 500 * time.Millisecond
	}
	if o.MaxQueue == 0 {
		o.MaxQueue = 16 << 20
	}
	if o.RingCount == 0 {
		o.RingCount = 100
	}
	if o.MaxKeyed == 0 {
		o.MaxKeyed = 64 << 20
	}
	if o.MaxRings == 0 {
		o.MaxRings = 64 << 20
	}
	if o.ReportTime == 0 {
		o.ReportTime = 3 * time.Second
	}
	if o.HandPiece == 0 {
		o.HandPiece = 64 << 10
	}
	return o
}

// Owner owns one partition in the terms in which its node is the owner. Its methods are called by
// one goroutine at a time, with times that do not go back.
type Owner struct {
	o   Options
	out *cluster.Output

	// As of all that the log of the node has.
	ids       known.IDs
	claims    known.Claims
	told      known.Told
	contacts  *contact.Register
	batches   known.Batches
	feeds     known.Feeds
	installed uint64 // number of the last changes of entities

	nodes       map[cluster.NodeID]*node
	unheard     map[cluster.NodeID]bool // nodes that may be alive, and were not heard since this one has started
	inheritance *handover.Inheritance   // what an owner is handing over to this node

	// In a term.
	term      log.Term // zero: the node does not own the partition
	lease     cluster.Lease
	dropped   map[cluster.NodeID]cluster.Incarnation // lives that were taken for dead
	interest  interest.Table
	takeover  takeover
	edgeCount uint64
	after     log.Term      // whose owner has handed over to this one; zero: none has
	handing   *handing      // the hand-over to another node; nil: there is none
	ticked    time.Duration // the last Tick

	// What waits in a term.
	queue     queue                    // requests to be decided, in their order
	behind    []*part                  // what the next group stores, or comes after such
	groups    []*group                 // outstanding in the log: at most one
	appended  uint64                   // number of the last append
	isFailing bool                     // the log has refused a group; until the next proposal of the lease
	mutating  map[mutationID]*mutation // batches that wait, or are in a group
	reserved  int                      // bytes for keys of parts that wait
	cold      []coldReplay             // replays that wait for the log
	stale     []log.Record             // a fault: of the term before
}

// node is a node that is alive, as far as the owner's node hears.
type node struct {
	cluster.Peer
	report  interest.Report // the pieces of one that has not ended
	answers known.Answers
	hasGap  bool // something of what it has told of topics is missing
}

// New makes the owner of a partition. What it wants done goes to out.
func New(out *cluster.Output, o Options) *Owner {
	o = o.withDefaults()
	w := &Owner{
		o: o, out: out, nodes: make(map[cluster.NodeID]*node), unheard: make(map[cluster.NodeID]bool),
		ids: known.NewIDs(), claims: known.NewClaims(), told: known.NewTold(),
		batches: known.NewBatches(), feeds: make(known.Feeds), mutating: make(map[mutationID]*mutation),
		contacts: contact.New(out, contact.Options{
			Partition: o.Partition, Nodes: append([]cluster.NodeID{o.Self}, o.Nodes...), Limit: o.Limit, Rate: o.Rate, Faults: o.Faults,
		}),
	}
	for _, id := range o.Nodes {
		w.unheard[id] = true
	}
	w.interest = w.newInterest()
	return w
}

// newInterest is the interest in topics with which a term begins.
func (o *Owner) newInterest() interest.Table {
	return interest.New(interest.Options{
		Partition: o.o.Partition, Term: o.term, RingCount: o.o.RingCount, Streams: o.o.Streams, Faults: o.o.Faults,
		HasRing: func(t *protocol.Topic) bool { return o.o.Keeps(t) == Ring },
	})
}

// Term is the term in which the node owns the partition; zero if it does not.
func (o *Owner) Term() log.Term { return o.term }

// Decides reports whether the owner may decide now.
func (o *Owner) Decides(now time.Duration) bool { return o.term != 0 && o.lease.IsValid(now) }

// Begin begins a term: the log of the node has applied everything that was committed before. The owner asks
// for its first lease, and has every node report, unless the owner before has handed over to it.
func (o *Owner) Begin(now time.Duration, term log.Term) {
	o.clear()
	o.term, o.lease = term, cluster.NewLease(o.o.Heartbeat, o.o.Faults)
	o.interest = o.newInterest()
	o.contacts.Begin(term)
	if in := o.takeInheritance(); in != nil {
		o.inherit(now, in)
	} else {
		o.beginTakeover(now)
	}
	if o.o.Faults.Has(cluster.FaultIDsForgotten) {
		o.ids = known.NewIDs()
	}
	if o.o.Faults.Has(cluster.FaultClaimsForgotten) {
		o.claims = known.NewClaims()
	}
	if o.o.Faults.Has(cluster.FaultBatchesForgotten) {
		o.batches = known.NewBatches()
	}
	if o.o.Faults.Has(cluster.FaultFeedsForgotten) {
		clear(o.feeds)
	}
	o.renew(now)
	if len(o.stale) > 0 {
		o.append(now, &group{}, o.stale)
		o.stale = nil
	}
}

// End ends the term. What the log has not answered for may be stored; what waited is not.
func (o *Owner) End() {
	if o.term == 0 {
		return
	}
	o.abandon()
	o.clear()
}

// giveUp ends the term for the owner and has the log end it: the owner does not know what the log has.
func (o *Owner) giveUp() {
	o.out.Add(cluster.GiveUp{Partition: o.o.Partition, Term: o.term})
	o.abandon()
	o.clear()
}

// abandon answers everything that waits.
func (o *Owner) abandon() {
	if n := len(o.groups); n > 0 && o.groups[n-1].isDeciding() {
		o.behind = append(o.groups[n-1].parts, o.behind...)
		o.groups = o.groups[:n-1]
	}
	if o.o.Faults.Has(cluster.FaultProposedLater) && len(o.groups) > 0 {
		o.stale = o.groups[0].records
	}
	for _, g := range o.groups {
		for _, p := range g.parts {
			switch id := p.asks(); {
			case p.change != nil, p.mutation != nil: // it may be stored: askers ask the next owner
			case len(p.items) > 0 && p.request != 0:
				o.answerAll(p, cluster.Uncertain)
			case id != 0:
				o.refuse(p.from, id)
			}
		}
	}
	for _, p := range o.behind {
		if p.change != nil {
			o.contacts.Abandon(p.change)
		} else if p.mutation != nil {
			o.abandonMutation(p.mutation)
		} else if id := p.asks(); id != 0 {
			o.refuse(p.from, id)
		}
	}
	for _, r := range o.takeover.waiting {
		if id, ok := cluster.RequestOf(r.message); ok {
			o.refuse(r.from, id)
		}
	}
	for _, c := range o.cold {
		o.refuse(c.from, c.request.Request)
	}
	for _, r := range o.queue.takeAll() {
		if id, ok := cluster.RequestOf(r.message); ok && !o.contacts.IsStored(r.message) {
			o.refuse(r.from, id)
		}
	}
}

// clear forgets all that is true only within a term.
func (o *Owner) clear() {
	o.term, o.dropped = 0, nil
	o.interest, o.takeover, o.edgeCount = o.newInterest(), takeover{}, 0
	o.queue, o.behind, o.groups, o.cold = queue{}, nil, nil, nil
	o.appended, o.isFailing, o.reserved = 0, false, 0
	o.after, o.handing = 0, nil
	o.ids.EndTerm()
	o.claims.EndTerm()
	o.told.EndTerm()
	o.contacts.End()
	clear(o.mutating)
}

// refuse says that a request was not carried out here.
func (o *Owner) refuse(to cluster.Peer, id cluster.RequestID) {
	o.reply(to, &cluster.Moved{Request: id, Partition: o.o.Partition})
}

// reply answers a node in the life in which it has asked: another life has requests of its own with the same numbers.
func (o *Owner) reply(to cluster.Peer, m cluster.Message) {
	if n := o.nodes[to.Node]; n != nil && n.Incarnation == to.Incarnation {
		o.send(to.Node, m)
	}
}

func (o *Owner) send(to cluster.NodeID, m cluster.Message) {
	o.out.Add(cluster.Send{To: to, Message: m})
}

// Alive tells of a node that is there, in one of its lives. A node in another life has lost what it had in the one before. It
// reports false for a life that the owner has taken for dead in this term.
func (o *Owner) Alive(now time.Duration, p cluster.Peer) bool {
	n := o.nodes[p.Node]
	delete(o.unheard, p.Node)
	switch {
	case o.dropped[p.Node] == p.Incarnation:
		return false
	case o.isFixed(): // the next owner hears it
	case n == nil:
		o.nodes[p.Node] = &node{Peer: p}
		o.interest.Await(p.Node)
		o.contacts.Alive(p)
	case n.Incarnation < p.Incarnation:
		o.lose(now, n)
		*n = node{Peer: p}
		o.interest.Await(p.Node)
		o.contacts.Alive(p)
	}
	return true
}

// Dead tells of a node that is gone: what it had is gone with it. It reports whether the owner took it for alive.
func (o *Owner) Dead(now time.Duration, id cluster.NodeID) bool {
	if o.isFixed() {
		return false // the next owner says so
	}
	o.contacts.Gone(now, id)
	n := o.nodes[id]
	if n == nil {
		delete(o.unheard, id)
		o.tickContacts(now)
		o.tickTakeover(now)
		return false
	}
	delete(o.nodes, id)
	o.interest.Settle(id)
	if o.dropped == nil {
		o.dropped = make(map[cluster.NodeID]cluster.Incarnation)
	}
	o.dropped[id] = n.Incarnation
	o.lose(now, n)
	o.tickContacts(now)
	o.tickTakeover(now)
	o.advance(now)
	return true
}

// lose takes a node out of every topic.
func (o *Owner) lose(now time.Duration, n *node) {
	o.takeover.reports.Forget(n.Node)
	o.interest.DropPatterns(n.Node, nil)
	for _, t := range o.interest.TopicsOf(n.Node) {
		o.leaveAll(now, t, n.Node)
	}
}

// Receive takes a message of a node that is alive. Requests that come before the node owns the
// partition, or after, are answered with Moved.
func (o *Owner) Receive(now time.Duration, from cluster.Peer, m cluster.Message) {
	if n := o.nodes[from.Node]; n == nil || n.Incarnation != from.Incarnation {
		return // it is told that it was dropped, and asks again in its next life
	}
	if o.receiveHandOver(now, from, m) {
		return
	}
	if o.term == 0 || o.handing != nil && o.handing.step >= sending {
		if id, ok := cluster.RequestOf(m); ok {
			o.refuse(from, id)
		}
		return
	}
	r := request{from: from, message: m}
	if isFull := o.queue.size+m.Size() > o.o.MaxQueue; isFull && o.refuseFull(from, m) {
		return
	}
	if p, ok := m.(*cluster.Publish); ok && o.isAnswered(from, p) {
		return
	}
	o.load(m)
	o.queue.add(r)
	o.advance(now)
}

// tickContacts does what has become due for budgets and the state of apps.
func (o *Owner) tickContacts(now time.Duration) {
	if o.Decides(now) && !o.hasStopped() { // otherwise what nodes answer waits
		o.contacts.Tick(now)
	}
}

// mayBeAlive reports whether a node is alive, or was never heard.
func (o *Owner) mayBeAlive(id cluster.NodeID) bool { return o.nodes[id] != nil || o.unheard[id] }

// Unaware are nodes that are alive and may not know of the term.
func (o *Owner) Unaware() []cluster.NodeID { return o.contacts.Unaware() }

// HasState is the number of the state of the partition, as far as it is stored.
func (o *Owner) HasState() uint64 { return o.contacts.HasState() }

// Tick does what has become due. It is called at the latest at Next.
func (o *Owner) Tick(now time.Duration) {
	if o.term == 0 {
		return
	}
	o.ticked = now
	o.renew(now)
	o.tickContacts(now)
	o.tickTakeover(now)
	o.advance(now)
	o.tickHandOver(now)
}

// Next is when Tick is to be called; zero: not at all.
func (o *Owner) Next() time.Duration {
	switch {
	case o.term == 0:
		return 0
	case o.isFixed():
		return o.handing.deadline
	}
	next := o.contacts.Next()
	if next <= o.ticked {
		next = 0 // it waits for the lease
	}
	earlier := func(t time.Duration) {
		if next == 0 || t < next {
			next = t
		}
	}
	if o.handing != nil {
		earlier(o.handing.deadline)
	}
	if len(o.groups) > 0 {
		return next // otherwise the answer of the log is the next that happens
	}
	if !o.hasStopped() {
		earlier(o.lease.Next())
	}
	if !o.takeover.isOver && o.takeover.ends > o.ticked { // otherwise it waits for the lease
		earlier(o.takeover.ends)
	}
	return next
}
