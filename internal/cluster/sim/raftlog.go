package sim

import (
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/log"
)

// maxVoters is how many nodes share a log at most.
const maxVoters = 8

// RaftLog is a log as Raft keeps it: the entries of a majority of voters are prefixes of one another.
//
// An owner computes its lease by itself: it ends 0.8 heartbeat time-outs T after the moment at which it proposed an entry of its
// term that was committed, by its own clock. Two such leases of different nodes never overlap, while the fastest clock is at most
// 1.25 times as fast as the slowest one:
//
//  1. Let owner A propose an entry E of term t at time p, and let E be committed. A majority has stored E, and each of its
//     voters but A has received E from A at a time not before p.
//  2. Let B be elected in a later term. Its log is at least as far as the log of each voter that has elected it, of which one
//     has stored E. So B has stored E, and has received it not before p.
//  3. B begins an election no earlier than T after it has received an entry, and a voter that runs gives its vote no
//     earlier, each by its own clock. One that has been started has waited T since. So B is elected after p + T/fastest.
//  4. The lease of A ends by p + 0.8 T/slowest, which is not later than p + T/fastest.
//  5. A hand-over is an election without the wait of step 3. A has ended its lease for ever before it begins, and the votes are for
//     the next term alone: what a voter has promised to an owner of a later term stays.
//
// Step 5 fails if a node that is told to take over does so in whichever term it gets the message.
type RaftLog struct {
	world   *World
	options LogOptions
	voters  []*Node
	groups  []*raftGroup
	disks   []disk          // by voter
	refuses []time.Duration // by voter: the real time until which it refuses appends
	deliver func(cluster.NodeID, any)
	network *Datagrams
}

var _ Log = (*RaftLog)(nil)

// raftGroup is the log of one partition.
type raftGroup struct {
	log       *RaftLog
	partition cluster.Partition
	voters    []*voter
	committed []Entry
}

// NewRaftLog makes logs that the given nodes share. Inputs go to deliver.
func NewRaftLog(n *Network, voters []cluster.NodeID, deliver func(cluster.NodeID, any), o LogOptions) *RaftLog {
	if len(voters) > maxVoters {
		panic(fmt.Sprintf("sim: %d voters, at most %d", len(voters), maxVoters))
	}
	l := &RaftLog{
		world: n.world, options: o, deliver: deliver,
		disks: make([]disk, len(voters)), refuses: make([]time.Duration, len(voters)),
	}
	l.network = n.Datagrams(o.Traffic, l.receive)
	for _, id := range voters {
		l.voters = append(l.voters, n.world.Node(id))
	}
	for p := range o.Partitions {
		g := &raftGroup{log: l, partition: cluster.Partition(p)} //nolint:gosec // a small number
		for i, node := range l.voters {
			g.voters = append(g.voters, newVoter(g, node, i))
		}
		l.groups = append(l.groups, g)
	}
	n.world.OnKill(l.kill)
	return l
}

// Start implements [Log].
func (l *RaftLog) Start(node cluster.NodeID, p cluster.Partition, applied log.Index) {
	if v := l.voter(node, p); v != nil {
		v.start(applied)
	}
}

// Append implements [Log].
func (l *RaftLog) Append(node cluster.NodeID, p cluster.Partition, term log.Term, number uint64, group []log.Record) {
	v := l.voter(node, p)
	if v == nil {
		panic(fmt.Sprintf("sim: %s appends, and is no voter", node))
	}
	v.inputs.arrive(func() { v.append(Entry{Term: term, Number: number, Group: group}) })
}

// Trim implements [Log].
func (l *RaftLog) Trim(node cluster.NodeID, p cluster.Partition, before log.Index) error {
	v := l.voter(node, p)
	switch {
	case before > v.inputs.known()+1:
		return log.ErrNotFolded
	case before > v.first:
		l.world.Faults.add(Trim)
		v.first = before
	}
	return nil
}

// HandOver implements [Log].
func (l *RaftLog) HandOver(node cluster.NodeID, p cluster.Partition, to cluster.NodeID) error {
	target := l.voter(to, p)
	if target == nil || node == to {
		return log.ErrNoNode
	}
	l.voter(node, p).handOver(target)
	return nil
}

// Owner implements [Log].
func (l *RaftLog) Owner(node cluster.NodeID, p cluster.Partition) (owner cluster.NodeID, term log.Term, isKnown bool) {
	v := l.voter(node, p)
	switch {
	case v == nil || v.leader < 0:
	case v.role == leading:
		return node, v.term, v.hasTenure
	case v.node.Clock()-v.heard < l.options.Heartbeat:
		return l.voters[v.leader].ID, v.term, true
	}
	return "", 0, false
}

// History implements [Log].
func (l *RaftLog) History(p cluster.Partition) []Entry { return seen(l.groups[p].committed) }

// Stall implements [Log].
func (l *RaftLog) Stall(node cluster.NodeID, d time.Duration) {
	if i := l.index(node); i >= 0 {
		l.disks[i].stall(l.world, d)
	}
}

// Refuse implements [Log].
func (l *RaftLog) Refuse(node cluster.NodeID, d time.Duration) {
	if i := l.index(node); i >= 0 {
		l.refuses[i] = max(l.refuses[i], l.world.now+d)
	}
}

// kill ends the voters of a process.
func (l *RaftLog) kill(n *Node) {
	if l.index(n.ID) < 0 {
		return
	}
	for _, g := range l.groups {
		g.voters[l.index(n.ID)].crash()
	}
	l.disks[l.index(n.ID)] = disk{stalled: l.disks[l.index(n.ID)].stalled}
}

// index is the number of a voter, -1 if the node is none.
func (l *RaftLog) index(node cluster.NodeID) int {
	for i, n := range l.voters {
		if n.ID == node {
			return i
		}
	}
	return -1
}

// voter is the part of a node in the log of a partition, nil if it has none.
func (l *RaftLog) voter(node cluster.NodeID, p cluster.Partition) *voter {
	if i := l.index(node); i >= 0 {
		return l.groups[p].voters[i]
	}
	return nil
}

// note makes entries that a majority has stored part of the history.
func (g *raftGroup) note(entries []Entry) {
	if n := len(g.committed); n > 0 {
		if last := min(n, len(entries)); last > 0 && g.committed[last-1].stored != entries[last-1].stored {
			panic(fmt.Sprintf("sim: the model of Raft has committed two entries %d", last))
		}
	}
	if len(entries) > len(g.committed) {
		g.committed = entries
	}
}
