// Package missed notes what a subscription misses while its connection is too slow: from which change
// on, and of which entities, in memory that is bounded. So the owner of the subscription can read the
// present state of these again.
//
// The package takes no lock: package hub has one [Notes] for each subscription that lags, under the
// lock of its shard, and decides how much each may take.
package missed

import (
	"maps"

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

// Notes are a Lag that still grows. Nil notes are empty.
type Notes struct {
	lag   Lag
	bytes int               // that Keys take, about
	last  protocol.Position // of the last publication noted
}

// Lag is what was noted. Keys are the caller's own.
func (n *Notes) Lag() Lag {
	lag := n.lag
	lag.Keys = maps.Clone(lag.Keys)
	return lag
}

// Last is the position of the last publication that was noted.
func (n *Notes) Last() protocol.Position { return n.last }

// Size is how many bytes n counts for.
func (n *Notes) Size() int {
	if n == nil || n.lag.IsOverflow {
		return 0
	}
	return n.bytes + FirstBytes
}

// Add notes p and returns the notes with it. Keys beyond limit bytes are not remembered; nor is any
// with a limit of zero.
func (n *Notes) Add(p *protocol.Publication, limit int) *Notes {
	c := p.Change
	if c == nil { // not a change of an entity: what it concerns is not known
		c, limit = new(protocol.Change), 0
	}
	if n == nil {
		n = &Notes{lag: Lag{From: c.Number}}
	}
	n.lag.To, n.last = c.Number, p.Position
	if _, isKnown := n.lag.Keys[c.Key]; isKnown || n.lag.IsOverflow {
		return n
	}
	if n.bytes += len(c.Key) + KeyBytes; n.bytes > limit {
		n.lag.Keys, n.lag.IsOverflow = nil, true
		return n
	}
	if n.lag.Keys == nil {
		n.lag.Keys = make(map[string]struct{}, 1)
	}
	n.lag.Keys[c.Key] = struct{}{}
	return n
}
