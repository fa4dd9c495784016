package node

import (
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/owner"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// Began tells that the log of a partition has made this node its owner, and applied what was committed before.
func (n *Node) Began(now time.Duration, p cluster.Partition, term log.Term) {
	n.wake(now)
	n.inContact(now)
	n.owners[p].Alive(now, n.o.Self) // a former hand-over of the owner may have kept it from hearing that
	n.owners[p].Begin(now, term)
	n.follower.Owned(cluster.Ownership{Partition: p, Node: n.o.Self.Node, Term: term, After: n.owners[p].After()})
	n.tellAll(n.heartbeat())
	n.route(now)
}

// HandOver begins to hand a partition over to another node. It reports false if this node cannot now. The transfer is over when
// another term begins; it falls back to an ordinary take-over when it fails.
func (n *Node) HandOver(now time.Duration, p cluster.Partition, to cluster.NodeID) bool {
	n.wake(now)
	defer n.route(now)
	return int(p) < len(n.owners) && n.owners[p].HandOver(now, to)
}

// IsInherited reports whether the owner of a partition, on this node, goes on where another one has handed over.
func (n *Node) IsInherited(p cluster.Partition) bool { return n.owners[p].After() != 0 }

// Ended tells that the log of a partition has ended a term of this node.
func (n *Node) Ended(now time.Duration, p cluster.Partition, term log.Term) {
	n.wake(now)
	if n.owners[p].Term() == term {
		n.owners[p].End()
	}
	n.route(now)
}

// Appended tells how an append has ended. See [owner.Owner.Appended].
func (n *Node) Appended(now time.Duration, p cluster.Partition, term log.Term, number uint64, err error) {
	n.wake(now)
	n.owners[p].Appended(now, term, number, err)
	n.route(now)
}

// Applied tells of a committed entry. See [owner.Owner.Applied].
func (n *Node) Applied(now time.Duration, p cluster.Partition, records []log.Record) {
	n.wake(now)
	n.owners[p].Applied(now, records)
	n.route(now)
}

// Loaded answers a Load. See [owner.Owner.Loaded].
func (n *Node) Loaded(now time.Duration, p cluster.Partition, t *protocol.Topic, s log.Stream) {
	n.wake(now)
	n.owners[p].Loaded(now, t, s)
	n.route(now)
}

// HasRead answers a ReadBack. See [owner.Owner.HasRead].
func (n *Node) HasRead(now time.Duration, p cluster.Partition, t *protocol.Topic, after uint64, ps []*cluster.Publication) {
	n.wake(now)
	n.owners[p].HasRead(now, t, after, ps)
	n.route(now)
}

// Status reads a topic at its owner, if this node is the owner. See [owner.Owner.Status].
func (n *Node) Status(now time.Duration, t *protocol.Topic) (s owner.Status, ok bool) {
	w := n.owners[cluster.PartitionOf(t, n.o.Partitions)]
	if !w.Decides(now) {
		return s, false
	}
	return w.Status(t)
}

// Decides reports whether this node owns a partition and may decide now.
func (n *Node) Decides(now time.Duration, p cluster.Partition) bool { return n.owners[p].Decides(now) }

// tellAll tells all other nodes.
func (n *Node) tellAll(m cluster.Message) {
	for _, id := range n.o.Nodes {
		if id != n.o.Self.Node {
			n.inner.Add(cluster.Send{To: id, Message: m})
		}
	}
}
