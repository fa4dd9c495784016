package model

import (
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/protocol"
)

// follow is what a node has received of a topic.
type follow struct {
	isActive bool
	since    time.Duration
	stream   *stream       // nil: none was named yet
	next     uint64        // the serial that the node must receive next
	lost     time.Duration // when it was last told of a loss; -1: never
	latest   time.Duration // when the latest of what it has received since then was published
}

func (h *History) follow(s *story, node cluster.NodeID) (*follow, int) {
	i := h.node(node)
	for len(s.follows) <= i {
		s.follows = append(s.follows, nil)
	}
	if s.follows[i] == nil {
		s.follows[i] = &follow{lost: -1}
	}
	return s.follows[i], i
}

// ObserveJoined notes that a join of a node was answered with a position, while its connection is still there. The first makes
// the node follow the topic.
func (h *History) ObserveJoined(now time.Duration, node cluster.NodeID, t protocol.Topic, at cluster.Position) {
	s := h.story(t)
	f, _ := h.follow(s, node)
	if !f.isActive {
		*f = follow{isActive: true, since: now, lost: -1}
		f.moveTo(s, at)
		return
	}
	if s.keeping != KeepsNothing && f.stream != nil && f.stream.id == at.StreamID && at.Serial+1 < f.next {
		h.violated(now, "%s joins %q at %s, but has received up to %d before", node, t.Name, show(at), f.next-1)
	}
}

// IsBehind reports whether a node has yet to receive something up to a position of a topic that it follows.
func (h *History) IsBehind(node cluster.NodeID, t protocol.Topic, at cluster.Position) bool {
	s := h.story(t)
	f, _ := h.follow(s, node)
	return s.keeping != KeepsNothing && f.isActive && (nameOf(f.stream) != at.StreamID || f.next <= at.Serial)
}

func (f *follow) moveTo(s *story, at cluster.Position) {
	f.stream, f.next = nil, at.Serial+1
	if at.StreamID != "" {
		f.stream = s.stream(at.StreamID)
	}
}

// ObserveLeft notes that a node has no subscription of a topic any more. What it receives then does not count.
func (h *History) ObserveLeft(node cluster.NodeID, t protocol.Topic) {
	f, _ := h.follow(h.story(t), node)
	f.isActive = false
}

// kill ends all that a node follows.
func (h *History) kill(node cluster.NodeID) {
	i := h.node(node)
	for _, s := range h.topics {
		if i < len(s.follows) && s.follows[i] != nil {
			s.follows[i].isActive = false
		}
	}
}

// ObserveReceived notes that a node hands a publication to its connections.
func (h *History) ObserveReceived(now time.Duration, node cluster.NodeID, t protocol.Topic, at cluster.Position, id string, isOwn bool) {
	s := h.story(t)
	m := h.appear(now, s, id, isOwn)
	switch s.keeping {
	case KeepsLog:
		if x := s.stream(at.StreamID); x.at(at.Serial) != m {
			h.violated(now, "%s receives %s at %s of %q, where the log does not have it", node, id, show(at), t.Name)
		}
	case KeepsRing:
		h.put(now, m, at)
	case KeepsNothing: // its positions name no place
	}
	f, i := h.follow(s, node)
	if !f.isActive {
		return
	}
	bit := uint64(1) << i
	wasHere := m.got&bit != 0
	m.got |= bit
	if s.keeping != KeepsNothing && !h.advance(now, node, s, f, at, id) {
		return
	}
	if wasHere && m.tries <= 1 {
		h.violated(now, "%s receives %s in %q twice", node, id, t.Name)
	}
	if m.isOwn {
		return
	}
	if m.acked < f.latest {
		h.violated(now, "%s receives %s in %q after what was published once it was acknowledged", node, id, t.Name)
	}
	f.latest = max(f.latest, m.first)
}

// advance checks that a node receives what comes next. It reports false if not.
func (h *History) advance(now time.Duration, node cluster.NodeID, s *story, f *follow, at cluster.Position, id string) bool {
	x := s.stream(at.StreamID)
	stream, next := f.stream, f.next
	if next <= 1 && (stream == nil || s.keeping == KeepsLog && !stream.hasBegun) {
		stream = x // nothing was published, and so nothing is lost with the name
	}
	f.stream, f.next = x, at.Serial+1
	if at.Serial > next {
		next = x.skipOwn(next)
	}
	switch {
	case stream != x:
		h.violated(now, "%s receives %s at %s of %q, but is in the stream %s and was told of no loss", node, id, show(at), s.topic.Name, nameOf(stream))
	case at.Serial < next:
		h.violated(now, "%s receives %s at %s of %q again: it is at %d", node, id, show(at), s.topic.Name, next-1)
		f.next = next // a second telling moves nothing
	case at.Serial > next:
		h.violated(now, "%s receives %s at %s of %q, but is at %d and was told of no loss", node, id, show(at), s.topic.Name, next-1)
	default:
		return true
	}
	return false
}

func nameOf(x *stream) string {
	if x == nil {
		return ""
	}
	return x.id
}

// ObserveLost notes that a node tells its connections that publications between two positions do not come.
func (h *History) ObserveLost(now time.Duration, node cluster.NodeID, t protocol.Topic, from, to cluster.Position) {
	s := h.story(t)
	f, _ := h.follow(s, node)
	if !f.isActive {
		return
	}
	f.lost, f.latest = now, 0
	if s.keeping == KeepsNothing {
		return
	}
	isSame := f.stream != nil && f.stream.id == to.StreamID
	switch {
	case f.stream != nil && from.StreamID == f.stream.id && from.Serial >= f.next:
		h.violated(now, "%s is told of a loss in %q from %s, but is at %d", node, t.Name, show(from), f.next-1)
	case isSame && to.Serial+1 < f.next:
		h.violated(now, "%s is told of a loss in %q to %s, but is at %d", node, t.Name, show(to), f.next-1)
	case isSame && to.Serial >= f.next && !h.hasExpired(s, to.StreamID, f.next-1, to.Serial):
		h.violated(now, "%s is told of a loss in %q from %d to %s, which is kept", node, t.Name, f.next-1, show(to))
	case !isSame && s.keeping == KeepsLog && !s.stream(to.StreamID).hasBegun && to.Serial > 0:
		h.violated(now, "%s is told of a loss in %q to %s, which the log does not have", node, t.Name, show(to))
	}
	f.moveTo(s, to)
}
