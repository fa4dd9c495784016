package follower

import (
	"slices"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/protocol"
)

// Isolate makes the node its own owner of all partitions, for what is not logged: it can reach no other owner. Owners that it
// hears of count from [Follower.Rejoin] on. What was sent to another owner and is not safe to send twice may have happened.
func (f *Follower) Isolate(self cluster.NodeID) {
	f.others = slices.Clone(f.owners)
	for p := range f.owners {
		w := &f.owners[p]
		w.Node, w.Term = self, max(w.Term, 1)
		f.pauses[p] = pause{}
		f.report(*w)
		f.askAlone(w.Partition)
	}
}

// isIsolated reports whether the node is its own owner.
func (f *Follower) isIsolated() bool { return f.others != nil }

// askAlone asks the node's own owner what has no answer.
func (f *Follower) askAlone(p cluster.Partition) {
	for _, id := range slices.Clone(f.order) {
		r := f.requests[id]
		if r == nil || r.partition != p {
			continue
		}
		if _, isPublish := r.message.(*cluster.Publish); isPublish && r.asks > 0 && !r.isSafe {
			f.fail(r, cluster.Uncertain)
		} else {
			f.ask(r)
		}
	}
}

// isForOthers reports whether the node's own owner decides nothing of a request, since the log or all nodes have part in it.
func (f *Follower) isForOthers(r *request) bool {
	switch m := r.message.(type) {
	case *cluster.Publish:
		return r.asks > 0 || slices.ContainsFunc(m.Items, func(it cluster.Item) bool { return it.KnownFor > 0 || f.o.IsLogged(&it.Topic) })
	case *cluster.Join:
		return f.o.IsLogged(m.Topic)
	case *cluster.Replay:
		return f.o.IsLogged(&m.Topic)
	case *cluster.JoinPattern:
		return false
	default:
		return true
	}
}

// waitForOthers leaves a request to another owner. A publish or a claim that no owner was asked for does not wait.
func (f *Follower) waitForOthers(r *request) {
	switch r.message.(type) {
	case *cluster.Publish, *cluster.Claim:
		if r.asks == 0 {
			f.fail(r, cluster.Unavailable)
		}
	}
}

// Rejoin ends an isolation: the node begins another life.
func (f *Follower) Rejoin() {
	f.owners, f.others = f.others, nil
	f.Reborn()
}

// ownedElse notes an owner that the node hears of while it is isolated.
func (f *Follower) ownedElse(w cluster.Ownership) {
	if known := &f.others[w.Partition]; w.Term > known.Term {
		*known = w
	}
}

// isReported reports whether the owner is told of a topic: the owner of an isolated node, of one that is not logged.
func (f *Follower) isReported(t *protocol.Topic) bool { return !f.isIsolated() || !f.o.IsLogged(t) }
