package model

import (
	"time"

	"github.com/millrace/millrace/internal/cluster"
)

// never is later than all observations.
const never = time.Duration(1<<63 - 1)

// Nodes is what is true of the nodes. The other models judge by it what the owner could know.
//
// A node is in contact while it is up, is not isolated and is heard by the owner.
type Nodes struct {
	lives map[cluster.NodeID]*life

	faults    int
	calmSince time.Duration
}

// life is the state of one node.
type life struct {
	isUp, isIsolated, isUnheard bool

	contactSince  time.Duration // never while it is not in contact
	isolatedUntil time.Duration // the end of the last isolation; -1: it never was
	died          time.Duration // when a life of it last ended, or was taken for dead; -1: never
}

// NewNodes makes a cluster without nodes and without faults.
func NewNodes() *Nodes { return &Nodes{lives: map[cluster.NodeID]*life{}} }

func (ns *Nodes) life(node cluster.NodeID) *life {
	l := ns.lives[node]
	if l == nil {
		l = &life{contactSince: never, isolatedUntil: -1, died: -1}
		ns.lives[node] = l
	}
	return l
}

func (l *life) settle(now time.Duration) {
	switch isInContact := l.isUp && !l.isIsolated && !l.isUnheard; {
	case !isInContact:
		l.contactSince = never
	case l.contactSince == never:
		l.contactSince = now
	}
}

// ObserveStart notes that a node has begun to run: it is heard and not isolated.
func (ns *Nodes) ObserveStart(now time.Duration, node cluster.NodeID) {
	l := ns.life(node)
	l.isUp, l.isIsolated, l.isUnheard, l.contactSince = true, false, false, never
	l.settle(now)
}

// ObserveKill notes that a node has died.
func (ns *Nodes) ObserveKill(now time.Duration, node cluster.NodeID) {
	ns.ObserveIsolated(now, node, false)
	ns.life(node).isUp, ns.life(node).died = false, now
	ns.life(node).settle(now)
}

// ObserveDead notes that an owner takes a node for dead.
func (ns *Nodes) ObserveDead(now time.Duration, node cluster.NodeID) { ns.life(node).died = now }

// ObserveIsolated notes that a node has become isolated by its own judgement, or is no longer.
func (ns *Nodes) ObserveIsolated(now time.Duration, node cluster.NodeID, isIsolated bool) {
	l := ns.life(node)
	if l.isIsolated && !isIsolated {
		l.isolatedUntil = now
	}
	l.isIsolated = isIsolated
	l.settle(now)
}

// ObserveHeard notes that a fault keeps the owner from hearing a node, or no longer: a cut, a pause of the node, a node that
// never reports. A fault of the owner is told with ObserveFaults.
func (ns *Nodes) ObserveHeard(now time.Duration, node cluster.NodeID, isHeard bool) {
	ns.life(node).isUnheard = !isHeard
	ns.life(node).settle(now)
}

// ObserveFaults notes how many faults go on that can delay a decision of the owner or its delivery. A fault of a moment,
// as the kill of the owner, is told with the number as it was. From then on the models' bars of time count again.
func (ns *Nodes) ObserveFaults(now time.Duration, active int) { ns.faults, ns.calmSince = active, now }

// isCalm reports whether no fault has been there for a time.
func (ns *Nodes) isCalm(now, span time.Duration) bool {
	return ns.faults == 0 && now-ns.calmSince >= span
}

// isInContact reports whether a node has been in contact since a moment.
func (ns *Nodes) isInContact(node cluster.NodeID, since time.Duration) bool {
	l := ns.lives[node]
	return l != nil && l.contactSince <= since
}

// wasIsolated reports whether a node has been isolated at any time since a moment.
func (ns *Nodes) wasIsolated(node cluster.NodeID, since time.Duration) bool {
	l := ns.lives[node]
	return l != nil && (l.isIsolated || l.isolatedUntil >= since)
}

// hasEndedLife reports whether a life of a node has ended since a moment: it has died, was taken for dead, or was isolated, after which
// it begins another life.
func (ns *Nodes) hasEndedLife(node cluster.NodeID, since time.Duration) bool {
	return ns.life(node).died >= since || ns.wasIsolated(node, since)
}
