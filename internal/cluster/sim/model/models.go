package model

import (
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/protocol"
)

// Models is all models of one simulated cluster. What concerns several of them is told to it.
type Models struct {
	Nodes    *Nodes
	Audience *Audience

	History  *History
	Presence *Presence
	Told     *Told
	Counts   *Counts
	Quotas   *Quotas
	Keys     *Keys
	Patterns *Patterns
	Entities *Entities
}

// Standing is what owners have at a quiet moment. Functions that are nil are not asked.
type Standing struct {
	Position func(protocol.Topic) (cluster.Position, bool) // of a topic that keeps something; false: it has no state
	Members  func(protocol.Topic) []string                 // users
	Count    func(protocol.Topic) int                      // subscriptions
	HasEdges bool                                          // backends are told edges
	Entities map[cluster.NodeID]map[string][]string        // the marks of each entity, on each node that has entities
}

// New makes the models of a cluster in which nothing has happened.
func New() *Models {
	nodes := NewNodes()
	audience := NewAudience(nodes)
	return &Models{
		Nodes: nodes, Audience: audience,
		History:  NewHistory(nodes),
		Presence: NewPresence(nodes, audience),
		Told:     NewTold(nodes, audience),
		Counts:   NewCounts(nodes, audience),
		Quotas:   NewQuotas(nodes),
		Keys:     NewKeys(),
		Patterns: NewPatterns(nodes),
		Entities: NewEntities(),
	}
}

// ObserveStart notes that a node has begun to run: it is heard and not isolated.
func (m *Models) ObserveStart(now time.Duration, node cluster.NodeID) {
	m.Nodes.ObserveStart(now, node)
	m.Quotas.noteAll(now)
}

// ObserveKill notes that a node has died, with its connections.
func (m *Models) ObserveKill(now time.Duration, node cluster.NodeID) {
	m.Nodes.ObserveKill(now, node)
	m.History.kill(node)
	m.Patterns.kill(node)
	m.Entities.kill(node)
	m.Presence.kill(now, node, m.Audience.kill(now, node))
	m.Quotas.kill(now, node)
}

// ObserveDead notes that the owner has learned that a node has died. A new life of the node tells it too.
func (m *Models) ObserveDead(now time.Duration, node cluster.NodeID) {
	m.Nodes.ObserveDead(now, node)
	m.Presence.ObserveDead(now, node)
	m.Quotas.ObserveDead(now, node)
}

// ObserveIsolated notes that a node has become isolated by its own judgement, or is no longer.
func (m *Models) ObserveIsolated(now time.Duration, node cluster.NodeID, isIsolated bool) {
	m.Nodes.ObserveIsolated(now, node, isIsolated)
	m.Quotas.noteAll(now)
}

// ObserveHeard notes that a fault keeps the owner from hearing a node, or no longer, as [Nodes.ObserveHeard].
func (m *Models) ObserveHeard(now time.Duration, node cluster.NodeID, isHeard bool) {
	m.Nodes.ObserveHeard(now, node, isHeard)
	m.Quotas.noteAll(now)
}

// ObserveFaults notes how many faults go on that can delay an owner, as [Nodes.ObserveFaults].
func (m *Models) ObserveFaults(now time.Duration, active int) { m.Nodes.ObserveFaults(now, active) }

// CheckQuiet checks all models at a quiet moment.
func (m *Models) CheckQuiet(now time.Duration, owners Standing) {
	m.History.CheckQuiet(now, owners.Position)
	m.Presence.CheckQuiet(now, owners.Members)
	if owners.HasEdges {
		m.Told.CheckQuiet(now)
	}
	if owners.Count != nil {
		m.Counts.CheckQuiet(now, owners.Count)
	}
	m.Keys.CheckQuiet(now)
	m.Patterns.CheckQuiet(now)
	m.Entities.CheckQuiet(now, owners.Entities)
}

// Violations lists what was violated, model by model.
func (m *Models) Violations() []string {
	var all []string
	for _, r := range m.reports() {
		all = append(all, r.Violations()...)
	}
	return all
}

// Count is how many violations there were.
func (m *Models) Count() int {
	n := 0
	for _, r := range m.reports() {
		n += r.Count()
	}
	return n
}

func (m *Models) reports() []*report {
	return []*report{&m.History.report, &m.Presence.report, &m.Told.report, &m.Counts.report, &m.Quotas.report, &m.Keys.report, &m.Patterns.report, &m.Entities.report}
}
