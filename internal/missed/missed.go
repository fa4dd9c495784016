// Package missed notes what a subscription misses while its connection is too slow: from which change
// on, and of which entities, in memory that is bounded. So the owner of the subscription can read the
// present state of these again.
//
// The package takes no lock: package hub has one [Notes] for each subscription that lags, under the
// lock of its shard, and decides how much each may take.
package missed

import (
	"slices"

	"github.com/millrace/millrace/internal/protocol"
)

const (
	// KeyBytes is what noting a key costs beyond its own bytes, about.
	KeyBytes = 48
	// FirstBytes is what the first key of a subscription costs beyond that, about.
	FirstBytes = 256
)

// Lag is what a subscription missed.
//
// When the owner reads it, some of what was received for the topic may still be on its way
// to the subscription and not be noted yet. Its numbers are not below From either, so state
// that is read again from there on has it, whatever Keys say.
type Lag struct {
	From, To   uint64              // Change.Number of the first publication that was not delivered, and of the last one seen
	Keys       map[string]struct{} // of everything missed; nil after overflow
	IsOverflow bool                // more keys were missed than are remembered
}

// Notes are a Lag that still grows. Nil notes are empty. A connection may have thousands, with a few keys
// each.
type Notes struct {
	from, to   uint64   // see Lag
	keys       []string // ascending
	bytes      uint32   // that keys take, about
	isOverflow bool
}

// Lag is what was noted. Keys are the caller's own.
func (n *Notes) Lag() Lag {
	lag := Lag{From: n.from, To: n.to, IsOverflow: n.isOverflow}
	if len(n.keys) == 0 {
		return lag
	}
	lag.Keys = make(map[string]struct{}, len(n.keys))
	for _, key := range n.keys {
		lag.Keys[key] = struct{}{}
	}
	return lag
}

// Size is how many bytes n counts for.
func (n *Notes) Size() int {
	if n == nil || n.isOverflow {
		return 0
	}
	return int(n.bytes) + FirstBytes
}

// Add notes p and returns the notes with it. Keys beyond limit bytes are not remembered; nor is any
// with a limit of zero.
func (n *Notes) Add(p *protocol.Publication, limit int) *Notes {
	c := p.Change
	if c == nil { // not a change of an entity: what it concerns is not known
		c, limit = new(protocol.Change), 0
	}
	if n == nil {
		n = &Notes{from: c.Number}
	}
	if n.to = c.Number; n.isOverflow {
		return n
	}
	at, isKnown := slices.BinarySearch(n.keys, c.Key)
	if isKnown {
		return n
	}
	size := int(n.bytes) + len(c.Key) + KeyBytes
	if size > limit {
		n.keys, n.isOverflow = nil, true
		return n
	}
	n.keys, n.bytes = slices.Insert(n.keys, at, c.Key), uint32(size)
	return n
}
