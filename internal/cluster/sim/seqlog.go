package sim

import (
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/log"
)

// SeqLog is a log that a service keeps, and that is fenced by its last index alone: an append says which index it expects
// the last entry to have, and is refused if that has another one. The service says who is to own a partition, with the next
// term, once it has stored nothing of the owner for two heartbeat time-outs; it may be wrong about that.
//
// Two appends of one node that are outstanding at once are not fenced: the first may be refused and the second stored.
//
// The leases that owners compute, as for [RaftLog], do not overlap: a node that is to own a partition stores an entry of its
// term, after which the service stores no append of an earlier owner. Its tenure begins a heartbeat time-out later by its own
// clock. By then the lease is over that counts from an entry which was proposed before.
type SeqLog struct {
	world   *World
	options LogOptions
	service *Node
	nodes   []*Node
	groups  []*seqGroup
	disk    disk
	tokens  uint64
	refuses []time.Duration // by node
	deliver func(cluster.NodeID, any)
	network *Datagrams
}

var _ Log = (*SeqLog)(nil)

// seqGroup is the log of one partition at the service.
type seqGroup struct {
	log       *SeqLog
	partition cluster.Partition
	clients   []*seqClient

	entries []Entry
	first   log.Index
	visible log.Index            // up to which entries are durable
	tokens  map[uint64]log.Index // the answers to appends

	term   log.Term
	holder int

	holderLife uint64          // of its process, when it was granted the term
	renewed    time.Duration   // the reading of the service's clock at which it last stored an entry of term, or granted it
	wants      []time.Duration // by node: the reading at which it last asked for the partition
}

// NewSeqLog makes logs that the given nodes share, and that another node keeps, whose process is never killed. Inputs go
// to deliver.
func NewSeqLog(
	n *Network, service cluster.NodeID, nodes []cluster.NodeID, deliver func(cluster.NodeID, any), o LogOptions,
) *SeqLog {
	l := &SeqLog{
		world: n.world, options: o, deliver: deliver,
		service: n.world.Node(service), refuses: make([]time.Duration, len(nodes)),
	}
	l.network = n.Datagrams(o.Traffic, l.receive)
	for _, id := range nodes {
		l.nodes = append(l.nodes, n.world.Node(id))
	}
	l.service.Start()
	for p := range o.Partitions {
		g := &seqGroup{
			log: l, partition: cluster.Partition(p), first: 1, holder: -1, //nolint:gosec // a small number
			tokens: map[uint64]log.Index{}, wants: make([]time.Duration, len(nodes)),
		}
		for i, node := range l.nodes {
			g.clients = append(g.clients, &seqClient{
				group: g, node: node, index: i, owner: -1,
				inputs: inputs{node: node, partition: g.partition, options: &l.options, deliver: deliver},
			})
		}
		l.groups = append(l.groups, g)
		g.tick()
	}
	n.world.OnKill(l.kill)
	return l
}

// Start implements [Log].
func (l *SeqLog) Start(node cluster.NodeID, p cluster.Partition, applied log.Index) {
	if c := l.client(node, p); c != nil {
		c.start(applied)
	}
}

// Append implements [Log].
func (l *SeqLog) Append(node cluster.NodeID, p cluster.Partition, term log.Term, number uint64, group []log.Record) {
	c := l.client(node, p)
	if c == nil {
		panic(fmt.Sprintf("sim: %s appends, and does not share the log", node))
	}
	e := Entry{Term: term, Number: number, Group: group, stored: term}
	c.inputs.arrive(func() { c.append(e) })
}

// Trim implements [Log].
func (l *SeqLog) Trim(node cluster.NodeID, p cluster.Partition, before log.Index) error {
	g := l.groups[p]
	switch {
	case before > l.client(node, p).inputs.known()+1:
		return log.ErrNotFolded
	case before > g.first:
		l.world.Faults.add(Trim)
		g.first = before
	}
	return nil
}

// HandOver implements [Log].
func (l *SeqLog) HandOver(node cluster.NodeID, p cluster.Partition, to cluster.NodeID) error {
	c, target := l.client(node, p), l.client(to, p)
	if target == nil || node == to {
		return log.ErrNoNode
	}
	if c.hasTenure {
		l.world.Faults.add(HandOver)
		c.endTenure()
		c.send(seqFrame{kind: seqGive, term: c.term, to: target.index})
	}
	return nil
}

// Owner implements [Log].
func (l *SeqLog) Owner(node cluster.NodeID, p cluster.Partition) (owner cluster.NodeID, term log.Term, isKnown bool) {
	c := l.client(node, p)
	switch {
	case c == nil:
	case c.hasTenure:
		return node, c.term, true
	case c.owner >= 0 && c.owner != c.index && c.node.Clock()-c.heard < l.options.Heartbeat:
		return l.nodes[c.owner].ID, c.ownerTerm, true
	}
	return "", 0, false
}

// History implements [Log].
func (l *SeqLog) History(p cluster.Partition) []Entry { return seen(l.groups[p].entries) }

// Stall implements [Log]. The disk is the service's.
func (l *SeqLog) Stall(_ cluster.NodeID, d time.Duration) { l.disk.stall(l.world, d) }

// Refuse implements [Log].
func (l *SeqLog) Refuse(node cluster.NodeID, d time.Duration) {
	if i := l.index(node); i >= 0 {
		l.refuses[i] = max(l.refuses[i], l.world.now+d)
	}
}

func (l *SeqLog) kill(n *Node) {
	for _, g := range l.groups {
		if i := l.index(n.ID); i >= 0 {
			g.clients[i].crash()
		}
	}
}

func (l *SeqLog) index(node cluster.NodeID) int {
	for i, n := range l.nodes {
		if n.ID == node {
			return i
		}
	}
	return -1
}

func (l *SeqLog) client(node cluster.NodeID, p cluster.Partition) *seqClient {
	if i := l.index(node); i >= 0 {
		return l.groups[p].clients[i]
	}
	return nil
}

// receive hands a frame to the service or to a client of it.
func (l *SeqLog) receive(to, from cluster.NodeID, frame any) {
	f := frame.(*seqFrame)
	if to == l.service.ID {
		l.groups[f.partition].receive(l.index(from), f)
		return
	}
	if c := l.client(to, f.partition); c.isStarted {
		c.receive(f)
	}
}
