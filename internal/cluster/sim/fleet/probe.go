package fleet

import (
	"maps"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/sim"
	"github.com/millrace/millrace/internal/protocol"
)

// probe sees at a quiet moment that the app gets all connections that it may have, and that every order and every change is
// carried out everywhere.
func (f *Fleet) probe() {
	f.verdicts, f.isQuiet = [3]int{}, true
	isolations := f.world.Faults[sim.Isolation]
	lent := f.inUse() // more than the limit if a node was taken for dead and is back
	for _, id := range f.names {
		lent += f.nodes[id].machine.Unused(app)
	}
	for _, id := range f.names {
		f.nodes[id].admit(limit)
		f.nodes[id].change(uint64(len(id)))
		f.nodes[id].order(cluster.ListConnections)
		f.nodes[id].feed()
	}
	f.world.Run(7 * time.Second)
	switch used := f.inUse(); {
	case used < limit && f.verdicts[cluster.NotReady] == 0:
		f.breaks("admission: %d connections of %d are admitted when every node asks for all", used, limit)
	case used > max(limit, lent) && f.world.Faults[sim.Isolation] == isolations: // a node that is isolated admits up to the whole limit
		f.breaks("admission: %d connections are admitted of %d", used, limit)
	case f.verdicts[cluster.NotReady] > limit:
		f.breaks("admission: %d connections wait in vain", f.verdicts[cluster.NotReady])
	}
	f.states.checkQuiet()
	f.orders.checkQuiet()
}

// probeRequests sees at a quiet moment that every request has an answer, also if owners hand over while requests are under way.
func (f *Fleet) probeRequests(hasHandOver bool) {
	takeOvers := f.takeOvers
	if hasHandOver {
		f.handOver("", "")
	}
	f.request()
	f.world.Run(5 * time.Second)
	if f.takeOvers > takeOvers {
		return // the log has failed in between: what was asked of an owner that is lost may be uncertain
	}
	for _, id := range f.names {
		if waiting := slices.Sorted(maps.Keys(f.nodes[id].clients.requests)); len(waiting) > 0 {
			f.breaks("%s: the requests %v wait in vain", id, waiting)
		}
	}
}

// request has every node ask for something every millisecond, for some time.
func (f *Fleet) request() {
	const times = 20
	for i := range uint64(times) {
		for n, id := range f.names {
			m := f.nodes[id]
			t := f.topics[(i*7+uint64(n))%uint64(len(f.topics))] //nolint:gosec // small
			f.parts++
			m.publish(1<<32+f.parts, []protocol.Topic{t})
			m.join(t, 1<<20+f.parts)
			if i%2 == 1 {
				m.leave(m.clients.conns[len(m.clients.conns)/2])
			}
		}
		f.world.Run(time.Millisecond)
	}
}
