package fleet

import (
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/node"
	"github.com/millrace/millrace/internal/cluster/sim"
)

// lead tells a core node, again and again, while its log knows an owner.
func (m *member) lead(machine *node.Node) {
	m.node.After(100*time.Millisecond, func() {
		if m.machine != machine {
			return
		}
		for p := range m.fleet.o.Partitions {
			if _, _, isKnown := m.fleet.log.Owner(m.id, cluster.Partition(p)); isKnown { //nolint:gosec // few
				m.do(machine.Led)
				break
			}
		}
		m.lead(machine)
	})
}

// observeIsolated tells the models when a node becomes isolated by its own judgement, and when it is no longer.
func (m *member) observeIsolated() {
	if is := m.machine.IsIsolated(); is != m.isIsolated {
		m.isIsolated = is
		if is {
			m.fleet.world.Faults[sim.Isolation]++
		}
		m.fleet.say("%s is isolated: %v", m.id, is)
		m.fleet.models.ObserveIsolated(m.fleet.now(), m.id, is)
	}
}
