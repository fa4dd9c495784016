package view

import (
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/protocol"
)

// root is an entity type as views see it: its base views, and the derived views over them.
type root struct {
	engine *Engine
	typ    *entity.Type // its lock guards all that follows, and the nodes

	bases [numBases]base
	nodes []*node // that derive from X/list; others hang below them
	dirty []*node // of this group of changes: those with something to publish

	seq     entity.Seq // of seqText: most changes of a group share it
	seqText string
}

// base is one of the views that every type has.
type base struct {
	view  string        // immutable
	mode  protocol.Mode // immutable
	subs  int
	all   feed
	keyed map[string]*feed // by entity key; nil until there is one
}

func newRoot(e *Engine, t *entity.Type) *root {
	r := &root{engine: e, typ: t}
	for i := range r.bases {
		mode := baseMode(i)
		view := t.Name + "/" + string(mode)
		r.bases[i] = base{view: view, mode: mode, all: feed{topic: allTopic(t.App, view)}}
	}
	return r
}

// feedLocked finds or makes the feed of one key, or of all when key is nil.
func (b *base) feedLocked(app string, key *string) *feed {
	if key == nil {
		return &b.all
	}
	f := b.keyed[*key]
	if f == nil {
		if b.keyed == nil {
			b.keyed = make(map[string]*feed)
		}
		f = &feed{topic: keyTopic(app, b.view, *key)}
		b.keyed[*key] = f
	}
	return f
}

// forgetLocked drops the feed of a key that nobody needs any more.
func (b *base) forgetLocked(key *string) {
	if key != nil && b.keyed[*key].subs == 0 {
		delete(b.keyed, *key)
	}
}

// textLocked is s.String(), made once for changes that share it.
func (r *root) textLocked(s entity.Seq) string {
	if s != r.seq || r.seqText == "" {
		r.seq, r.seqText = s, s.String()
	}
	return r.seqText
}
