package owner

import (
	"github.com/millrace/millrace/internal/cluster"
)

// keepAnswers is how many answers to publishes are kept for each node.
const keepAnswers = 1024

// answers are the last answers that a node got in this term and in its life. A link that drops messages makes it ask again.
type answers struct {
	by        map[cluster.RequestID]*cluster.Published
	order     []cluster.RequestID
	forgotten cluster.RequestID // the highest request whose answer is not kept any more
	asked     cluster.RequestID // the highest request that has come
}

func (a *answers) keep(m *cluster.Published) {
	if a.by == nil {
		a.by = make(map[cluster.RequestID]*cluster.Published)
	}
	a.by[m.Request] = m
	a.order = append(a.order, m.Request)
	if len(a.order) > keepAnswers {
		a.forgotten = max(a.forgotten, a.order[0])
		delete(a.by, a.order[0])
		a.order = a.order[1:]
	}
}

// isAnswered answers a publish that has come before, or that the owner is still at. It reports whether there is nothing
// left to do.
func (o *Owner) isAnswered(from cluster.Peer, m *cluster.Publish) bool {
	a := &o.nodes[from.Node].answers
	hasCome := m.Request <= a.asked
	a.asked = max(a.asked, m.Request)
	if !m.IsAgain {
		return false
	}
	if m.Term != o.term {
		o.send(from.Node, &cluster.Published{Request: m.Request, Term: o.term, Outcomes: outcomes(len(m.Items), cluster.Uncertain)})
		return true
	}
	if !hasCome {
		return false
	}
	if known := a.by[m.Request]; known != nil {
		o.send(from.Node, known)
		return true
	}
	if o.isAt(from, m.Request) {
		return true
	}
	if m.Request <= a.forgotten {
		o.send(from.Node, &cluster.Published{Request: m.Request, Term: o.term, Outcomes: outcomes(len(m.Items), cluster.Uncertain)})
		return true
	}
	return false // it was lost on its way, and later requests were not
}

// isAt reports whether a publish waits, or is in a group.
func (o *Owner) isAt(from cluster.Peer, id cluster.RequestID) bool {
	for _, r := range o.queue.waiting {
		if p, ok := r.message.(*cluster.Publish); ok && r.from == from && p.Request == id {
			return true
		}
	}
	is := func(ps []*part) bool {
		for _, p := range ps {
			if p.from == from && p.request == id {
				return true
			}
		}
		return false
	}
	for _, g := range o.groups {
		if is(g.parts) {
			return true
		}
	}
	return is(o.behind)
}
