package interest

import (
	"maps"
	"slices"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/glob"
	"github.com/millrace/millrace/internal/protocol"
)

// patterns are the patterns of nodes, by app. A pattern has no position: a node that has one is sent what is
// published from then on.
type patterns map[string]*glob.Index[*pattern]

// pattern is the nodes that have subscriptions with one pattern.
type pattern struct{ nodes parts }

// TakePattern makes the part of a node in a pattern known unless it is an old one.
func (s *Table) TakePattern(id cluster.NodeID, r cluster.PatternReport) {
	of := s.patterns[r.Pattern.App]
	if of == nil {
		of = new(glob.Index[*pattern])
		s.patterns[r.Pattern.App] = of
	}
	p, ok := of.Get(r.Pattern.Text)
	if !ok {
		p = new(pattern)
		of.Put(r.Pattern.Text, p)
	}
	if p.nodes.take(id, r.Part).Subscriptions == 0 {
		s.patterns.drop(id, r.Pattern)
	}
}

// HasPattern reports whether any node has a pattern.
func (s *Table) HasPattern(p cluster.Pattern) bool {
	of := s.patterns[p.App]
	if of == nil {
		return false
	}
	_, ok := of.Get(p.Text)
	return ok
}

// DropPatterns forgets what a node has in patterns, but for those that it has reported.
func (s *Table) DropPatterns(id cluster.NodeID, reported []cluster.PatternReport) {
	for _, app := range slices.Sorted(maps.Keys(s.patterns)) {
		s.patterns[app].All(func(text string, _ *pattern) {
			p := cluster.Pattern{App: app, Text: text}
			if !slices.ContainsFunc(reported, func(r cluster.PatternReport) bool { return r.Pattern == p }) {
				s.patterns.drop(id, p)
			}
		})
	}
}

// drop forgets the part of a node.
func (x patterns) drop(id cluster.NodeID, pt cluster.Pattern) {
	of := x[pt.App]
	p, ok := of.Get(pt.Text)
	if !ok {
		return
	}
	if p.nodes.drop(id); len(p.nodes) > 0 {
		return
	}
	if of.Delete(pt.Text); of.Len() == 0 {
		delete(x, pt.App)
	}
}

// receivers adds the nodes that have a pattern which matches a topic.
func (x patterns) receivers(ids []cluster.NodeID, t *protocol.Topic) []cluster.NodeID {
	of := x[t.App]
	if of == nil || t.Kind != protocol.TopicChannel {
		return ids
	}
	of.Match(t.Name, func(_ string, p *pattern) {
		for i := range p.nodes {
			ids = append(ids, p.nodes[i].Node)
		}
	})
	return ids
}
