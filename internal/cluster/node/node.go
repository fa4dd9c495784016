package node

import (
	"slices"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/admission"
	"github.com/millrace/millrace/internal/cluster/follower"
	"github.com/millrace/millrace/internal/cluster/link"
	"github.com/millrace/millrace/internal/cluster/order"
	"github.com/millrace/millrace/internal/cluster/owner"
	"github.com/millrace/millrace/internal/protocol"
)

// Options of a node. Self, Nodes, Keeps, Tells and Wall are required; zero fields mean the default.
type Options struct {
	Self       cluster.Peer
	Nodes      []cluster.NodeID // all nodes, Self among them, in the same order on each
	Partitions int              // default 1
	IsCore     bool             // the node has the log, and may own partitions
	DeadAfter  time.Duration    // of silence; default 2.2 s
	Heartbeat  time.Duration    // between two; default 500 ms
	LinkBytes  int              // what a link keeps; default 8 MiB
	MaxKeyed   int              // bytes of keys that an owner keeps; default 64 MiB
	MaxRings   int              // bytes of rings that a hand-over carries; default 64 MiB
	HandPiece  int              // bytes of a piece of a hand-over; default 64 KiB

	Keeps  func(*protocol.Topic) owner.Keeps // see package owner
	Tells  func(*protocol.Topic) bool        // see package owner
	Limit  func(app string) int              // how many connections an app may have on all nodes; default as many as it wants
	Rate   func(app string) int              // how many events in a second an app may have on all nodes; default as many as it wants
	Wall   func() int64                      // the time of day in Unix milliseconds
	Faults cluster.Faults                    // of the simulator's tests; default none
}

func (o Options) withDefaults() Options {
	if o.Partitions == 0 {
		o.Partitions = 1
	}
	if o.DeadAfter == 0 {
		o.DeadAfter = 2200 * time.Millisecond
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = 500 * time.Millisecond
	}
	if o.LinkBytes == 0 {
		o.LinkBytes = 8 << 20
	}
	return o
}

// longPause is more time between two inputs than a node that runs takes: it was stopped, and has heard
// nothing because it did not listen.
const longPause = time.Second

// Node is one node. Its methods are called by one goroutine at a time, with times that do not go
// back; after each the caller carries out what it takes from the Output.
type Node struct {
	o   Options
	out *cluster.Output // of the runtime

	inner     cluster.Output // of the machines, not routed yet
	follower  *follower.Follower
	owners    []*owner.Owner // by partition; none on an edge node
	alone     *alone         // nil: the node is not isolated
	contact   time.Duration  // when an owner was last known to be in reach
	beat      time.Duration  // when the node has last told that it decides
	peers     map[cluster.NodeID]*peer
	gate      *admission.Gate
	desk      *order.Desk
	announced time.Duration // when nodes were last told that did not know of an owner here
	last      time.Duration // of the last input
	ticked    time.Duration // the last Tick
	deaf      time.Duration // until when silence means nothing, since the node has not listened
}

// New makes a node. What the runtime is to do goes to out.
func New(out *cluster.Output, o Options) *Node {
	o = o.withDefaults()
	n := &Node{o: o, out: out, peers: make(map[cluster.NodeID]*peer)}
	n.follower = follower.New(&n.inner, follower.Options{
		Partitions: o.Partitions, Faults: o.Faults,
		IsLogged: func(t *protocol.Topic) bool { return o.Keeps(t) == owner.Log },
	})
	n.addAdmission()
	if !o.IsCore {
		return n
	}
	for p := range o.Partitions {
		n.owners = append(n.owners, owner.New(&n.inner, owner.Options{
			Partition: cluster.Partition(p), Self: o.Self.Node, Nodes: others(&o), Heartbeat: o.Heartbeat, //nolint:gosec // few
			Keeps: o.Keeps, Tells: o.Tells, Limit: n.o.Limit, Rate: n.o.Rate, Wall: o.Wall, MaxKeyed: o.MaxKeyed, Faults: o.Faults,
			MaxRings: o.MaxRings, HandPiece: o.HandPiece,
		}))
	}
	return n
}

// Start begins the node's life.
func (n *Node) Start(now time.Duration) {
	n.last, n.ticked, n.contact = now, now, now
	n.connect(now)
	for _, w := range n.owners {
		w.Alive(now, n.o.Self)
	}
	n.route(now)
}

// Receive takes a frame of another node.
func (n *Node) Receive(now time.Duration, from cluster.NodeID, f *link.Frame) {
	n.wake(now)
	p := n.peers[from]
	got := p.end.Receive(now, f)
	if got.Superseded != 0 {
		n.reborn(now, got.Superseded)
	} else {
		n.hears(now, p, got.Began)
		n.hand(now, p, &got)
	}
	n.route(now)
}

// hears notes that a node is alive. Owners that have taken its present life for dead have it told so, now and then until it
// begins another one.
func (n *Node) hears(now time.Duration, p *peer, began cluster.Incarnation) {
	if began != 0 {
		if p.Incarnation != 0 { // what was not confirmed between the former lives is gone
			n.follower.Gap(now, p.Node, nil, true)
		}
		if p.Incarnation != 0 && p.Incarnation != began {
			n.resync(p, true)
		}
		p.Incarnation = began
		n.inner.Add(cluster.Send{To: p.Node, Message: n.heartbeat()})
	}
	if p.Incarnation == 0 {
		return
	}
	for _, w := range n.owners {
		if !w.Alive(now, p.Peer) && now >= p.toldDropped+n.o.Heartbeat {
			p.toldDropped = now
			n.inner.Add(cluster.Send{To: p.Node, Message: &cluster.Dropped{Incarnation: p.Incarnation}})
		}
	}
}

// hand gives what a frame has brought to the machines: first what was lost before the messages.
func (n *Node) hand(now time.Duration, p *peer, got *link.Received) {
	if got.Lost != nil && (got.Lost.Loss.Requests || got.Lost.Loss.Reports) { // of what this node has sent
		n.resync(p, false)
	}
	if got.Gap != nil {
		n.follower.Gap(now, p.Node, got.Gap.Loss.Topics, got.Gap.Loss.AllTopics)
		if got.Gap.Loss.Requests {
			n.resync(p, false)
		}
		if got.Gap.Loss.Reports {
			n.missed(p)
		}
	}
	life := n.o.Self.Incarnation
	for _, m := range got.Messages {
		if n.o.Self.Incarnation != life {
			return // what follows was sent to the former life
		}
		n.take(now, p.Peer, m)
	}
}

// missed notes that a node has sent something of what it has in topics, or has asked for that, which was lost.
func (n *Node) missed(from *peer) {
	for _, w := range n.owners {
		w.Missed(from.Node)
	}
	n.resync(from, false)
}

// Reset tells that the connection to a node was lost, or that there is another one.
func (n *Node) Reset(now time.Duration, to cluster.NodeID) {
	n.wake(now)
	n.peers[to].end.Reset()
}

// Outgoing is a frame to be written to a node.
type Outgoing struct {
	To    cluster.NodeID
	Frame *link.Frame
}

// maxFrame is how many bytes of messages a frame has, but one message always.
const maxFrame = 64 << 10

// Frames returns what is to be written now. It is called after each input.
func (n *Node) Frames(now time.Duration) (fs []Outgoing) {
	for _, id := range n.o.Nodes {
		p := n.peers[id]
		for p != nil {
			f := new(link.Frame)
			if !p.end.Next(now, maxFrame, f) {
				break
			}
			fs = append(fs, Outgoing{id, f})
		}
	}
	return fs
}

// take gives a message to the machine that it is for.
func (n *Node) take(now time.Duration, from cluster.Peer, m cluster.Message) {
	switch m := m.(type) {
	case *cluster.Heartbeat:
		for _, w := range m.Owners {
			n.follower.Owned(w)
		}
		if m.Decides && !n.o.IsCore {
			n.inContact(now)
		}
	case *cluster.Dropped:
		if m.Incarnation == n.o.Self.Incarnation {
			n.reborn(now, m.Incarnation)
		}
	case *cluster.Renewed, *cluster.Lend, *cluster.CallBack, *cluster.State:
		n.gate.Receive(now, from.Node, m)
	case *cluster.Command, *cluster.Obeyed:
		n.desk.Receive(from, m)
	default:
		n.correct(from, m)
		if p, ok := n.partitionOf(m); !ok {
			n.follower.Receive(now, from.Node, m)
		} else if n.alone != nil && from == n.o.Self {
			n.alone.owners[p].Receive(now, from, m)
		} else if int(p) < len(n.owners) {
			n.owners[p].Receive(now, from, m)
		}
	}
}

// partitionOf is the partition whose owner a message is for; ok is false for one that an owner has sent.
func (n *Node) partitionOf(m cluster.Message) (p cluster.Partition, ok bool) {
	switch m := m.(type) {
	case *cluster.Publish:
		return m.Partition, true
	case *cluster.Claim:
		return m.Partition, true
	case *cluster.Settle:
		return m.Partition, true
	case *cluster.Report:
		return m.Partition, true
	case *cluster.Handed:
		return m.Partition, true
	case *cluster.Taken:
		return m.Partition, true
	case *cluster.Paused:
		return m.Partition, true
	case *cluster.JoinPattern:
		return m.Partition, true
	case *cluster.LeavePattern:
		return m.Partition, true
	case *cluster.Renew:
		return m.Partition, true
	case *cluster.Fetch:
		return m.Partition, true
	case *cluster.Change:
		return m.Partition, true
	case *cluster.Mutate:
		return m.Partition, true
	case *cluster.Join:
		return cluster.PartitionOf(m.Topic, n.o.Partitions), true
	case *cluster.Leave:
		return cluster.PartitionOf(&m.Topic, n.o.Partitions), true
	case *cluster.AskMembers:
		return cluster.PartitionOf(&m.Topic, n.o.Partitions), true
	case *cluster.Replay:
		return cluster.PartitionOf(&m.Topic, n.o.Partitions), true
	default:
		return 0, false
	}
}

// reborn begins a life above another one, after this life was taken for dead.
func (n *Node) reborn(now time.Duration, above cluster.Incarnation) {
	n.begin(now, above+1, n.follower.Reborn)
}

// begin begins a life, in which the follower has something to tell.
func (n *Node) begin(now time.Duration, life cluster.Incarnation, tell func()) {
	n.o.Self.Incarnation = life
	n.out.Add(cluster.Reborn{Incarnation: life})
	n.connect(now)
	for _, w := range n.owners {
		w.Alive(now, n.o.Self)
	}
	if n.alone != nil {
		n.alone.alive(now, n.o.Self)
	}
	tell()
	n.gate.Reborn(now)
	n.desk.Reborn()
}

// connect begins the links of a life.
func (n *Node) connect(now time.Duration) {
	for _, id := range n.o.Nodes {
		if id == n.o.Self.Node {
			continue
		}
		if n.peers[id] == nil {
			n.peers[id] = &peer{Peer: cluster.Peer{Node: id}}
		}
		n.resync(n.peers[id], false)
		n.peers[id].mustResync = false // the follower reports by itself when its node begins a life
		n.peers[id].end = link.New(n.o.Self.Incarnation, n.peers[id].Incarnation, now, link.Options{Heartbeat: n.o.Heartbeat, MaxBytes: n.o.LinkBytes, Faults: n.o.Faults})
	}
}

// pass gives a message to a link: at once if an owner of this node has sent it.
func (n *Node) pass(p *peer, m cluster.Message) {
	if _, isForOwner := n.partitionOf(m); isForOwner {
		n.queue(p, m)
	} else {
		p.end.Send(m)
	}
}

// route gives every message to its machine or its link, until the machines have nothing more to say.
func (n *Node) route(now time.Duration) {
	for {
		n.pump(now)
		n.gate.Follow(now, n.follower.Owners())
		if n.alone != nil {
			n.alone.carryOut(now, &n.inner)
		}
		effects := n.inner.Take()
		if len(effects) == 0 {
			return
		}
		for _, e := range effects {
			s, ok := e.(cluster.Send)
			switch {
			case !ok:
				n.out.Add(e)
			case s.To == n.o.Self.Node:
				n.take(now, n.o.Self, s.Message)
			case n.peers[s.To] != nil:
				n.pass(n.peers[s.To], s.Message)
			}
		}
	}
}

// wake notes the time of an input. A node that was stopped has not listened, so that silence means nothing for a while.
func (n *Node) wake(now time.Duration) {
	if now-n.last > longPause {
		n.deaf, n.contact = now+n.o.DeadAfter, now
		n.follower.Tick(now) // what has waited for too long is not asked again
	}
	n.last = now
}

// heartbeat is who owns what, as far as this node knows.
func (n *Node) heartbeat() *cluster.Heartbeat {
	return &cluster.Heartbeat{Owners: slices.Clone(n.follower.Owners()), Decides: n.decidesAny(n.last)}
}

// Tick does what has become due. It is called at the latest at Next.
func (n *Node) Tick(now time.Duration) {
	n.wake(now)
	n.ticked = now
	n.bury(now)
	n.watchContact(now)
	n.follower.Tick(now)
	n.gate.Tick(now)
	n.announce(now)
	n.desk.Tick(now)
	for _, w := range n.owners {
		w.Tick(now)
	}
	n.route(now)
}

// bury tells owners of nodes that have been silent for too long. Only an owner that decides says so.
func (n *Node) bury(now time.Duration) {
	if now < n.deaf {
		return
	}
	for _, id := range n.o.Nodes {
		p := n.peers[id]
		if p == nil || p.end.Silent(now) < n.o.DeadAfter {
			continue
		}
		for _, w := range n.owners {
			if w.Decides(now) && w.Dead(now, id) {
				n.out.Add(cluster.Died{Peer: p.Peer})
			}
		}
	}
}

// Next is when Tick and Frames are to be called.
func (n *Node) Next() time.Duration {
	next := n.ticked + n.o.Heartbeat // and not of the last input: a busy node looks for dead ones too
	earlier := func(t time.Duration) {
		if t > 0 {
			next = min(next, t)
		}
	}
	for _, id := range n.o.Nodes {
		if p := n.peers[id]; p != nil {
			earlier(p.end.NextTime())
			if p.mustResync && n.hasRoom(p) {
				earlier(p.resynced + resyncPause)
			}
		}
	}
	earlier(n.follower.Next())
	earlier(n.gate.Next())
	earlier(n.desk.Next())
	for _, w := range n.owners {
		earlier(w.Next())
	}
	return next
}

// Publish asks for publications of one partition. See [follower.Follower.Publish].
func (n *Node) Publish(now time.Duration, items []cluster.Item) cluster.RequestID {
	n.wake(now)
	defer n.route(now)
	return n.follower.Publish(now, items)
}

// PublishOnce asks for publications with a key. See [follower.Follower.PublishOnce].
func (n *Node) PublishOnce(now time.Duration, k *cluster.Keyed) cluster.RequestID {
	n.wake(now)
	defer n.route(now)
	return n.follower.PublishOnce(now, k)
}

// Join asks for a subscription. See [follower.Follower.Join].
func (n *Node) Join(now time.Duration, j cluster.Join) cluster.RequestID {
	n.wake(now)
	defer n.route(now)
	return n.follower.Join(now, j)
}

// Leave ends a subscription. See [follower.Follower.Leave].
func (n *Node) Leave(now time.Duration, l cluster.Leave) {
	n.wake(now)
	n.follower.Leave(now, l)
	n.route(now)
}

// JoinPattern asks for a subscription with a pattern. See [follower.Follower.JoinPattern].
func (n *Node) JoinPattern(now time.Duration, p cluster.Pattern, part cluster.Part, subscriber protocol.SocketID) cluster.RequestID {
	n.wake(now)
	defer n.route(now)
	return n.follower.JoinPattern(now, p, part, subscriber)
}

// LeavePattern ends one. See [follower.Follower.LeavePattern].
func (n *Node) LeavePattern(now time.Duration, p cluster.Pattern, part cluster.Part, subscriber protocol.SocketID) {
	n.wake(now)
	n.follower.LeavePattern(now, p, part, subscriber)
	n.route(now)
}

// Replay asks for what follows a position. See [follower.Follower.Replay].
func (n *Node) Replay(now time.Duration, t protocol.Topic, after cluster.Position) cluster.RequestID {
	n.wake(now)
	defer n.route(now)
	return n.follower.Replay(now, t, after)
}
