package view

import (
	"github.com/millrace/millrace/internal/entity"
)

// maxBegun is how many windows a connection may have been sent in part: each holds its rows.
// Others wait, and hold nothing, until one of them has been sent.
const maxBegun = 4

// windowCatchUp brings a subscriber of a derived view up to date: the window as it was in the
// beginning, then each key under which something has been published since, as it is now. It
// begins when its turn comes.
type windowCatchUp struct {
	isSnapshot bool     // there are frames of it to come
	isWaiting  bool     // nothing of it was sent
	had        []string // keys that the client may have of what this replaces, while it waits
	isFirst    bool
	rows       []*entity.Version   // of the snapshot, to be sent
	seen       uint64              // number of the last frame of the window that is accounted for
	changed    []string            // keys to look at
	pending    map[string]struct{} // keys to be sent
	isLost     bool                // what the connection has cannot be known
}

func (e *Engine) beginWindowLocked(s, old *subscription, maxRows int) (catchUp, int) {
	n := s.derived
	w := n.windowLocked(partOf(s))
	s.window, s.feed = w, &w.feed
	rows := n.countLocked(w.low, w.high)
	if rows > maxRows {
		return nil, rows // not even copied
	}
	// Nothing is sent for a window that never shows anything (views 5.4).
	st := &windowCatchUp{isSnapshot: w.part.take != 0 || n.totals != nil, isWaiting: true, isFirst: true}
	if old != nil {
		shown, ok := old.shownLocked()
		st.had, st.isLost = shown, !ok
	}
	return st, rows
}

// beginLocked takes the window as it is.
func (st *windowCatchUp) beginLocked(w *window) {
	st.isWaiting, st.seen = false, w.sent.last
	st.rows = w.derived.rowsLocked(w.low, w.high)
	for _, key := range st.had {
		if w.findLocked(key) == nil {
			st.changed = append(st.changed, key)
		}
	}
	st.had = nil
}

// mustWait reports whether s may not begin yet.
func (c *Connection) mustWait(s *subscription) bool {
	st := catchUpOf[*windowCatchUp](s)
	return st != nil && st.isWaiting && c.begun >= maxBegun
}

// count keeps the number of windows that were sent in part.
func (c *Connection) count(s *subscription) {
	st := catchUpOf[*windowCatchUp](s)
	switch isBegun := st != nil && len(st.rows) > 0; {
	case isBegun && !s.isBegun:
		c.begun++
		s.isBegun = true
	case !isBegun && s.isBegun:
		c.begun--
		s.isBegun = false
	}
}

// shownLocked is at least every key that the connection may have of the window of s: what was
// published lately may not have reached it, deletions included. It is false when that is
// not known.
func (s *subscription) shownLocked() (keys []string, ok bool) {
	w := s.window
	keys = append(keys, w.sent.keys...)
	for _, v := range s.derived.rowsLocked(w.low, w.high) {
		keys = append(keys, v.Key)
	}
	st := catchUpOf[*windowCatchUp](s)
	if st == nil {
		return keys, true
	}
	if st.isWaiting {
		return append(keys, st.had...), !st.isLost
	}
	keys = append(keys, st.changed...)
	for key := range st.pending {
		keys = append(keys, key)
	}
	_, ok = w.sent.since(st.seen)
	return keys, ok && !st.isLost
}

func (st *windowCatchUp) stepLocked(e *Engine, s *subscription, b *batch, isExclusive bool) {
	if st.isWaiting {
		st.beginLocked(s.window)
	}
	if st.isSnapshot {
		n := e.options.NextBatch
		if st.isFirst {
			n = e.options.FirstBatch
		}
		n = e.fitting(st.rows, n)
		b.isFrame, b.rows, st.rows = true, st.rows[:n], st.rows[n:]
		b.isFirst, b.isWhole = st.isFirst, true
		b.isComplete = len(st.rows) == 0
		st.isFirst, st.isSnapshot = false, !b.isComplete
	}
	if !st.isSnapshot && isExclusive {
		st.catchUpLocked(e, s.window, b)
	}
}

// catchUpLocked sends first the rows that are gone, so that no client shows more than the window
// holds, then the rows that are there.
func (st *windowCatchUp) catchUpLocked(e *Engine, w *window, b *batch) {
	keys, ok := w.sent.since(st.seen)
	if !ok || st.isLost {
		b.isLost = true
		return
	}
	st.seen = w.sent.last
	if st.pending == nil {
		st.pending = make(map[string]struct{})
	}
	for _, key := range append(st.changed, keys...) {
		if w.findLocked(key) == nil {
			b.delete(key, entity.Seq{})
			delete(st.pending, key)
		} else {
			st.pending[key] = struct{}{}
		}
	}
	st.changed = nil
	n, bytes := 0, 0
	for key := range st.pending {
		if n == e.options.NextBatch || bytes >= e.options.MaxBatchBytes {
			break
		}
		delete(st.pending, key)
		if v := w.findLocked(key); v != nil {
			b.upsert(v)
			n++
			bytes += len(v.Key) + len(v.Data)
		} else {
			b.delete(key, entity.Seq{})
		}
	}
	b.isAtEnd = len(st.pending) == 0
}
