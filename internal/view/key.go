package view

import (
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/protocol"
)

// keyCatchUp is one entity of a base view: one step brings it all.
type keyCatchUp struct {
	isSnapshot bool
	isResumed  bool   // the client has what there was up to after
	isWanted   bool   // the entity is, if it changed after
	after      uint64 // change number
	isAbsence  bool   // that there is no entity is to be told
}

func (e *Engine) beginKeyLocked(s, old *subscription) (catchUp, int) {
	t := s.base.root.typ
	s.feed = s.base.feedLocked(s.key)
	s.key = s.feed.Key() // not kept twice
	if s.terms.asked().noSnapshot {
		_, head := t.LastLocked()
		return &keyCatchUp{isWanted: true, after: head, isAbsence: t.GetLocked(s.key) != nil}, 0
	}
	st := e.keyCatchUpLocked(s)
	st.isAbsence = st.isAbsence || old != nil
	if st.find(t, s.key) == nil {
		return st, 0
	}
	return st, 1
}

// keyCatchUpLocked is the way from the request of s to the present. Others than state views
// honour cursors and limits. That the entity of a key is not there is always told: clients of
// HyperStack subscribe again without a cursor, and keep rows that a snapshot lacks.
func (e *Engine) keyCatchUpLocked(s *subscription) *keyCatchUp {
	_, isDeleted := s.base.root.typ.DeletedLocked(s.key)
	st, asked := &keyCatchUp{isSnapshot: true, isWanted: true}, s.terms.asked()
	st.isAbsence = s.hasKey || isDeleted
	if s.base.mode == protocol.ModeState {
		return st
	}
	if asked.hasAfter {
		if after, isKnown := e.afterLocked(s.base.root.typ, asked.after); isKnown {
			st.isResumed, st.after = true, after
		}
	}
	st.isWanted = !asked.hasLimit || asked.limit > 0
	return st
}

func (st *keyCatchUp) find(t *entity.Type, key string) *entity.Version {
	if v := t.GetLocked(key); st.isWanted && v != nil && v.Number > st.after {
		return v
	}
	return nil
}

func (st *keyCatchUp) stepLocked(_ *Engine, s *subscription, b *batch, _ bool) {
	t, key := s.base.root.typ, s.key
	b.isAtEnd = true
	b.isFrame, b.isFirst, b.isWhole, b.isComplete = st.isSnapshot, true, !st.isResumed, true
	if v := st.find(t, key); v != nil && st.isSnapshot {
		b.rows = []*entity.Version{v}
	} else if v != nil {
		b.upsert(v)
	}
	if st.isAbsence && t.GetLocked(key) == nil {
		grave, _ := t.DeletedLocked(key)
		b.delete(key, grave.Seq)
		if st.isResumed && st.isSnapshot {
			b.gone = []string{key}
		}
	}
}
