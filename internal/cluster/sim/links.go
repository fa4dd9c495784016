package sim

import (
	"time"

	"github.com/millrace/millrace/internal/cluster"
)

// Links carry frames in order. Each frame has a number, dense from 1 in each incarnation of its sender for each receiver, so
// that a receiver sees what is missing. A frame is late while its direction is cut. Frames that are under way may be lost
// when a connection is reset and when their receiver is killed; all others arrive, once.
type Links struct {
	network *Network
	traffic Traffic // its Delay, Jitter, Late and Lateness
	receive func(to, from cluster.NodeID, incarnation cluster.Incarnation, number uint64, frame any)
	pairs   []pair // by direction
}

// pair is one direction of a link.
type pair struct {
	incarnation cluster.Incarnation
	sent        uint64
	arrival     time.Duration // of the last frame that is under way
	queue       []linkFrame   // under way, in order
	isAwaited   bool          // an event will come for the first of the queue
}

type linkFrame struct {
	at          time.Duration
	incarnation cluster.Incarnation
	number      uint64
	frame       any
}

// Links makes links between all nodes. What arrives at a node that runs is handed to receive.
func (n *Network) Links(
	t Traffic, receive func(to, from cluster.NodeID, incarnation cluster.Incarnation, number uint64, frame any),
) *Links {
	l := &Links{network: n, traffic: t, receive: receive, pairs: make([]pair, n.size*n.size)}
	n.links = append(n.links, l)
	n.world.OnKill(l.kill)
	return l
}

// Begin begins an incarnation of a node: its frames are numbered from 1 again.
func (l *Links) Begin(id cluster.NodeID, incarnation cluster.Incarnation) {
	n := l.network.world.Node(id)
	for _, other := range l.network.world.nodes {
		p := l.pair(n, other)
		p.incarnation, p.sent = incarnation, 0
	}
}

// Send sends a frame. The sender may be the receiver.
func (l *Links) Send(from, to cluster.NodeID, frame any) {
	w := l.network.world
	source, target := w.Node(from), w.Node(to)
	p := l.pair(source, target)
	p.sent++
	delay := w.between(0, loopback)
	if source != target {
		delay = w.between(l.traffic.Delay, l.traffic.Delay+l.traffic.Jitter)
		if w.chance(l.traffic.Late) {
			w.Faults.add(FrameLate)
			delay += w.between(0, l.traffic.Lateness)
		}
	}
	p.arrival = max(p.arrival, w.now+delay)
	p.queue = append(p.queue, linkFrame{p.arrival, p.incarnation, p.sent, frame})
	l.await(source, target)
}

// await plans the arrival of the first frame of a direction. A cut delays it.
func (l *Links) await(from, to *Node) {
	p := l.pair(from, to)
	if p.isAwaited || len(p.queue) == 0 {
		return
	}
	p.isAwaited = true
	l.network.world.After(l.due(from, to)-l.network.world.now, func() { l.arrive(from, to) })
}

// due is when the first frame of a direction arrives.
func (l *Links) due(from, to *Node) time.Duration {
	due := l.pair(from, to).queue[0].at
	if from == to {
		return due
	}
	return max(due, l.network.cuts[l.network.direction(from, to)])
}

// arrive hands over the first frame of a direction if its time has come.
func (l *Links) arrive(from, to *Node) {
	p := l.pair(from, to)
	p.isAwaited = false
	if len(p.queue) > 0 && l.due(from, to) <= l.network.world.now {
		f := p.queue[0]
		p.queue = p.queue[1:]
		if to.isUp {
			to.Post(0, func() { l.receive(to.ID, from.ID, f.incarnation, f.number, f.frame) })
		}
	}
	l.await(from, to)
}

// reset loses the first frames that are under way in a direction, or none.
func (l *Links) reset(from, to *Node) {
	p := l.pair(from, to)
	if len(p.queue) > 0 && l.network.world.chance(0.5) {
		l.lose(p, 1+l.network.world.Rand.IntN(len(p.queue)))
	}
}

// lose loses the first frames of a direction.
func (l *Links) lose(p *pair, lost int) {
	if lost > 0 {
		l.network.world.Faults.add(LinkGap)
		p.queue = p.queue[lost:]
	}
}

// kill loses what is under way to a node that is killed, and some of what the node has sent last.
func (l *Links) kill(n *Node) {
	for _, other := range l.network.world.nodes {
		to := l.pair(other, n)
		l.lose(to, len(to.queue))
		from := l.pair(n, other)
		if sent := len(from.queue); sent > 0 && l.network.world.chance(0.5) {
			from.queue = from.queue[:l.network.world.Rand.IntN(sent)]
		}
	}
}

func (l *Links) pair(from, to *Node) *pair { return &l.pairs[l.network.direction(from, to)] }
