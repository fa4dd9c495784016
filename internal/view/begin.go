package view

import (
	"github.com/millrace/millrace/internal/catchup"
	"github.com/millrace/millrace/internal/protocol"
)

func (e *Engine) beginBaseLocked(s, old *subscription) (catchUp, int) {
	if _, isOne := s.entityKey(); isOne {
		return e.beginKeyLocked(s, old)
	}
	return e.beginListLocked(s, old)
}

func (e *Engine) beginKeyLocked(s, old *subscription) (catchUp, int) {
	t := s.base.root.typ
	s.feed = s.base.feedLocked(s.key)
	s.key = s.feed.Key() // not kept twice
	if s.asked().noSnapshot {
		return catchup.LiveKey(t, s.key), 0
	}
	st := e.keyCatchUpLocked(s)
	st.IsAbsence = st.IsAbsence || old != nil
	if st.Find(t, s.key) == nil {
		return st, 0
	}
	return st, 1
}

// keyCatchUpLocked is the way from the request of s to the present. Others than state views
// honour cursors and limits. That the entity of a key is not there is always told: clients of
// HyperStack subscribe again without a cursor, and keep rows that a snapshot lacks.
func (e *Engine) keyCatchUpLocked(s *subscription) *catchup.Key {
	_, isDeleted := s.base.root.typ.DeletedLocked(s.key)
	st, asked := &catchup.Key{IsSnapshot: true, IsWanted: true}, s.asked()
	st.IsAbsence = s.hasKey || isDeleted
	if s.base.mode == protocol.ModeState {
		return st
	}
	if asked.HasAfter {
		if after, isKnown := e.entities.SinceLocked(s.base.root.typ, asked.After); isKnown {
			st.IsResumed, st.After = true, after
		}
	}
	st.IsWanted = !asked.HasLimit || asked.Limit > 0
	return st
}

func (e *Engine) beginListLocked(s, old *subscription) (catchUp, int) {
	t := s.base.root.typ
	s.feed = &s.base.all
	if s.asked().noSnapshot {
		return catchup.LiveList(t), 0
	}
	st, rows := catchup.NewList(e.entities, t, s.asked().Request)
	st.Wait()
	if old != nil {
		st.Replace(t, catchUpOf[*catchup.List](old), old.since)
	}
	return st, rows
}
