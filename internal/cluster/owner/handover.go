package owner

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/handover"
	"github.com/millrace/millrace/internal/protocol"
)

const (
	// fewChanged is how many topics may have changed since they were sent when the owner stops.
	fewChanged = 64
	// maxRounds is after how many rounds of topics the owner stops, however many have changed.
	maxRounds = 4

	followTime = 2 * time.Second        // for the answer to a piece, before the owner stops
	stopTime   = time.Second            // for outstanding groups, for the answer to a piece afterwards, and for the log
	pauseTime  = 100 * time.Millisecond // for the answers of nodes
)

// step is how far a hand-over has come.
type step uint8

const (
	following step = iota // the successor is sent topics; the owner decides
	stopping              // the owner decides nothing more, and waits for its groups
	pausing               // what the owner has is fixed, and it waits for the answers of nodes
	sending               // the successor is sent the rest
	given                 // the log was asked
)

// handing is the hand-over of an owner. If it fails while the successor follows, the owner goes on. Later the successor may have all
// that the owner has, so the owner gives up its term.
type handing struct {
	*handover.Sender
	to       cluster.NodeID
	step     step
	deadline time.Duration
	paused   map[cluster.NodeID]bool
}

// HandOver begins to hand the partition over to another node. It reports false if the owner cannot now.
func (o *Owner) HandOver(now time.Duration, to cluster.NodeID) bool {
	if !o.Decides(now) || o.handing != nil || !o.takeover.isSettled || !slices.Contains(o.o.Nodes, to) || o.nodes[to] == nil {
		return false
	}
	o.handing = &handing{
		Sender: handover.NewSender(source{o}, o.o.HandPiece, o.o.MaxRings), to: to, paused: make(map[cluster.NodeID]bool),
	}
	o.follow(now)
	return true
}

// hasStopped reports whether the owner decides nothing more.
func (o *Owner) hasStopped() bool { return o.handing != nil && o.handing.step >= stopping }

// isFixed reports whether what the owner has must not change any more.
func (o *Owner) isFixed() bool { return o.handing != nil && o.handing.step >= pausing }

// source is what a hand-over reads of an owner.
type source struct{ *Owner }

// Versions implements handover.Source.
func (s source) Versions() iter.Seq2[*protocol.Topic, uint64] { return s.interest.Versions() }

// State implements handover.Source.
func (s source) State(now time.Duration, t *protocol.Topic) (state cluster.TopicState, version uint64, ok bool) {
	if t := s.interest.Find(t); t != nil {
		return t.State(now), t.Version(), true
	}
	return state, 0, false
}

// IsLogged implements handover.Source.
func (s source) IsLogged(t *protocol.Topic) bool { return s.o.Keeps(t) == Log }

// follow sends the next piece of topics while the owner decides. The owner stops when few have changed since they were sent.
func (o *Owner) follow(now time.Duration) {
	if h := o.handing; h.HasNext() || h.Rounds() < maxRounds && h.Begin() > fewChanged {
		o.sendPiece(now, followTime)
	} else {
		o.stop(now)
	}
}

func (o *Owner) sendPiece(now, timeout time.Duration) {
	h := o.handing
	h.deadline = now + timeout
	m := h.Next(now)
	m.Partition, m.Term = o.o.Partition, o.term
	o.send(h.to, m)
}

// stop has the owner decide nothing more.
func (o *Owner) stop(now time.Duration) {
	o.handing.step, o.handing.deadline = stopping, now+stopTime
	for _, c := range o.cold {
		o.queue.add(request{c.from, c.request})
	}
	o.cold = nil
	o.tickHandOver(now)
}

// pause has nodes send nothing more to this owner, once all that it has decided is stored and sent.
func (o *Owner) pause(now time.Duration) {
	o.handing.step, o.handing.deadline = pausing, now+pauseTime
	for _, id := range o.aliveNodes() {
		o.send(id, &cluster.Stopped{Partition: o.o.Partition, Term: o.term})
	}
}

// pausedBy notes that a node sends nothing more to this owner.
func (o *Owner) pausedBy(now time.Duration, from cluster.Peer, m *cluster.Paused) {
	h := o.handing
	if h == nil || h.step != pausing || m.Term != o.term {
		return
	}
	if h.paused[from.Node] = true; len(h.paused) == len(o.nodes) {
		o.sendRest(now)
	}
}

// sendRest sends the topics that have changed since they were sent, and all that waits. What waits is not this owner's to refuse
// any more.
func (o *Owner) sendRest(now time.Duration) {
	h := o.handing
	h.step = sending
	l := handover.Last{Queue: o.contacts.Unanswered(), Patterns: o.interest.Patterns()}
	for _, r := range o.queue.takeAll() {
		if _, isOfTerm := r.message.(*cluster.Renew); !isOfTerm {
			l.Queue = append(l.Queue, cluster.Forwarded{From: r.from, Message: r.message})
		}
	}
	if o.o.Faults.Has(cluster.FaultQueueLost) {
		l.Queue = nil
	}
	for _, id := range o.aliveNodes() {
		n := o.nodes[id]
		isKnown := h.paused[id] && o.interest.IsSettled(id) && !n.report.HasBegun() && !n.hasGap
		l.Rest.Nodes = append(l.Rest.Nodes, cluster.NodeState{Peer: n.Peer, IsKnown: isKnown})
	}
	for id, life := range o.dropped {
		l.Rest.Dropped = append(l.Rest.Dropped, cluster.Peer{Node: id, Incarnation: life})
	}
	slices.SortFunc(l.Rest.Dropped, func(a, b cluster.Peer) int { return cmp.Compare(a.Node, b.Node) })
	h.Finish(l)
	o.sendPiece(now, stopTime)
}

// taken goes on with a hand-over: the successor has a piece.
func (o *Owner) taken(now time.Duration, from cluster.Peer, m *cluster.Taken) {
	h := o.handing
	if h == nil || m.Term != o.term || from.Node != h.to || m.Number != h.Number() {
		return
	}
	switch {
	case h.step == following:
		o.follow(now)
	case h.step == sending && !h.IsOver():
		o.sendPiece(now, stopTime)
	case h.step == sending:
		h.step, h.deadline = given, now+stopTime
		o.lease.End()
		o.out.Add(cluster.HandOver{Partition: o.o.Partition, Term: o.term, To: h.to})
	}
}

// tickHandOver does what has become due in a hand-over.
func (o *Owner) tickHandOver(now time.Duration) {
	h := o.handing
	switch {
	case h == nil:
	case h.step == stopping && len(o.groups) == 0 && len(o.behind) == 0:
		o.pause(now)
	case now < h.deadline:
	case h.step == following:
		o.handing = nil
	case h.step == pausing:
		o.sendRest(now)
	default:
		o.giveUp()
	}
}

// receiveHandOver takes the messages of hand-overs. It reports false for another message.
func (o *Owner) receiveHandOver(now time.Duration, from cluster.Peer, m cluster.Message) bool {
	switch m := m.(type) {
	case *cluster.Handed:
		o.takeHanded(from, m)
	case *cluster.Taken:
		o.taken(now, from, m)
	case *cluster.Paused:
		o.pausedBy(now, from, m)
	default:
		return false
	}
	return true
}

// aliveNodes are the nodes that are alive, in order.
func (o *Owner) aliveNodes() []cluster.NodeID { return slices.Sorted(maps.Keys(o.nodes)) }

// Missed notes that messages of a node were lost on their way. What they told of topics the node reports.
func (o *Owner) Missed(id cluster.NodeID) {
	if n := o.nodes[id]; n != nil {
		n.hasGap = true
	}
}
