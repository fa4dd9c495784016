package log

import "sync/atomic"

// Tenure is one ownership: what a node decides, it decides under a valid tenure. It is safe for
// concurrent use.
type Tenure struct {
	Term Term
	Node NodeID

	lease   func() bool // nil: it lasts until End
	isEnded atomic.Bool
}

// NewTenure makes a tenure that is valid while lease says so, and until End. Without a lease it is
// valid until End: for logs of which no other node can become the owner.
func NewTenure(term Term, node NodeID, lease func() bool) *Tenure {
	return &Tenure{Term: term, Node: node, lease: lease}
}

// Valid reports whether the node still owns the partition.
func (t *Tenure) Valid() bool {
	return !t.isEnded.Load() && (t.lease == nil || t.lease())
}

// End ends the tenure for good. Only the log that has made it calls End.
func (t *Tenure) End() { t.isEnded.Store(true) }
