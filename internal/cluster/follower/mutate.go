package follower

import (
	"time"

	"github.com/millrace/millrace/internal/cluster"
)

// Mutate asks for changes of entities of an app. An Answer with a Mutated ends the request, or one with a result: Unavailable or
// Uncertain. The same batch may be asked for again, on any node.
func (f *Follower) Mutate(now time.Duration, m cluster.Mutate) cluster.RequestID {
	m.Partition = cluster.PartitionOfApp(m.App, f.o.Partitions)
	r := f.add(now, m.Partition)
	r.isSafe = true
	m.Request = r.id
	r.message = &m
	f.ask(r)
	return r.id
}

// mutated takes the answer to a Mutate. What is applied is stored, so it does not matter which owner says so; nor who says
// Misplaced, which leaves open what has happened. Any other answer is about one ask, and counts if no other ask may still be
// carried out.
func (f *Follower) mutated(m *cluster.Mutated) {
	r := f.requests[m.Request]
	if r == nil {
		return
	}
	if m.Result != cluster.Done && m.Result != cluster.Misplaced {
		if r.asks--; r.asks > 0 {
			return
		}
	}
	f.answer(r, m)
}
