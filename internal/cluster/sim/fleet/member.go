package fleet

import (
	"fmt"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/link"
	"github.com/millrace/millrace/internal/cluster/node"
	"github.com/millrace/millrace/internal/cluster/owner"
	"github.com/millrace/millrace/internal/cluster/sim"
	"github.com/millrace/millrace/internal/cluster/sim/script"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// member is one node of the fleet: its process while it lives, and what its disk keeps.
type member struct {
	fleet *Fleet
	id    cluster.NodeID
	node  *sim.Node

	// What its disk keeps.
	lives cluster.Incarnation
	folds []fold // by partition; of a core node

	// Of the process.
	machine    *node.Node
	out        *cluster.Output
	ticks      time.Duration // the reading of the clock at which Tick is called next; zero: it is not planned
	clients    clients
	read       map[int64]time.Duration    // when the time of day was read last that it was
	joinedLate map[lateJoin]time.Duration // a fault
	mutes      int                        // faults that keep its reports away
	deaf       int                        // faults that keep it from being heard
	isIsolated bool
	guests     guests
	entities   entities // of a core node
	feeders    map[protocol.Topic]*feeder
}

// A node makes its fold durable and trims its log now and then, so that one that was away gets a copy.
const (
	foldEach  = 8
	trimEach  = 32
	trimKeeps = 16
)

// fold is the entries that a node has applied, of which the disk has the first ones.
type fold struct {
	entries []sim.Entry
	durable int
	trimmed int // entries that the node's log does not keep any more
}

func (m *member) isCore() bool { return slices.Contains(m.fleet.cores, m.id) }

// start begins a life of the process.
func (m *member) start() {
	f := m.fleet
	m.lives++
	m.out, m.clients, m.ticks = new(cluster.Output), newClients(), 0
	m.joinedLate, m.read = make(map[lateJoin]time.Duration), make(map[int64]time.Duration)
	m.guests = newGuests()
	m.machine = node.New(m.out, node.Options{
		Self: cluster.Peer{Node: m.id, Incarnation: m.lives << 16}, Nodes: f.names, Partitions: f.o.Partitions, IsCore: m.isCore(),
		Keeps: keeps, Tells: tells, Limit: func(string) int { return limit }, Wall: m.wall, LinkBytes: f.o.LinkBytes, Faults: f.o.Faults,
		HandPiece: 2 << 10, MaxRings: f.o.MaxRings,
	})
	m.isIsolated = false
	m.do(m.machine.Start)
	if !m.isCore() {
		return
	}
	m.lead(m.machine)
	if m.folds == nil {
		m.folds = make([]fold, f.o.Partitions)
	}
	m.recover()
	m.entities, m.feeders = m.newEntities(), newFeeders()
	for p := range m.folds {
		for _, e := range m.folds[p].entries {
			m.machine.Applied(m.node.Clock(), cluster.Partition(p), e.Group) //nolint:gosec // few
		}
		f.log.Start(m.id, cluster.Partition(p), log.Index(len(m.folds[p].entries))) //nolint:gosec // few
	}
}

// wall is the time of day, by which an edge tells when it was decided.
func (m *member) wall() int64 {
	t := m.node.Wall().UnixMilli()
	m.read[t] = m.fleet.now()
	return t
}

func (m *member) killed() { m.machine, m.out = nil, nil }

// do gives the machine an input, and carries out what it wants done.
func (m *member) do(input func(now time.Duration)) {
	if m.machine == nil {
		return
	}
	input(m.node.Clock())
	if m.machine.IsIsolated() {
		m.observeIsolated()
	}
	for m.machine != nil {
		effects := m.out.Take()
		if len(effects) == 0 {
			break
		}
		for _, e := range effects {
			m.traceEffect(e)
			m.carryOut(e)
		}
	}
	m.observeLent()
	for _, f := range m.machine.Frames(m.node.Clock()) {
		m.sending(f.To, f.Frame)
		m.enterLate(f)
		m.muffle(f)
		m.traceFrame(f)
		m.fleet.frames.Send(m.id, f.To, f.Frame)
	}
	m.observeIsolated()
	m.plan()
}

// plan has Tick called when it is due.
func (m *member) plan() {
	next := m.machine.Next()
	now := m.node.Clock()
	if m.ticks > now && m.ticks <= next {
		return
	}
	m.ticks = max(next, now)
	machine, due := m.machine, m.ticks
	m.node.After(max(next-now, 0), func() {
		if m.machine == machine && m.ticks == due {
			m.ticks = 0
			m.do(machine.Tick)
		}
	})
}

// apply takes an entry of the log into the fold.
func (m *member) apply(now time.Duration, p cluster.Partition, e sim.Entry) {
	d := &m.folds[p]
	if int(e.Index) <= len(d.entries) { //nolint:gosec // small
		return // a copy had it
	}
	d.entries = append(d.entries, e)
	m.machine.Applied(now, p, e.Group)
	m.feedFrom(&e)
	if n := len(d.entries); n%foldEach == 0 {
		d.durable = n - foldEach/2
	}
	if n := len(d.entries); n%trimEach == 0 {
		m.trim(p, d)
	}
}

// copied takes a copy of another node's fold, which is durable at once.
func (m *member) copied(now time.Duration, in sim.Copied) {
	d := &m.folds[in.Partition]
	d.entries = nil
	for _, e := range in.Entries {
		m.apply(now, in.Partition, e)
	}
	d.durable = len(d.entries)
}

// trim trims the log of the node to what the fold has made durable, or as a fault to what it has.
func (m *member) trim(p cluster.Partition, d *fold) {
	to := d.durable - trimKeeps
	if m.fleet.o.TrimsEarly {
		to = len(d.entries)
	}
	if to > d.trimmed && m.fleet.log.Trim(m.id, p, log.Index(to+1)) == nil {
		d.trimmed = to
	}
}

// recover loses what the fold has not made durable. The log must have it.
func (m *member) recover() {
	for p := range m.folds {
		d := &m.folds[p]
		d.entries = d.entries[:d.durable:d.durable]
		if d.trimmed > d.durable {
			m.fleet.breaks("%s has lost the entries %d to %d of partition %d: its fold was not durable, and its log was trimmed", m.id, d.durable+1, d.trimmed, p)
		}
	}
}

func (m *member) carryOut(e cluster.Effect) {
	f := m.fleet
	switch e := e.(type) {
	case cluster.Append:
		for i := range e.Group {
			if edge := e.Group[i].Edge; edge != nil {
				f.decided[edge.ID] = m.read[edge.Time]
			}
		}
		f.log.Append(m.id, e.Partition, e.Term, e.Number, e.Group)
	case cluster.GiveUp:
		f.log.GiveUp(m.id, e.Partition, e.Term)
	case cluster.HandOver:
		if err := f.log.HandOver(m.id, e.Partition, e.To); err != nil {
			f.broken = append(f.broken, fmt.Sprintf("%s hands over to %s: %v", m.id, e.To, err))
		}
		if d := f.stumble; d > 0 {
			f.stumble = 0
			f.fault(&script.Op{Verb: script.VerbPause, Node: e.To, For: d})
		}
	case cluster.Load:
		m.node.Post(time.Millisecond, func() { m.load(e) })
	case cluster.ReadBack:
		m.node.Post(time.Millisecond, func() { m.readBack(e) })
	case cluster.Receive:
		m.receive(e)
	case cluster.Lost:
		f.models.History.ObserveLost(f.now(), m.id, e.Topic, e.From, e.To)
	case cluster.ReceiveMatching:
		m.receiveMatching(e)
	case cluster.LostMatching:
		f.models.Patterns.ObserveLost(f.now(), m.id, e.Pattern.Text)
	case cluster.Answer:
		m.answer(e)
	case cluster.Died:
		f.models.ObserveDead(f.now(), e.Peer.Node)
	case cluster.Admitted:
		m.admitted(e)
	case cluster.Install:
		f.states.installed(m, e)
	case cluster.Obey:
		f.orders.obeyed(m, e)
	case cluster.Ordered:
		f.orders.ended(m, e)
	case cluster.Decide:
		m.decide(e)
	case cluster.InstallChanges:
		m.install(e)
	case cluster.Reborn:
	}
}

func (m *member) load(e cluster.Load) {
	s := log.Stream{Next: 1}
	for _, entry := range m.folds[e.Partition].entries {
		for i := range entry.Group {
			if r := &entry.Group[i]; r.Kind == log.KindPublication && r.Topic == e.Topic {
				s.ID, s.Next = r.Publication.StreamID, r.Publication.Serial+1
			}
		}
	}
	m.do(func(now time.Duration) { m.machine.Loaded(now, e.Partition, &e.Topic, s) })
}

// readBack answers when the fold has what was delivered.
func (m *member) readBack(e cluster.ReadBack) {
	var ps []*cluster.Publication
	last := uint64(0)
	for _, entry := range m.folds[e.Partition].entries {
		for i := range entry.Group {
			r := &entry.Group[i]
			if r.Kind != log.KindPublication || r.Topic != e.Topic {
				continue
			}
			last = r.Publication.Serial
			if last > e.After && len(ps) < 20 {
				ps = append(ps, r.Publication)
			}
		}
	}
	if last < e.Until {
		m.node.Post(5*time.Millisecond, func() { m.readBack(e) })
		return
	}
	m.do(func(now time.Duration) { m.machine.HasRead(now, e.Partition, &e.Topic, e.After, ps) })
}

// receive tells the models what the connections of the node get.
func (m *member) receive(e cluster.Receive) {
	f := m.fleet
	for i, p := range e.Publications {
		f.observeKeyed(m.id, e.Topic, p)
		if p.Serial > 0 {
			id, isOwn := idOf(p)
			if !isOwn || p.StreamID != "" {
				f.models.History.ObserveReceived(f.now(), m.id, e.Topic, cluster.Position{StreamID: p.StreamID, Serial: p.Serial}, id, isOwn)
			}
		}
		if e.IsSilent != nil && e.IsSilent[i] {
			continue
		}
		m.feedReceived(&e, p)
		if p.Kind == protocol.KindMemberRemoved && m.machine.IsIsolated() {
			f.breaks("isolation: %s tells its connections that %s of %s goes", m.id, p.UserID, e.Topic.Name)
		}
		switch p.Kind {
		case protocol.KindMemberAdded, protocol.KindMemberRemoved:
			f.models.Presence.ObserveEdge(f.now(), m.id, e.Topic, p.UserID, p.Kind == protocol.KindMemberAdded)
		default: // an event
		}
	}
}

// sending tells the models of what an owner publishes to topics that keep a ring.
func (m *member) sending(to cluster.NodeID, fr *link.Frame) {
	h, now := m.fleet.models.History, m.fleet.now()
	if fr.Gap != nil {
		m.fleet.gaps++
	}
	for _, message := range fr.Messages {
		if l, isLend := message.(*cluster.Lend); isLend {
			m.observeSent(to, l)
		}
		d, ok := message.(*cluster.Deliver)
		if !ok || keeps(&d.Topic) != owner.Ring {
			continue
		}
		for _, p := range d.Publications {
			h.ObserveSending(now, m.fleet.tenure(d.Partition, d.Term), d.Topic, p.StreamID)
		}
	}
}

// muffle takes reports out of a frame.
func (m *member) muffle(o node.Outgoing) {
	for i, message := range o.Frame.Messages {
		if _, isReport := message.(*cluster.Report); isReport && m.mutes > 0 {
			o.Frame.Messages[i] = &cluster.Heartbeat{}
		}
	}
}

// lateBy is how long a node is sent nothing of a topic that it has just joined.
const lateBy = 30 * time.Millisecond

// enterLate is a fault: it takes out of a frame what is published right after a join.
func (m *member) enterLate(o node.Outgoing) {
	if !m.fleet.o.EntersLate {
		return
	}
	for i, message := range o.Frame.Messages {
		switch message := message.(type) {
		case *cluster.Joined:
			m.joinedLate[lateJoin{o.To, message.Topic}] = m.fleet.now()
		case *cluster.Deliver:
			at, ok := m.joinedLate[lateJoin{o.To, message.Topic}]
			if ok && m.fleet.now() < at+lateBy {
				o.Frame.Messages[i] = &cluster.Heartbeat{}
			}
		}
	}
}

type lateJoin struct {
	to    cluster.NodeID
	topic protocol.Topic
}
