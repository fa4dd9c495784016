package view

import (
	"sync/atomic"

	"github.com/millrace/millrace/internal/derived"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/keyed"
	"github.com/millrace/millrace/internal/protocol"
)

// root is an entity type as views see it: its base views, and the derived views over them. It is kept
// while it is held: by each subscription of a base view, and by each derived view.
type root struct {
	engine  *Engine
	holders int // guarded by Engine.mu

	typ *entity.Type // its lock guards all that follows, and the derived views

	bases   [numBases]atomic.Pointer[baseView] // nil until a subscription or reader asks for it
	derived []*derivedView                     // that derive from X/list; others hang below them
	dirty   []*derivedView                     // of this group of changes: those with something to publish

	pool derived.Pool // for the windows of these

	seq     entity.Seq // of seqText: most changes of a group share it
	seqText string
}

// baseView is one of the views that every type has.
type baseView struct {
	root  *root         // immutable
	index int           // of root.bases; immutable
	view  string        // immutable
	mode  protocol.Mode // immutable
	subs  int
	all   feed
	keyed keyed.Table[string, *feed] // by entity key
}

func newRoot(e *Engine, t *entity.Type) *root { return &root{engine: e, typ: t} }

// base finds or makes one of the type's own views. No lock is needed.
func (r *root) base(index int) *baseView {
	if b := r.bases[index].Load(); b != nil {
		return b
	}
	mode := baseMode(index)
	all := feed{topic: protocol.ViewTopic(r.typ.App, baseID(r.typ, index))}
	r.bases[index].CompareAndSwap(nil, &baseView{root: r, index: index, view: all.topic.Name, mode: mode, all: all})
	return r.bases[index].Load()
}

// feedLocked finds or makes the feed of one key.
func (b *baseView) feedLocked(key string) *feed {
	f := b.keyed.Get(key)
	if f == nil {
		f = &feed{topic: protocol.KeyTopic(b.root.typ.App, b.view, key)}
		f.keyAt = int32(len(f.topic.Name) - len(key))
		b.keyed.Add(f)
	}
	return f
}

// forgetLocked drops the feed of a key when no subscription needs it any more.
func (b *baseView) forgetLocked(f *feed) {
	if f != &b.all && f.subs == 0 {
		b.keyed.Remove(f.Key())
	}
}

// seqTextLocked is s.String(), made once for changes that share it.
func (r *root) seqTextLocked(s entity.Seq) string {
	if s != r.seq || r.seqText == "" {
		r.seq, r.seqText = s, s.String()
	}
	return r.seqText
}
