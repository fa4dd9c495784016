package node

import (
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/log"
)

// Mutate asks for changes of entities of an app. See [follower.Follower.Mutate].
func (n *Node) Mutate(now time.Duration, m cluster.Mutate) cluster.RequestID {
	n.wake(now)
	defer n.route(now)
	return n.follower.Mutate(now, m)
}

// Decided answers a Decide. See [owner.Owner.Decided].
func (n *Node) Decided(now time.Duration, p cluster.Partition, term log.Term, decided []cluster.Decided) {
	n.wake(now)
	n.owners[p].Decided(now, term, decided)
	n.route(now)
}
