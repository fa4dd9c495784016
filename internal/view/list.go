package view

import (
	"math"

	"github.com/millrace/millrace/internal/entity"
)

// listCatchUp brings a subscriber of a base view up to date: a snapshot of what there was at
// head, then what has changed after that, until nothing has.
//
// Invariant: of all numbers up to head those outside the snapshot's range are not wanted; an
// entity or tombstone whose number is above live or dead has not been sent. An entity that
// changes gets a number above head, so it leaves the snapshot's range for the catch-up's.
type listCatchUp struct {
	isSnapshot  bool // there are frames of it to come
	isWaiting   bool // nothing of it was sent: it begins with what there is when its turn comes
	isReplacing bool // the client has what it was sent before, so deletions above dead must be told
	isFirst     bool
	isAscending bool   // a resumption: the client has what there was up to a position
	next        uint64 // the snapshot goes on beyond it
	head        uint64
	left        int // rows that may still be in the snapshot

	live, dead uint64
	gone       uint64 // deletions up to it are in the snapshot; below head while it is resumed
	// spare is up to which deletions are told only for clients that do not forget their rows at
	// the beginning of a whole view.
	spare uint64
}

func (e *Engine) beginListLocked(s, old *subscription) (catchUp, int) {
	t := s.base.root.typ
	s.feed = &s.base.all
	if s.terms.asked().noSnapshot {
		_, head := t.LastLocked()
		return &listCatchUp{live: head, dead: head}, 0
	}
	st, rows := e.listCatchUpLocked(s)
	st.isWaiting = true
	if old != nil {
		st.isReplacing, st.spare = true, 0
	}
	switch o := catchUpOf[*listCatchUp](old); {
	case o != nil:
		st.dead = min(st.dead, o.dead)
	case old != nil:
		// Changes on their way to it are younger than the forgotten ones.
		st.dead = min(st.dead, max(old.since, t.ForgottenLocked()))
	}
	return st, rows
}

// listCatchUpLocked is the way from the request of s to the present, and how many rows the
// snapshot has (views 5.6).
func (e *Engine) listCatchUpLocked(s *subscription) (st *listCatchUp, rows int) {
	t, asked := s.base.root.typ, s.terms.asked()
	_, head := t.LastLocked()
	st = &listCatchUp{
		isSnapshot: true, isFirst: true, left: math.MaxInt,
		head: head, next: head + 1, live: head, dead: head,
	}
	if asked.hasLimit {
		st.left = asked.limit
	}
	rows = t.LenLocked()
	if asked.hasAfter {
		after, isKnown := e.afterLocked(t, asked.after)
		st.dead = after
		if st.spare = head; isKnown {
			st.isAscending, st.next, st.gone, st.spare = true, after, after, 0
			rows = t.CountAfterLocked(after)
		}
	}
	return st, min(st.left, rows)
}

func (st *listCatchUp) stepLocked(e *Engine, s *subscription, b *batch, isExclusive bool) {
	if st.isWaiting {
		was := *st
		fresh, _ := e.listCatchUpLocked(s)
		if *st = *fresh; was.isReplacing {
			st.dead, st.spare = min(st.dead, was.dead), 0
		}
	}
	if st.isSnapshot {
		st.snapshotLocked(e, s.base.root.typ, b)
	}
	if !st.isSnapshot && isExclusive {
		st.catchUpLocked(e, s.base.root.typ, b)
	}
}

func (st *listCatchUp) snapshotLocked(e *Engine, t *entity.Type, b *batch) {
	n := e.options.NextBatch
	if st.isFirst {
		n = e.options.FirstBatch
	}
	n = min(n, st.left)
	vs := st.readLocked(t, n+1) // one more, to know whether this is the last frame
	fit := e.fitting(vs, n)
	st.left -= fit
	b.isFrame, b.rows = true, vs[:fit]
	b.isFirst, b.isWhole = st.isFirst, !st.isAscending
	b.isComplete = st.left == 0 || fit == len(vs)
	if fit > 0 {
		st.next = vs[fit-1].Number
	}
	if st.isAscending {
		b.isComplete = st.goneLocked(e, t, b) && b.isComplete
	}
	st.isFirst, st.isSnapshot = false, !b.isComplete
}

// goneLocked puts keys that are gone into a frame of the snapshot, so that a client which has all
// of it has everything up to its last position. It reports whether there are no more. They are
// told again as changes, for clients that do not know of it.
func (st *listCatchUp) goneLocked(e *Engine, t *entity.Type, b *batch) bool {
	for _, d := range t.DeletedAfterLocked(nil, st.gone, e.options.NextBatch) {
		if d.Number > st.head {
			return true
		}
		b.gone, st.gone = append(b.gone, d.Key), d.Number
	}
	return len(b.gone) < e.options.NextBatch
}

func (st *listCatchUp) readLocked(t *entity.Type, n int) []*entity.Version {
	vs := make([]*entity.Version, 0, n)
	if !st.isAscending {
		return t.BeforeLocked(vs, st.next, n)
	}
	vs = t.AfterLocked(vs, st.next, n)
	for len(vs) > 0 && vs[len(vs)-1].Number > st.head {
		vs = vs[:len(vs)-1]
	}
	return vs
}

// catchUpLocked tells the next of what has changed, in ascending order of number: so whatever
// a client has received, nothing is missing up to its last position. A key has an entity or a
// tombstone, never both, and the latest of them has the greatest number: it is told last.
func (st *listCatchUp) catchUpLocked(e *Engine, t *entity.Type, b *batch) {
	if forgotten := t.ForgottenLocked(); forgotten > max(st.dead, st.spare) {
		b.isLost = true
		return
	} else if forgotten > st.dead {
		st.dead = forgotten
	}
	n := e.options.NextBatch
	live := t.AfterLocked(make([]*entity.Version, 0, 8), st.live, n+1)
	fit := e.fitting(live, n)
	dead := t.DeletedAfterLocked(nil, st.dead, n+1)
	b.isAtEnd = fit == len(live) && len(dead) <= n
	horizon := uint64(math.MaxUint64) // beyond it there is more of one kind than of the other
	if fit < len(live) {
		horizon = live[fit].Number
	}
	if len(dead) > n {
		horizon = min(horizon, dead[n].Number)
	}
	live, dead = live[:fit], dead[:min(n, len(dead))]
	for len(live) > 0 || len(dead) > 0 {
		if len(dead) == 0 || len(live) > 0 && live[0].Number < dead[0].Number {
			if live[0].Number >= horizon {
				return
			}
			b.upsert(live[0])
			st.live, live = live[0].Number, live[1:]
			continue
		}
		if dead[0].Number >= horizon {
			return
		}
		b.delete(dead[0].Key, dead[0].Seq)
		st.dead, dead = dead[0].Number, dead[1:]
	}
}
