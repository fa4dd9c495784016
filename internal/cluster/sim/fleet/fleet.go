package fleet

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/link"
	"github.com/millrace/millrace/internal/cluster/sim"
	"github.com/millrace/millrace/internal/cluster/sim/model"
	"github.com/millrace/millrace/internal/cluster/sim/script"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// Options of a fleet. Zero fields mean the default.
type Options struct {
	Core, Edges int  // nodes; default 3 and 1
	Partitions  int  // default 1
	IsSequenced bool // the log is fenced by its last sequence, instead of Raft's
	LinkBytes   int  // what a link keeps; default 8 KiB, so that there are gaps
	MaxRings    int  // bytes that a hand-over carries; default as of an owner
	Faults      cluster.Faults
	LateResults float64           // the chance that an answer of the log is late; default as package sim has it
	TrimsEarly  bool              // a fault: nodes trim their logs before their folds are durable
	EntersLate  bool              // a fault: owners send a node nothing of a topic for a moment after it was told that it has joined
	Trace       func(line string) // takes what happens, line by line; default: there is none
}

// Fleet is the nodes of one run.
type Fleet struct {
	o        Options
	world    *sim.World
	network  *sim.Network
	frames   *sim.Datagrams
	log      sim.Log
	injector script.Injector
	models   *model.Models
	nodes    map[cluster.NodeID]*member
	names    []cluster.NodeID
	cores    []cluster.NodeID
	topics   []protocol.Topic
	seen     []int // entries of each partition's log that the models have been told of
	parts    uint64
	active   int                      // faults that last
	gaps     int                      // that links have reported
	broken   []string                 // rules that the fleet itself watches
	decided  map[string]time.Duration // by the id of an edge
	handed   map[tenure]log.Term      // the term of the first owner, of owners that go on where another has handed over
	sockets  uint64                   // of connections that were made
	verdicts [3]int
	isQuiet  bool
	states   states
	orders   orders

	stumble      time.Duration // for which the next successor is paused when the log elects it
	takeOvers    int           // of owners that nothing was handed over to
	acknowledged int           // publications
}

func (o Options) withDefaults() Options {
	if o.Core == 0 {
		o.Core, o.Edges = 3, 1
	}
	if o.Partitions == 0 {
		o.Partitions = 1
	}
	if o.LinkBytes == 0 {
		o.LinkBytes = 8 << 10
	}
	return o
}

// names are the nodes of a fleet.
func names(o Options) (cores, all []cluster.NodeID) {
	for i := range o.Core {
		cores = append(cores, cluster.NodeID(fmt.Sprintf("core-%d", i+1)))
	}
	all = slices.Clone(cores)
	for i := range o.Edges {
		all = append(all, cluster.NodeID(fmt.Sprintf("edge-%d", i+1)))
	}
	return cores, all
}

// New makes a fleet whose nodes all start.
func New(seed uint64, o Options) *Fleet {
	o = o.withDefaults()
	f := &Fleet{o: o, models: model.New(), decided: make(map[string]time.Duration), handed: make(map[tenure]log.Term), nodes: make(map[cluster.NodeID]*member), topics: topics(), seen: make([]int, o.Partitions)}
	f.cores, f.names = names(o)
	all := f.names
	if o.IsSequenced {
		all = append(slices.Clip(all), "service")
	}
	f.world = sim.NewWorld(seed, all...)
	f.network = sim.NewNetwork(f.world)
	f.frames = f.network.Datagrams(sim.DefaultTraffic(), f.receive)
	lo := sim.DefaultLogOptions()
	lo.Partitions = o.Partitions
	if o.LateResults > 0 {
		lo.Late = o.LateResults
	}
	if o.IsSequenced {
		f.log = sim.NewSeqLog(f.network, "service", f.cores, f.input, lo)
	} else {
		f.log = sim.NewRaftLog(f.network, f.cores, f.input, lo)
	}
	f.injector = script.Injector{World: f.world, Network: f.network, Log: f.log, Start: f.start, HandOver: f.handOver}
	f.models.Told.Wants = func(t protocol.Topic) bool { return tells(&t) }
	f.states, f.orders = newStates(f), newOrders(f)
	f.models.Quotas.ObserveLimit(app, limit)
	f.models.History.Ring = 100 // as an owner keeps by default
	f.world.Watch(f.watch)
	f.world.OnKill(f.killed)
	for i := range f.topics {
		f.models.History.ObserveTopic(f.topics[i], keeping(&f.topics[i]))
	}
	for _, id := range f.names {
		f.nodes[id] = &member{fleet: f, id: id, node: f.world.Node(id)}
		f.start(f.world.Node(id))
	}
	return f
}

// now is real time.
func (f *Fleet) now() time.Duration { return f.world.Now() }

func (f *Fleet) start(n *sim.Node) {
	m := f.nodes[n.ID]
	if m == nil || n.IsUp() {
		return
	}
	n.Start()
	m.start()
	f.models.ObserveStart(f.now(), n.ID)
	m.observeLife()
}

func (f *Fleet) killed(n *sim.Node) {
	if m := f.nodes[n.ID]; m != nil {
		f.models.ObserveKill(f.now(), n.ID)
		m.killed()
	}
}

func (f *Fleet) receive(to, from cluster.NodeID, frame any) {
	m := f.nodes[to]
	f.say("arrives at %s from %s %d", to, from, frame.(*link.Frame).Number)
	m.do(func(now time.Duration) { m.machine.Receive(now, from, frame.(*link.Frame)) })
}

// input takes what comes of the log.
func (f *Fleet) input(to cluster.NodeID, in any) {
	m := f.nodes[to]
	f.traceInput(to, in)
	m.do(func(now time.Duration) {
		switch in := in.(type) {
		case sim.TenureBegan:
			m.machine.Began(now, in.Partition, in.Term)
			f.began(m, in)
		case sim.TenureEnded:
			m.machine.Ended(now, in.Partition, in.Term)
		case sim.Appended:
			m.machine.Appended(now, in.Partition, in.Term, in.Number, in.Err)
		case sim.Committed:
			m.apply(now, in.Partition, in.Entry)
		case sim.Copied:
			m.copied(now, in)
		}
	})
}

// watch tells the models of entries that have become committed, and sees that one owner decides at a time.
func (f *Fleet) watch() {
	for p := range f.seen {
		f.watchOwners(cluster.Partition(p)) //nolint:gosec // few
	}
	for p := range f.seen {
		n := f.log.Length(cluster.Partition(p)) //nolint:gosec // few
		if n == f.seen[p] {
			continue
		}
		for _, e := range f.log.History(cluster.Partition(p))[f.seen[p]:] { //nolint:gosec // few
			for i := range e.Group {
				f.committed(&e.Group[i])
			}
		}
		f.seen[p] = n
	}
}

// watchOwners sees that no two nodes may decide about a partition at the same time.
func (f *Fleet) watchOwners(p cluster.Partition) {
	decides := cluster.NodeID("")
	for _, id := range f.cores {
		m := f.nodes[id]
		if m == nil || m.machine == nil || !m.machine.Decides(m.node.Clock(), p) {
			continue
		}
		if decides != "" {
			f.breaks("%s and %s may both decide about partition %d", decides, id, p)
		}
		decides = id
	}
}

// breaks notes that a rule is broken that the fleet itself watches.
func (f *Fleet) breaks(format string, args ...any) {
	if len(f.broken) < 10 {
		f.broken = append(f.broken, fmt.Sprintf("%v fleet: %s", f.now(), fmt.Sprintf(format, args...)))
	}
}

func (f *Fleet) committed(r *log.Record) {
	switch r.Kind {
	case log.KindPublication:
		p := r.Publication
		f.observeKeyed("log", r.Topic, p)
		id, isOwn := idOf(p)
		f.observeOwed(r.Topic, cluster.Position{StreamID: p.StreamID, Serial: p.Serial})
		f.models.History.ObserveCommitted(f.now(), r.Topic, cluster.Position{StreamID: p.StreamID, Serial: p.Serial}, id, isOwn)
	case log.KindEdge:
		f.say("told of %s: %+v", r.Topic.Name, *r.Edge)
		cause := map[log.Cause]string{log.CauseNodeDied: model.NodeDied, log.CauseOrphaned: model.OrphanCleanup}[r.Edge.Cause]
		f.models.Told.ObserveTold(f.now(), model.Edge{ID: r.Edge.ID, Topic: r.Topic, User: r.Edge.User, IsOn: r.Edge.Is, Node: r.Edge.Node, Cause: cause, Decided: f.decided[r.Edge.ID]})
		if r.Edge.User != "" {
			f.models.Presence.ObserveDecided(f.now(), r.Topic, r.Edge.User, r.Edge.Is)
		}
	case log.KindState:
		f.states.committed(r)
	case log.KindChanges:
		f.observeChanges(r)
	default: // none is made
	}
}

// idOf is the id by which the models know a publication.
func idOf(p *cluster.Publication) (id string, isOwn bool) {
	if bytes.HasPrefix(p.Data, []byte(markKeyed)) {
		return string(p.Data), false
	}
	if p.MessageID != "" {
		return p.MessageID, false
	}
	return fmt.Sprintf("%s/%d", p.StreamID, p.Serial), true
}

// standing is what owners have.
func (f *Fleet) standing() model.Standing {
	status := func(read func(m *member) bool) bool {
		for _, id := range f.cores {
			if m := f.nodes[id]; m.machine != nil && read(m) {
				return true
			}
		}
		return false
	}
	return model.Standing{
		HasEdges: true,
		Position: func(t protocol.Topic) (at cluster.Position, ok bool) {
			ok = status(func(m *member) bool {
				s, ok := m.machine.Status(m.node.Clock(), &t)
				at = s.Position
				return ok
			})
			return at, ok
		},
		Members: func(t protocol.Topic) (users []string) {
			status(func(m *member) bool {
				s, ok := m.machine.Status(m.node.Clock(), &t)
				for i := range s.Members {
					users = append(users, s.Members[i].UserID)
				}
				return ok
			})
			return users
		},
		Count: func(t protocol.Topic) (n int) {
			status(func(m *member) bool {
				s, ok := m.machine.Status(m.node.Clock(), &t)
				n = s.Subscriptions
				return ok
			})
			return n
		},
	}
}
