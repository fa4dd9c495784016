package model

import (
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/protocol"
)

// Patterns checks what subscriptions with patterns get: an event that was published after a join was answered
// reaches the node before the last leave, unless the node is told of a loss; none comes twice; and events of one channel come in
// their order. In a pattern a star stands for any text.
type Patterns struct {
	report

	nodes     *Nodes
	interests map[interest]*audition
	order     []*audition
	events    map[string]*event
}

// interest is one pattern of a node.
type interest struct {
	node cluster.NodeID
	text string
}

// audition is what a node has received with a pattern, from its first join until its last leave.
type audition struct {
	interest
	since  time.Duration // when a join was answered; never before
	lost   time.Duration // when it was last told of a loss; -1: never
	got    map[string]bool
	latest map[protocol.Topic]time.Duration // when the latest that it has received was first published
	owed   []*event
}

// event is one publication.
type event struct {
	id    string
	topic protocol.Topic
	first time.Duration  // when it was first tried
	acked time.Duration  // never: not yet
	alone cluster.NodeID // that was isolated when the event was published there; empty: none
}

// NewPatterns makes a cluster without patterns.
func NewPatterns(nodes *Nodes) *Patterns {
	return &Patterns{report: report{name: "patterns"}, nodes: nodes, interests: map[interest]*audition{}, events: map[string]*event{}}
}

// ObserveAttempt notes that a node begins to publish an event.
func (p *Patterns) ObserveAttempt(now time.Duration, t protocol.Topic, id string) {
	if p.events[id] != nil {
		return
	}
	e := &event{id: id, topic: t, first: now, acked: never}
	p.events[id] = e
	for _, a := range p.order {
		if a.since != never && matches(a.text, t.Name) {
			a.owed = append(a.owed, e)
		}
	}
}

// ObserveDone notes that a try of a node was answered: the event is published, of a node that was isolated only there.
func (p *Patterns) ObserveDone(now time.Duration, node cluster.NodeID, id string) {
	if e := p.events[id]; e != nil {
		e.acked = min(e.acked, now)
		if p.nodes.wasIsolated(node, e.first) {
			e.alone = node
		}
	}
}

// ObserveAsk notes that a connection of a node asks to join with a pattern.
func (p *Patterns) ObserveAsk(node cluster.NodeID, text string) {
	k := interest{node, text}
	if p.interests[k] == nil {
		a := &audition{interest: k, since: never, lost: -1, got: map[string]bool{}, latest: map[protocol.Topic]time.Duration{}}
		p.interests[k] = a
		p.order = append(p.order, a)
	}
}

// ObserveJoined notes that a join was answered, while its connection is still there.
func (p *Patterns) ObserveJoined(now time.Duration, node cluster.NodeID, text string) {
	if a := p.interests[interest{node, text}]; a != nil {
		a.since = min(a.since, now)
	}
}

// ObserveLeft notes that a node has no subscription with a pattern any more.
func (p *Patterns) ObserveLeft(node cluster.NodeID, text string) {
	p.end(func(a *audition) bool { return a.node == node && a.text == text })
}

// kill ends all that a node has.
func (p *Patterns) kill(node cluster.NodeID) {
	p.end(func(a *audition) bool { return a.node == node })
}

func (p *Patterns) end(is func(*audition) bool) {
	p.order = slices.DeleteFunc(p.order, func(a *audition) bool {
		if is(a) {
			delete(p.interests, a.interest)
			return true
		}
		return false
	})
}

// ObserveLost notes that a node tells its connections with a pattern of a loss.
func (p *Patterns) ObserveLost(now time.Duration, node cluster.NodeID, text string) {
	if a := p.interests[interest{node, text}]; a != nil {
		a.lost = now
	}
}

// ObserveReceived notes that a node hands an event to its connections with a pattern.
func (p *Patterns) ObserveReceived(now time.Duration, node cluster.NodeID, text string, t protocol.Topic, id string) {
	a, e := p.interests[interest{node, text}], p.events[id]
	switch {
	case e == nil:
		p.violated(now, "%s receives %s with %q, which was never published", node, id, text)
		return
	case e.topic != t || !matches(text, t.Name):
		p.violated(now, "%s receives %s of %q with %q", node, id, t.Name, text)
		return
	case a == nil:
		p.violated(now, "%s receives %s with %q, which it does not have", node, id, text)
		return
	case a.got[id]:
		p.violated(now, "%s receives %s with %q twice", node, id, text)
	case e.acked < a.latest[t]:
		p.violated(now, "%s receives %s with %q after what was published to %q once it was acknowledged", node, id, text, t.Name)
	}
	a.got[id] = true
	a.latest[t] = max(a.latest[t], e.first)
}

// CheckQuiet checks that what was acknowledged has come.
func (p *Patterns) CheckQuiet(now time.Duration) {
	for _, a := range p.order {
		for _, e := range a.owed {
			if isOwed := e.alone == "" || e.alone == a.node; isOwed && e.acked != never && !a.got[e.id] && a.lost < e.first {
				p.violated(now, "%s was acknowledged and has not reached %s, which had %q before", e.id, a.node, a.text)
			}
		}
		a.owed = nil
	}
}

// matches reports whether a name is one of a pattern's.
func matches(text, name string) bool {
	if !strings.HasPrefix(text, "*") {
		return text == name || text != "" && name != "" && text[0] == name[0] && matches(text[1:], name[1:])
	}
	for i := 0; i <= len(name); i++ {
		if matches(text[1:], name[i:]) {
			return true
		}
	}
	return false
}
