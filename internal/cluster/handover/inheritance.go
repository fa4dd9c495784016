package handover

import (
	"maps"
	"slices"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// Inheritance is what the owner of a term has handed over to this node so far.
type Inheritance struct {
	From     cluster.Peer
	Term     log.Term
	Queue    []cluster.Forwarded
	Patterns []cluster.NodePattern
	Rest     *cluster.HandedRest // nil: the last piece has not come

	number uint64
	topics map[protocol.Topic]*cluster.TopicState
}

// Take takes a piece. It returns the inheritance that there is then, which is another one from a first piece on, and reports
// whether the piece is the next one. The receiver may be nil.
func (in *Inheritance) Take(from cluster.Peer, m *cluster.Handed) (*Inheritance, bool) {
	if m.Number == 1 {
		in = &Inheritance{From: from, Term: m.Term, topics: make(map[protocol.Topic]*cluster.TopicState)}
	}
	if in == nil || in.From != from || in.Term != m.Term || m.Number != in.number+1 {
		return in, false
	}
	in.number = m.Number
	for i := range m.Topics {
		switch s := m.Topics[i]; {
		case s.IsGone:
			delete(in.topics, *s.Topic)
		case s.IsMore:
			if known := in.topics[*s.Topic]; known != nil {
				known.Ring = append(slices.Clip(known.Ring), s.Ring...)
			}
		default:
			in.topics[*s.Topic] = &s
		}
	}
	in.Queue = append(in.Queue, m.Queue...)
	in.Patterns = append(in.Patterns, m.Patterns...)
	in.Rest = m.Rest
	return in, true
}

// Topics are the states of topics, in order.
func (in *Inheritance) Topics() (states []*cluster.TopicState) {
	for _, t := range slices.SortedFunc(maps.Keys(in.topics), func(a, b protocol.Topic) int { return a.Compare(&b) }) {
		states = append(states, in.topics[t])
	}
	return states
}
