package model

import (
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// maxJump is how far beyond all known serials of a stream a serial may be.
const maxJump = 1 << 20

func show(p cluster.Position) string { return fmt.Sprintf("%s/%d", p.StreamID, p.Serial) }

// put notes the place of a publication. It reports false if that is impossible.
func (h *History) put(now time.Duration, m *message, at cluster.Position) bool {
	x := m.story.stream(at.StreamID)
	if at.StreamID == "" || at.Serial == 0 || at.Serial > x.end()+maxJump {
		h.violated(now, "%s cannot be at %s of %q, which has %d", m.id, show(at), m.story.topic.Name, x.end())
		return false
	}
	for x.end() < at.Serial {
		x.messages = append(x.messages, nil)
	}
	switch other := x.messages[at.Serial-1]; {
	case other == m:
		return true
	case other != nil:
		h.violated(now, "%s and %s are both at %s of %q", other.id, m.id, show(at), m.story.topic.Name)
		return false
	case m.stream == x:
		h.violated(now, "%s is in %q twice: at %d and at %s", m.id, m.story.topic.Name, m.serial, show(at))
	}
	x.messages[at.Serial-1] = m
	m.stream, m.serial = x, at.Serial
	return true
}

// appear finds the publication that has appeared in a log or on a node.
func (h *History) appear(now time.Duration, s *story, id string, isOwn bool) *message {
	m := h.known[id]
	if m == nil {
		m = h.add(id, s)
		if m.isOwn = isOwn; !isOwn {
			m.isReported = true
			h.violated(now, "%s is in %q, but was never published", id, s.topic.Name)
		}
	}
	m.hasAppeared = true
	if m.isRefused() {
		h.refused(now, m)
	}
	return m
}

// ObserveCommitted notes that an entry of the log has a publication, in the order of entries, at the moment from which the entry
// cannot get lost.
func (h *History) ObserveCommitted(now time.Duration, t protocol.Topic, at cluster.Position, id string, isOwn bool) {
	s := h.story(t)
	x := s.stream(at.StreamID)
	if x != s.present {
		h.begin(now, s, x)
	}
	if at.Serial != x.end()+1 {
		h.violated(now, "the log has %s at %s of %q after serial %d", id, show(at), t.Name, x.end())
	}
	m := h.appear(now, s, id, isOwn)
	if m.isCommitted && m.stream != x {
		h.violated(now, "%s is in the log of %q twice: in %s and at %s", id, t.Name, m.stream.id, show(at))
	}
	m.isCommitted = h.put(now, m, at)
	if m.part != nil {
		m.part.committed++
	}
}

// ObserveOwn notes that an owner sends what it has published itself to a topic that keeps a ring.
func (h *History) ObserveOwn(now time.Duration, t protocol.Topic, at cluster.Position, id string) {
	if s := h.story(t); s.keeping == KeepsRing {
		h.put(now, h.appear(now, s, id, true), at)
	}
}

// skipOwn is the first serial from a given one on that the owner has not published itself.
func (x *stream) skipOwn(serial uint64) uint64 {
	for m := x.at(serial); m != nil && m.isOwn; m = x.at(serial) {
		serial++
	}
	return serial
}

// ObserveReset notes that an entry of the log begins a stream, as [History.ObserveCommitted].
func (h *History) ObserveReset(now time.Duration, t protocol.Topic, streamID string) {
	s := h.story(t)
	h.begin(now, s, s.stream(streamID))
}

// ObservePurged notes that an entry of the log removes what a stream has below a serial.
func (h *History) ObservePurged(t protocol.Topic, streamID string, before uint64) {
	x := h.story(t).stream(streamID)
	x.oldest = max(x.oldest, before)
}

// hasExpired reports whether what a stream has between two serials may be gone.
func (h *History) hasExpired(s *story, streamID string, after, to uint64) bool {
	if s.keeping == KeepsLog {
		return after+1 < s.stream(streamID).oldest
	}
	return h.Ring == 0 || to >= after+h.Ring
}

func (h *History) begin(now time.Duration, s *story, x *stream) {
	if x.hasBegun {
		h.violated(now, "the stream %s of %q begins a second time", x.id, s.topic.Name)
	}
	x.hasBegun = true
	s.present = x
}

// ObserveSending notes that an owner sends publications of a topic that keeps a ring.
func (h *History) ObserveSending(now time.Duration, term log.Term, t protocol.Topic, streamID string) {
	s := h.story(t)
	if s.keeping != KeepsRing {
		return
	}
	x := s.stream(streamID)
	if x.term != 0 && x.term != term {
		h.violated(now, "the terms %d and %d both use the stream %s of %q", x.term, term, streamID, t.Name)
	}
	x.term = term
}
