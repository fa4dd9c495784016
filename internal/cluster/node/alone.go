package node

import (
	"fmt"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/owner"
	"github.com/millrace/millrace/internal/protocol"
)

// alone is the owner of all partitions for the connections of an isolated node. It is an owner as others are, whose take-over
// does not end, since the other nodes do not report: it decides that something has come, and never that something is gone. Its log
// keeps nothing, so no topic is logged, and no webhook is told.
type alone struct {
	owners []*owner.Owner // by partition
	out    cluster.Output
}

// ever is a heartbeat time-out after which no lease of a log that is this node's own ends.
const ever = 1 << 60

// newAlone begins a term of the owners, each with the number of the last term that the node knows.
func newAlone(now time.Duration, o *Options, last []cluster.Ownership) *alone {
	a := new(alone)
	keeps := func(t *protocol.Topic) owner.Keeps {
		if k := o.Keeps(t); k != owner.Log {
			return k
		}
		return owner.Nothing
	}
	for p := range o.Partitions {
		w := owner.New(&a.out, owner.Options{
			Partition: cluster.Partition(p), Self: o.Self.Node, Nodes: others(o), Heartbeat: ever, ReportTime: -1, //nolint:gosec // few
			Keeps: keeps, Tells: func(*protocol.Topic) bool { return false }, Wall: o.Wall, Faults: o.Faults,
			Streams: fmt.Sprintf("%s/%d", o.Self.Node, o.Self.Incarnation),
		})
		w.Alive(now, o.Self)
		w.Begin(now, max(last[p].Term, 1))
		a.owners = append(a.owners, w)
	}
	return a
}

// others are the nodes beside this one.
func others(o *Options) []cluster.NodeID {
	return slices.DeleteFunc(slices.Clone(o.Nodes), func(id cluster.NodeID) bool { return id == o.Self.Node })
}

// alive tells of another life of the node.
func (a *alone) alive(now time.Duration, self cluster.Peer) {
	for _, w := range a.owners {
		w.Alive(now, self)
	}
}

// carryOut appends to a log that keeps nothing, and passes on what the owners send.
func (a *alone) carryOut(now time.Duration, to *cluster.Output) {
	for len(a.out.Effects) > 0 {
		for _, e := range a.out.Take() {
			if e, ok := e.(cluster.Append); ok {
				a.owners[e.Partition].Appended(now, e.Term, e.Number, nil)
				continue
			}
			to.Add(e)
		}
	}
}
