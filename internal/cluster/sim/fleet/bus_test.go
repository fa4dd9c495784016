package fleet_test

import (
	"context"
	"errors"
	"hash/fnv"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/bus/bustest"
	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/link"
	"github.com/millrace/millrace/internal/cluster/node"
	"github.com/millrace/millrace/internal/cluster/owner"
	"github.com/millrace/millrace/internal/cluster/sim"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// The machines of several nodes are a bus, whatever topics keep, where nothing fails.
func TestBusOfSeveralNodes(t *testing.T) {
	t.Parallel()
	for name, keeps := range map[string]owner.Keeps{"nothing": owner.Nothing, "ring": owner.Ring, "log": owner.Log} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bustest.RunNodes(t, func(t *testing.T, use func(t *testing.T, open bustest.OpenNodes)) {
				t.Helper()
				synctest.Test(t, func(t *testing.T) {
					running, stop := context.WithCancel(t.Context())
					var drive sync.WaitGroup
					defer drive.Wait()
					defer stop()
					use(t, func(_ *testing.T, ns ...bustest.Node) (all []bus.Bus) {
						w := newWorldOfBuses(keeps, ns)
						drive.Go(func() { w.drive(running) }) // ends with stop
						for _, id := range w.names {
							all = append(all, w.buses[id])
						}
						return all
					})
				})
			})
		})
	}
}

// worldOfBuses is nodes in a simulated world in which nothing fails. Its time is the time of the test.
type worldOfBuses struct {
	keeps owner.Keeps
	names []cluster.NodeID

	mu     sync.Mutex // of all below, and of all machines
	world  *sim.World
	frames *sim.Datagrams
	log    sim.Log
	buses  map[cluster.NodeID]*nodeBus
}

// nodeBus is the bus of one node. worldOfBuses.mu guards it.
type nodeBus struct {
	bus.Bus // nil: nodes do not read State and Status yet
	*worldOfBuses
	id      cluster.NodeID
	to      bustest.Node
	node    *sim.Node
	machine *node.Node
	out     cluster.Output
	tick    time.Duration // the reading of the clock at which Tick is called
	entries []sim.Entry
	waiting map[cluster.RequestID]chan cluster.Answer
}

func newWorldOfBuses(keeps owner.Keeps, ns []bustest.Node) *worldOfBuses {
	w := &worldOfBuses{keeps: keeps, names: []cluster.NodeID{"node-1", "node-2", "node-3"}, buses: map[cluster.NodeID]*nodeBus{}}
	w.world = sim.NewWorld(1, w.names...)
	network := sim.NewNetwork(w.world)
	traffic := sim.Traffic{Delay: 100 * time.Microsecond, Jitter: 2 * time.Millisecond}
	w.frames = network.Datagrams(traffic, func(to, from cluster.NodeID, frame any) {
		b := w.buses[to]
		b.do(func(now time.Duration) { b.machine.Receive(now, from, frame.(*link.Frame)) })
	})
	w.log = sim.NewRaftLog(network, w.names, w.input, sim.LogOptions{
		Partitions: 1, Heartbeat: 500 * time.Millisecond, Traffic: traffic, Write: time.Millisecond, Guard: time.Hour, GuardReturn: time.Second,
	})
	for i, id := range w.names {
		b := &nodeBus{worldOfBuses: w, id: id, to: ns[i], node: w.world.Node(id), waiting: map[cluster.RequestID]chan cluster.Answer{}}
		b.node.Start()
		b.machine = node.New(&b.out, node.Options{
			Self: cluster.Peer{Node: id, Incarnation: 1}, Nodes: w.names, Partitions: 1, IsCore: true,
			Keeps: func(*protocol.Topic) owner.Keeps { return keeps }, Tells: func(*protocol.Topic) bool { return false },
			Wall: func() int64 { return b.node.Wall().UnixMilli() },
		})
		w.buses[id] = b
	}
	for _, id := range w.names {
		b := w.buses[id]
		b.do(b.machine.Start)
		w.log.Start(id, 0, 0)
		b.lead()
	}
	return w
}

// drive lets the time of the world pass as the time of the test does, until ctx ends.
func (w *worldOfBuses) drive(ctx context.Context) {
	const step = time.Millisecond
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(step):
		}
		w.mu.Lock()
		w.world.Run(step)
		w.mu.Unlock()
	}
}

// lead tells the node, again and again, while its log knows an owner.
func (b *nodeBus) lead() {
	b.node.After(100*time.Millisecond, func() {
		if _, _, isKnown := b.log.Owner(b.id, 0); isKnown {
			b.do(b.machine.Led)
		}
		b.lead()
	})
}

// input takes what comes of the log.
func (w *worldOfBuses) input(to cluster.NodeID, in any) {
	b := w.buses[to]
	b.do(func(now time.Duration) {
		switch in := in.(type) {
		case sim.TenureBegan:
			b.machine.Began(now, in.Partition, in.Term)
		case sim.TenureEnded:
			b.machine.Ended(now, in.Partition, in.Term)
		case sim.Appended:
			b.machine.Appended(now, in.Partition, in.Term, in.Number, in.Err)
		case sim.Committed:
			b.entries = append(b.entries, in.Entry)
			b.machine.Applied(now, in.Partition, in.Entry.Group)
		}
	})
}

// do gives the machine an input, and carries out what it wants done.
func (b *nodeBus) do(input func(now time.Duration)) {
	input(b.node.Clock())
	for effects := b.out.Take(); len(effects) > 0; effects = b.out.Take() {
		for _, e := range effects {
			b.carryOut(e)
		}
	}
	for _, f := range b.machine.Frames(b.node.Clock()) {
		b.frames.Send(b.id, f.To, f.Frame)
	}
	now, due := b.node.Clock(), b.machine.Next()
	if b.tick > now && b.tick <= due {
		return
	}
	b.tick = max(due, now)
	planned := b.tick
	b.node.After(max(due-now, 0), func() {
		if b.tick == planned {
			b.tick = 0
			b.do(b.machine.Tick)
		}
	})
}

func (b *nodeBus) carryOut(e cluster.Effect) {
	switch e := e.(type) {
	case cluster.Append:
		b.log.Append(b.id, e.Partition, e.Term, e.Number, e.Group)
	case cluster.GiveUp:
		b.log.GiveUp(b.id, e.Partition, e.Term)
	case cluster.Load:
		b.node.Post(time.Millisecond, func() { b.load(e) })
	case cluster.Receive:
		b.receive(&e)
	case cluster.Lost:
		b.to.Lost(e.Topic, positionOf(e.From), positionOf(e.To))
	case cluster.Answer:
		b.waiting[e.Request] <- e
	}
}

func (b *nodeBus) load(e cluster.Load) {
	s := log.Stream{Next: 1}
	for i := range b.entries {
		for _, r := range b.entries[i].Group {
			if r.Kind == log.KindPublication && r.Topic == e.Topic {
				s.ID, s.Next = r.Publication.StreamID, r.Publication.Serial+1
			}
		}
	}
	b.do(func(now time.Duration) { b.machine.Loaded(now, e.Partition, &e.Topic, s) })
}

func (b *nodeBus) receive(e *cluster.Receive) {
	for i, p := range e.Publications {
		if e.IsSilent == nil || !e.IsSilent[i] {
			b.to.Receive(fromLink(e.Topic, p))
		}
	}
}

// fromLink is a publication as a hub has it.
func fromLink(t protocol.Topic, p *cluster.Publication) *protocol.Publication {
	return &protocol.Publication{
		Topic: t, Kind: p.Kind, Event: p.Event, Data: p.Data, UserID: p.UserID, HasNumericID: p.HasNumericID,
		Position: positionOf(cluster.Position{StreamID: p.StreamID, Serial: p.Serial}),
	}
}

// positionOf is a place as buses have it. Without a stream there is one epoch, for there is one term.
func positionOf(p cluster.Position) protocol.Position {
	h := fnv.New64a()
	_, _ = h.Write([]byte(p.StreamID)) // never fails
	return protocol.Position{Epoch: h.Sum64(), Offset: p.Serial}
}

// ask makes a request and waits for its answer.
func (b *nodeBus) ask(ctx context.Context, request func(now time.Duration) cluster.RequestID) (cluster.Answer, error) {
	answer := make(chan cluster.Answer, 1)
	b.mu.Lock()
	b.do(func(now time.Duration) { b.waiting[request(now)] = answer })
	b.mu.Unlock()
	select {
	case a := <-answer:
		switch {
		case a.Message != nil:
			return a, nil
		case a.Result == cluster.Unavailable:
			return a, bus.ErrUnavailable
		default:
			return a, bus.ErrUncertain
		}
	case <-ctx.Done():
		return cluster.Answer{}, bus.ErrUncertain
	}
}

func (b *nodeBus) Publish(ctx context.Context, batch *bus.Batch) (bus.Published, error) {
	var items []cluster.Item
	for i := range batch.Items {
		p := batch.Items[i].Publication
		items = append(items, cluster.Item{Topic: p.Topic, Retain: batch.Items[i].Retain, Publication: &cluster.Publication{
			Kind: p.Kind, Event: p.Event, Data: p.Data, UserID: p.UserID, HasNumericID: p.HasNumericID,
		}})
	}
	a, err := b.ask(ctx, func(now time.Duration) cluster.RequestID { return b.machine.Publish(now, items) })
	if err != nil {
		return bus.Published{}, err
	}
	outcomes := a.Message.(*cluster.Published).Outcomes
	if slices.ContainsFunc(outcomes, func(o cluster.Outcome) bool { return o.Result != cluster.Done }) {
		return bus.Published{}, errors.New("an item of a part was not published")
	}
	for i := range outcomes {
		batch.Items[i].Publication.Position = positionOf(outcomes[i].Position)
	}
	return bus.Published{}, nil
}

func (b *nodeBus) Join(ctx context.Context, j bus.Join) (bus.State, error) {
	a, err := b.ask(ctx, func(now time.Duration) cluster.RequestID {
		return b.machine.Join(now, cluster.Join{
			Topic: j.Topic, Part: cluster.Part(j.Part), Subscriber: j.Subscriber, Member: j.Member, MaxMembers: j.MaxMembers,
		})
	})
	if err != nil {
		return bus.State{}, err
	}
	m := a.Message.(*cluster.Joined)
	if m.Refusal != nil {
		return bus.State{}, m.Refusal
	}
	st := bus.State{Position: positionOf(m.Position), Members: m.Members}
	if m.Retained != nil {
		st.Retained = &bus.Retained{Publication: fromLink(*j.Topic, m.Retained), Remaining: time.Second}
	}
	return st, nil
}

func (b *nodeBus) Leave(ls ...bus.Leave) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range ls {
		b.do(func(now time.Duration) {
			b.machine.Leave(now, cluster.Leave{Topic: l.Topic, Part: cluster.Part(l.Part), Subscriber: l.Subscriber})
		})
	}
}
