package fleet

import (
	"slices"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/sim"
	"github.com/millrace/millrace/internal/log"
)

// tenure is a term of a partition.
type tenure struct {
	partition cluster.Partition
	term      log.Term
}

// handOver has the owner of each partition hand over to a node, or to the next core node where that cannot be.
func (f *Fleet) handOver(_, to cluster.NodeID) {
	for p := range f.o.Partitions {
		p := cluster.Partition(p) //nolint:gosec // few
		i := slices.IndexFunc(f.cores, func(id cluster.NodeID) bool {
			m := f.nodes[id]
			return m.machine != nil && m.node.IsRunning() && m.machine.Decides(m.node.Clock(), p)
		})
		if i < 0 {
			continue
		}
		m := f.nodes[f.cores[i]]
		if to == m.id || !slices.Contains(f.cores, to) {
			to = f.cores[(i+1)%len(f.cores)]
		}
		m.do(func(now time.Duration) { m.machine.HandOver(now, p, to) })
	}
}

// began tells the models of an owner that begins a term.
func (f *Fleet) began(m *member, in sim.TenureBegan) {
	if !m.machine.IsInherited(in.Partition) {
		f.takeOvers++
		f.models.History.ObserveTakeOver(f.now())
		return
	}
	f.world.Faults[sim.Inherited]++
	f.handed[tenure{in.Partition, in.Term}] = f.tenure(in.Partition, in.Term-1)
}

// tenure is the term of the first of the owners that have handed over to each other, up to one.
func (f *Fleet) tenure(p cluster.Partition, term log.Term) log.Term {
	if first, ok := f.handed[tenure{p, term}]; ok {
		return first
	}
	return term
}
