package sim

import (
	"time"

	"github.com/millrace/millrace/internal/cluster"
)

// loopback is how long a frame of a node to itself takes at most.
const loopback = 50 * time.Microsecond

// Traffic says what happens to frames where the network is not cut. Chances are between 0 and 1.
type Traffic struct {
	Delay, Jitter time.Duration // at least Delay, at most Jitter more; most frames take little of it
	Lost          float64
	Duplicated    float64
	Reordered     float64       // takes up to Jitter more, so that later frames overtake it
	Late          float64       // takes up to Lateness more
	Lateness      time.Duration // far above what machines wait for
}

// DefaultTraffic is a network that fails often.
func DefaultTraffic() Traffic {
	return Traffic{
		Delay: 200 * time.Microsecond, Jitter: 3 * time.Millisecond,
		Lost: 0.005, Duplicated: 0.005, Reordered: 0.02, Late: 0.002, Lateness: 3 * time.Second,
	}
}

// Network has the directions between nodes, each of which can be cut.
type Network struct {
	world *World
	size  int
	cuts  []time.Duration // by direction: the real time until which it is cut
	links []*Links
}

// NewNetwork connects all nodes of a world.
func NewNetwork(w *World) *Network {
	size := len(w.nodes)
	return &Network{world: w, size: size, cuts: make([]time.Duration, size*size)}
}

// Cut loses all frames from one node to another for a real time.
func (n *Network) Cut(from, to cluster.NodeID, d time.Duration) {
	i := n.direction(n.world.Node(from), n.world.Node(to))
	n.cuts[i] = max(n.cuts[i], n.world.now+d)
}

// CutPair loses all frames between two nodes for a real time.
func (n *Network) CutPair(a, b cluster.NodeID, d time.Duration) {
	n.Cut(a, b, d)
	n.Cut(b, a, d)
}

// Isolate loses all frames from and to a node for a real time.
func (n *Network) Isolate(id cluster.NodeID, d time.Duration) {
	for _, other := range n.world.nodes {
		if other.ID != id {
			n.CutPair(id, other.ID, d)
		}
	}
}

// IsCut reports whether frames from one node to another are lost now.
func (n *Network) IsCut(from, to cluster.NodeID) bool {
	return n.cuts[n.direction(n.world.Node(from), n.world.Node(to))] > n.world.now
}

// Reset resets the connections between two nodes.
func (n *Network) Reset(a, b cluster.NodeID) {
	n.world.Faults.add(LinkReset)
	for _, l := range n.links {
		l.reset(n.world.Node(a), n.world.Node(b))
		l.reset(n.world.Node(b), n.world.Node(a))
	}
}

// Heal ends all cuts.
func (n *Network) Heal() { clear(n.cuts) }

func (n *Network) direction(from, to *Node) int { return from.index*n.size + to.index }

// countCut counts a frame that a cut has lost, if there is one.
func (n *Network) countCut(from, to *Node) bool {
	switch now := n.world.now; {
	case n.cuts[n.direction(from, to)] <= now:
		return false
	case n.cuts[n.direction(to, from)] <= now:
		n.world.Faults.add(FrameCut)
	default:
		n.world.Faults.add(FrameCutPair)
	}
	return true
}

// Datagrams carry frames that may be lost, late, repeated and out of order.
type Datagrams struct {
	network *Network
	traffic Traffic
	receive func(to, from cluster.NodeID, frame any)
}

// Datagrams makes a way for frames. What arrives at a node that runs is handed to receive.
func (n *Network) Datagrams(t Traffic, receive func(to, from cluster.NodeID, frame any)) *Datagrams {
	return &Datagrams{n, t, receive}
}

// Send sends a frame. The sender may be the receiver.
func (d *Datagrams) Send(from, to cluster.NodeID, frame any) { d.SendAfter(0, from, to, frame) }

// SendAfter sends a frame that takes longer than others.
func (d *Datagrams) SendAfter(delay time.Duration, from, to cluster.NodeID, frame any) {
	n, w := d.network, d.network.world
	source, target := w.Node(from), w.Node(to)
	if source == target {
		target.Post(w.between(0, loopback), func() { d.receive(to, from, frame) })
		return
	}
	if n.countCut(source, target) {
		return
	}
	if w.chance(d.traffic.Lost) {
		w.Faults.add(FrameLost)
		return
	}
	times := 1
	if w.chance(d.traffic.Duplicated) {
		w.Faults.add(FrameDuplicated)
		times = 2
	}
	for range times {
		w.After(delay+d.delay(), func() { d.arrive(source, target, frame) })
	}
}

// delay draws how long a frame takes.
func (d *Datagrams) delay() time.Duration {
	w, t := d.network.world, &d.traffic
	delay := w.between(t.Delay, t.Delay+t.Jitter)
	if w.chance(t.Reordered) {
		w.Faults.add(FrameReordered)
		delay += w.between(0, t.Jitter)
	}
	if w.chance(t.Late) {
		w.Faults.add(FrameLate)
		delay += w.between(0, t.Lateness)
	}
	return delay
}

// arrive hands a frame to the process that lives now. One that stands still takes it when it goes on.
func (d *Datagrams) arrive(from, to *Node, frame any) {
	if d.network.countCut(from, to) || !to.isUp {
		return
	}
	to.Post(0, func() { d.receive(to.ID, from.ID, frame) })
}
