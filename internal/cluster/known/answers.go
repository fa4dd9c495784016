package known

import "github.com/millrace/millrace/internal/cluster"

// keepAnswers is how many answers to publishes are kept for each node.
const keepAnswers = 1024

// Answers are the last answers to publishes that a node got in a term and in its life: a link that drops messages makes
// the node ask again. The zero Answers has none.
type Answers struct {
	by        map[cluster.RequestID]*cluster.Published
	order     []cluster.RequestID
	forgotten cluster.RequestID // the highest request whose answer is not kept any more
	asked     cluster.RequestID // the highest request that has come
}

// Ask notes that a request has come. It reports whether that or a later one has come before.
func (a *Answers) Ask(id cluster.RequestID) (hasCome bool) {
	hasCome = id <= a.asked
	a.asked = max(a.asked, id)
	return hasCome
}

// Keep keeps an answer.
func (a *Answers) Keep(m *cluster.Published) {
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

// Find is the answer to a request; nil: it is not kept.
func (a *Answers) Find(id cluster.RequestID) *cluster.Published { return a.by[id] }

// IsForgotten reports whether a request may have had an answer that is not kept any more.
func (a *Answers) IsForgotten(id cluster.RequestID) bool { return id <= a.forgotten }
