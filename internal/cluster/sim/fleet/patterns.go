package fleet

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/protocol"
)

// drawPattern draws the text of a pattern: some overlap, and one is a topic.
func drawPattern(r *rand.Rand) string {
	texts := []string{"*", "log-*", "ring-*", "plain-*", "*told*", "presence-*-1", "plain-2"}
	return texts[r.IntN(len(texts))]
}

// listener is one subscription with a pattern, of a connection of its own.
type listener struct {
	pattern cluster.Pattern
	socket  protocol.SocketID
}

// patternPart changes how many subscriptions the node has with a pattern.
func (c *clients) patternPart(p cluster.Pattern, by int) cluster.Part {
	c.version++
	part := cluster.Part{Version: c.version}
	for _, l := range c.listeners {
		if l.pattern == p {
			part.Subscriptions++
		}
	}
	part.Subscriptions = uint32(int(part.Subscriptions) + by) //nolint:gosec // small
	return part
}

// joinPattern has a connection of its own subscribe with a pattern.
func (m *member) joinPattern(text string, number uint64) {
	f := m.fleet
	l := &listener{pattern: cluster.Pattern{App: "app", Text: text}, socket: socketOf(number)}
	part := m.clients.patternPart(l.pattern, 1)
	m.clients.listeners = append(m.clients.listeners, l)
	f.models.Patterns.ObserveAsk(m.id, text)
	m.do(func(now time.Duration) {
		m.clients.requests[m.machine.JoinPattern(now, l.pattern, part, l.socket)] = &waiting{listener: l}
	})
}

// leavePattern ends one.
func (m *member) leavePattern(l *listener) {
	part := m.clients.patternPart(l.pattern, -1)
	for i, x := range m.clients.listeners {
		if x == l {
			m.clients.listeners = append(m.clients.listeners[:i], m.clients.listeners[i+1:]...)
		}
	}
	if part.Subscriptions == 0 {
		m.fleet.models.Patterns.ObserveLeft(m.id, l.pattern.Text)
	}
	m.clients.forget(func(w *waiting) bool { return w.listener == l })
	m.do(func(now time.Duration) { m.machine.LeavePattern(now, l.pattern, part, l.socket) })
}

// patternJoined takes the answer to a join.
func (m *member) patternJoined(l *listener, e cluster.Answer) {
	isThere := false
	for _, x := range m.clients.listeners {
		isThere = isThere || x == l
	}
	switch {
	case !isThere:
	case e.Message == nil: // what came with the answer comes before the leave
		m.node.Post(0, func() {
			if slices.Contains(m.clients.listeners, l) {
				m.leavePattern(l)
			}
		})
	default:
		m.fleet.models.Patterns.ObserveJoined(m.fleet.now(), m.id, l.pattern.Text)
	}
}

// receiveMatching tells the model what connections with patterns get.
func (m *member) receiveMatching(e cluster.ReceiveMatching) {
	for _, p := range e.Publications {
		id, _ := idOf(p)
		for _, text := range e.Patterns {
			m.fleet.models.Patterns.ObserveReceived(m.fleet.now(), m.id, text, e.Topic, id)
		}
	}
}
