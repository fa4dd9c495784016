package node

import "time"

// How long a node goes without an owner before it is isolated. A core node hears of owners by the log.
const (
	isolatedCore = 1500 * time.Millisecond
	isolatedEdge = 3 * time.Second
)

// IsIsolated reports whether the node can reach no owner. It then publishes what is not logged to its own connections only,
// and refuses what is.
func (n *Node) IsIsolated() bool { return n.alone != nil }

// Led tells a core node that its log knows an owner, of this node or of another. It is called more often than every 0.5 s while
// that is so.
func (n *Node) Led(now time.Duration) {
	n.wake(now)
	n.inContact(now)
	n.route(now)
}

// inContact notes that an owner is in reach. A node that was isolated begins another life, and reports what it has.
func (n *Node) inContact(now time.Duration) {
	n.contact = now
	if n.alone == nil {
		return
	}
	n.alone = nil
	n.begin(now, n.o.Self.Incarnation+1, n.follower.Rejoin)
	n.gate.Isolate(now, false)
}

// watchContact isolates a node that has been without an owner for too long, and has a node that decides say so.
func (n *Node) watchContact(now time.Duration) {
	if n.decidesAny(now) {
		n.contact = now
		if now >= n.beat+n.o.Heartbeat {
			n.beat = now
			n.tellAll(n.heartbeat())
		}
	}
	limit := isolatedEdge
	if n.o.IsCore {
		limit = isolatedCore
	}
	if n.alone == nil && now >= n.contact+limit && !n.ownsAny() {
		n.isolate(now)
	}
}

// isolate makes the node the owner of what its own connections have.
func (n *Node) isolate(now time.Duration) {
	n.alone = newAlone(now, &n.o, n.follower.Owners())
	n.follower.Isolate(n.o.Self.Node)
	n.gate.Isolate(now, true)
}

// decidesAny reports whether this node owns any partition and may decide now.
func (n *Node) decidesAny(now time.Duration) bool {
	for _, w := range n.owners {
		if w.Decides(now) {
			return true
		}
	}
	return false
}

// ownsAny reports whether this node owns any partition.
func (n *Node) ownsAny() bool {
	for _, w := range n.owners {
		if w.Term() != 0 {
			return true
		}
	}
	return false
}
