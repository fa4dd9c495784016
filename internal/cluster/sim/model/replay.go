package model

import (
	"math/bits"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/protocol"
)

// Replayed is the whole answer to a replay, of all its pieces.
type Replayed struct {
	Result cluster.ReplayResult
	After  cluster.Position // which was asked for
	To     cluster.Position // where live publications go on
	Found  []Found
}

// Found is a publication of a replay.
type Found struct {
	At    cluster.Position
	ID    string
	IsOwn bool // the owner's
}

// ObserveReplayed notes that a replay was answered on a node: what it receives from now on must go on there.
func (h *History) ObserveReplayed(now time.Duration, node cluster.NodeID, t protocol.Topic, r Replayed) {
	s := h.story(t)
	if s.keeping == KeepsNothing {
		return
	}
	isSame := r.After.StreamID == r.To.StreamID
	switch {
	case s.keeping == KeepsLog && s.present != nil && r.To.StreamID != s.present.id:
		h.violated(now, "%s has a replay of %q to %s, but the stream is %s", node, t.Name, show(r.To), s.present.id)
	case r.Result == cluster.StreamReset && isSame:
		h.violated(now, "%s is told that the stream %s of %q was reset, and is in it", node, r.After.StreamID, t.Name)
	case r.Result != cluster.StreamReset && !isSame:
		h.violated(now, "%s has a replay of %q from %s to %s, which is another stream", node, t.Name, show(r.After), show(r.To))
	case r.Result == cluster.PositionExpired && !h.hasExpired(s, r.To.StreamID, r.After.Serial, r.To.Serial):
		h.violated(now, "%s is told that %s of %q has expired, but what follows is kept up to %s", node, show(r.After), t.Name, show(r.To))
	case r.Result == cluster.Hot, r.Result == cluster.Cold:
		h.replay(now, node, s, r)
	}
	if f, _ := h.follow(s, node); f.isActive && f.stream != nil && f.stream.id == r.To.StreamID && f.next > r.To.Serial+1 {
		h.violated(now, "%s has a replay of %q to %s, but has received up to %d before", node, t.Name, show(r.To), f.next-1)
	}
}

// replay checks that a replay has all between its positions.
func (h *History) replay(now time.Duration, node cluster.NodeID, s *story, r Replayed) {
	next := r.After.Serial + 1
	for _, f := range r.Found {
		if f.At.StreamID != r.After.StreamID || f.At.Serial != next {
			h.violated(now, "%s has a replay of %q with %s at %s in the place of %d", node, s.topic.Name, f.ID, show(f.At), next)
			return
		}
		next++
		m := h.appear(now, s, f.ID, f.IsOwn)
		if s.keeping != KeepsLog {
			h.put(now, m, f.At)
		} else if s.stream(f.At.StreamID).at(f.At.Serial) != m {
			h.violated(now, "%s has a replay of %q with %s at %s, where the log does not have it", node, s.topic.Name, f.ID, show(f.At))
		}
	}
	if next != r.To.Serial+1 {
		h.violated(now, "%s has a replay of %q to %s that ends with %d", node, s.topic.Name, show(r.To), next-1)
	}
}

// CheckQuiet checks that all that was promised has happened. Standing is the position at which the owner of a topic has
// it, if it has one.
func (h *History) CheckQuiet(now time.Duration, standing func(protocol.Topic) (cluster.Position, bool)) {
	for _, t := range sortedTopics(h.topics) {
		if s := h.topics[t]; s.keeping != KeepsNothing {
			h.checkPositions(now, s, standing)
		}
	}
	open := h.unsettled[:0]
	for _, m := range h.unsettled {
		h.checkReached(now, m)
		if m.open > 0 {
			open = append(open, m)
		}
	}
	h.unsettled = open
	for _, p := range h.partOrder {
		if p.committed > 0 && p.committed < p.items {
			h.violated(now, "the log has %d of the %d items of part %d", p.committed, p.items, p.number)
		}
	}
	h.partOrder = nil
}

// checkPositions checks that all nodes that follow a topic are where its owner is, and its log.
func (h *History) checkPositions(now time.Duration, s *story, standing func(protocol.Topic) (cluster.Position, bool)) {
	var at cluster.Position
	isKnown := false
	if standing != nil {
		at, isKnown = standing(s.topic)
	}
	if s.keeping == KeepsLog && s.present != nil {
		last := cluster.Position{StreamID: s.present.id, Serial: s.present.end()}
		if isKnown && at != last {
			h.violated(now, "the owner of %q is at %s, the log at %s", s.topic.Name, show(at), show(last))
		}
		at, isKnown = last, true
	}
	if !isKnown {
		return
	}
	for i, f := range s.follows {
		if f == nil || !f.isActive {
			continue
		}
		isThere := f.stream == nil || f.stream.id == at.StreamID || s.keeping == KeepsLog && at.Serial == 0 && !f.stream.hasBegun
		next := f.next
		if f.stream != nil && next <= at.Serial {
			next = f.stream.skipOwn(next)
		}
		if next != at.Serial+1 || !isThere {
			h.violated(now, "%s is at %s/%d of %q, which is at %s", h.names[i], nameOf(f.stream), f.next-1, s.topic.Name, show(at))
		}
	}
}

// checkReached checks that a publication that was acknowledged has reached each node that followed its topic before it was
// published, and has ever since.
func (h *History) checkReached(now time.Duration, m *message) {
	if m.acked == never {
		return
	}
	for missing := m.owed &^ m.got; missing != 0; missing &= missing - 1 {
		i := bits.TrailingZeros64(missing)
		f := m.story.follows[i]
		switch {
		case !f.isActive, f.since > m.first, f.lost >= m.first, m.isAlone && i != m.node:
			continue
		case m.story.keeping == KeepsNothing && h.hasTakenOver(m.first, m.acked+h.Flight):
			continue
		}
		h.violated(now, "%s was acknowledged and has not reached %s, which followed %q before", m.id, h.names[i], m.story.topic.Name)
	}
	m.owed = 0
}
