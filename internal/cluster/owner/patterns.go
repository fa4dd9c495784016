package owner

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
type pattern struct{ nodes []interest }

// take makes the part of a node known unless it is an old one.
func (x patterns) take(node cluster.NodeID, r cluster.PatternReport) {
	of := x[r.Pattern.App]
	if of == nil {
		of = new(glob.Index[*pattern])
		x[r.Pattern.App] = of
	}
	p, ok := of.Get(r.Pattern.Text)
	if !ok {
		p = new(pattern)
		of.Put(r.Pattern.Text, p)
	}
	i := slices.IndexFunc(p.nodes, func(in interest) bool { return in.node == node })
	if i < 0 {
		i = len(p.nodes)
		p.nodes = append(p.nodes, interest{node: node})
	}
	if in := &p.nodes[i]; r.Version > in.Version {
		in.Part = r.Part
	}
	if p.nodes[i].Subscriptions == 0 {
		x.drop(node, r.Pattern)
	}
}

// drop forgets the part of a node.
func (x patterns) drop(node cluster.NodeID, pt cluster.Pattern) {
	of := x[pt.App]
	p, ok := of.Get(pt.Text)
	if !ok {
		return
	}
	p.nodes = slices.DeleteFunc(p.nodes, func(in interest) bool { return in.node == node })
	if len(p.nodes) > 0 {
		return
	}
	if of.Delete(pt.Text); of.Len() == 0 {
		delete(x, pt.App)
	}
}

// dropAll forgets what a node has, but for what it has reported.
func (x patterns) dropAll(node cluster.NodeID, reported []cluster.PatternReport) {
	for _, app := range slices.Sorted(maps.Keys(x)) {
		x[app].All(func(text string, p *pattern) {
			pt := cluster.Pattern{App: app, Text: text}
			isReported := slices.ContainsFunc(reported, func(r cluster.PatternReport) bool { return r.Pattern == pt })
			if !isReported {
				x.drop(node, pt)
			}
		})
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
			ids = append(ids, p.nodes[i].node)
		}
	})
	return ids
}

func (o *Owner) joinPattern(from cluster.Peer, m *cluster.JoinPattern) {
	o.patterns.take(from.Node, cluster.PatternReport{Pattern: m.Pattern, Part: m.Part})
	o.reply(from, &cluster.PatternJoined{Request: m.Request, Term: o.term, Partition: m.Partition})
}

func (o *Owner) leavePattern(from cluster.Peer, m *cluster.LeavePattern) {
	if of := o.patterns[m.Pattern.App]; of != nil {
		if _, ok := of.Get(m.Pattern.Text); ok {
			o.patterns.take(from.Node, cluster.PatternReport{Pattern: m.Pattern, Part: m.Part})
		}
	}
}
