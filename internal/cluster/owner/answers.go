package owner

import "github.com/millrace/millrace/internal/cluster"

// isAnswered answers a publish that has come before, or that the owner is still at. It reports whether there is nothing
// left to do.
func (o *Owner) isAnswered(from cluster.Peer, m *cluster.Publish) bool {
	a := &o.nodes[from.Node].answers
	hasCome := a.Ask(m.Request)
	if !m.IsAgain {
		return m.Term != o.term // of an earlier term: the node asks again, or knows that it may have happened
	}
	if m.Term != o.term {
		o.send(from.Node, &cluster.Published{Request: m.Request, Term: o.term, Outcomes: outcomes(len(m.Items), cluster.Uncertain)})
		return true
	}
	if !hasCome {
		return false
	}
	if known := a.Find(m.Request); known != nil {
		o.send(from.Node, known)
		return true
	}
	if o.isAt(from, m.Request) {
		return true
	}
	if a.IsForgotten(m.Request) {
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
	for p := range o.undone() {
		if p.from == from && p.request == id {
			return true
		}
	}
	return false
}
