package known

import (
	"cmp"
	"slices"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/log"
)

// Told is what webhooks were told to be there: members, occupied channels, users online. Each with the node that had it
// first.
type Told struct {
	stored   map[log.Subject]cluster.Peer
	deciding map[log.Subject]telling // what edges of the term change, until they are stored
}

// telling is what edges of the term change of one subject.
type telling struct {
	at    cluster.Peer // where it is by the last of them; no node: it is gone
	edges int          // that were decided and are not stored
}

// NewTold knows nothing.
func NewTold() Told {
	return Told{stored: make(map[log.Subject]cluster.Peer), deciding: make(map[log.Subject]telling)}
}

// Decide notes an edge that the log will store: a subject comes at a node, or goes, without one.
func (t *Told) Decide(s log.Subject, at cluster.Peer) {
	t.deciding[s] = telling{at, t.deciding[s].edges + 1}
}

// Apply takes an edge that is stored. Edges of an earlier term are all applied when a term begins.
func (t *Told) Apply(r *log.Record) {
	s := log.Subject{Topic: r.Topic, User: r.Edge.User}
	if r.Edge.Is {
		t.stored[s] = cluster.Peer{Node: r.Edge.Node, Incarnation: cluster.Incarnation(r.Edge.Life)}
	} else {
		delete(t.stored, s)
	}
	is, ok := t.deciding[s]
	if is.edges--; is.edges > 0 {
		t.deciding[s] = is
	} else if ok {
		delete(t.deciding, s)
	}
}

// Find reports whether webhooks are told that something is there, by what is stored or decided, and which node had it first.
func (t *Told) Find(s log.Subject) (at cluster.Peer, isThere bool) {
	if is, ok := t.deciding[s]; ok {
		return is.at, is.at.Node != ""
	}
	at, isThere = t.stored[s]
	return at, isThere
}

// All lists what webhooks are told to be there, in the order of topics, members before their channel.
func (t *Told) All() []log.Subject {
	list := make([]log.Subject, 0, len(t.stored))
	for s := range t.stored {
		if _, isThere := t.Find(s); isThere {
			list = append(list, s)
		}
	}
	for s, is := range t.deciding {
		if _, isListed := t.stored[s]; is.at.Node != "" && !isListed {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b log.Subject) int {
		return cmp.Or(a.Topic.Compare(&b.Topic), cmp.Compare(b.User, a.User))
	})
	return list
}

// EndTerm forgets what is true only within a term.
func (t *Told) EndTerm() { clear(t.deciding) }
