package cluster

import (
	"hash/fnv"
	"strings"

	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// NodeID names a node.
type NodeID = log.NodeID

// Incarnation tells the lives of a node apart: a later one is greater. A node begins one when it
// starts, and when an owner has dropped it.
type Incarnation uint64

// Peer is a node in one of its lives.
type Peer struct {
	Node        NodeID
	Incarnation Incarnation
}

// Partition is the number of a part of all topics that has one owner.
type Partition uint16

// metaPrefix begins the names of channels that tell about another channel (v2 5).
const metaPrefix = "[meta]"

// PartitionOf is the partition of a topic, of so many. What belongs together is in one partition: a channel and the
// channel about it; a user and whether the user is online.
func PartitionOf(t *protocol.Topic, partitions int) Partition {
	return partitionOf(t.App, strings.TrimPrefix(t.Name, metaPrefix), partitions)
}

func partitionOf(app, name string, partitions int) Partition {
	h := fnv.New32a()
	_, _ = h.Write([]byte(app)) // never fails
	_, _ = h.Write([]byte{0})
	_, _ = h.Write([]byte(name))
	return Partition(h.Sum32() % uint32(partitions)) //nolint:gosec // positive
}

// Ownership says who owns a partition, as far as a node knows.
type Ownership struct {
	Partition Partition
	Node      NodeID // empty: not known
	Term      log.Term
	After     log.Term // whose owner has handed over to this one; zero: none has
}

// Position is a place in a topic. A topic that keeps something has a stream, whose serials are dense from 1; the
// serials of another topic only grow, and only within a term.
type Position struct {
	StreamID string
	Serial   uint64
}
