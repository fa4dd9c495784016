package view

import (
	"github.com/millrace/millrace/internal/entity"
)

// windowStream brings a subscriber of a derived view up to date: the window as it was in the
// beginning, then each key under which something has been published since, as it is now.
type windowStream struct {
	isSnapshot bool // there are frames of it to come
	isFirst    bool
	rows       []*entity.Version   // of the snapshot, to be sent
	seen       uint64              // number of the last frame of the window that is accounted for
	changed    []string            // keys to look at
	pending    map[string]struct{} // keys to be sent
	isLost     bool                // what the connection has cannot be known
}

func (e *Engine) beginWindowLocked(s, old *subscription, maxRows int) (stream, int) {
	n := s.node
	w := n.windowLocked(partOf(&s.request))
	s.window, s.feed = w, &w.feed
	rows := n.countLocked(w.low, w.high)
	if rows > maxRows {
		return nil, rows // not even copied
	}
	// Nothing is sent for a window that never shows anything (live-views 5.4).
	st := &windowStream{isSnapshot: w.part.take != 0 || n.totals != nil, isFirst: true, seen: w.sent.last}
	st.rows = n.rowsLocked(w.low, w.high)
	if old != nil {
		shown, ok := old.shownLocked()
		st.isLost = !ok
		for _, key := range shown {
			if w.findLocked(key) == nil {
				st.changed = append(st.changed, key)
			}
		}
	}
	return st, rows
}

// shownLocked is at least every key that the connection may have of the window of s: what was
// published lately may not have reached it, deletions included. It is false when that is
// not known.
func (s *subscription) shownLocked() (keys []string, ok bool) {
	w := s.window
	keys = append(keys, w.sent.keys...)
	for _, v := range s.node.rowsLocked(w.low, w.high) {
		keys = append(keys, v.Key)
	}
	st := streamOf[*windowStream](s)
	if st == nil {
		return keys, true
	}
	keys = append(keys, st.changed...)
	for key := range st.pending {
		keys = append(keys, key)
	}
	_, ok = w.sent.since(st.seen)
	return keys, ok && !st.isLost
}

func (st *windowStream) stepLocked(e *Engine, s *subscription, b *burst, isExclusive bool) {
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

// catchUpLocked tells at once what is gone, so that nobody shows more than the window holds,
// then what is there.
func (st *windowStream) catchUpLocked(e *Engine, w *window, b *burst) {
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
			b.deleted = append(b.deleted, key)
			delete(st.pending, key)
		} else {
			st.pending[key] = struct{}{}
		}
	}
	st.changed = nil
	bytes := 0
	for key := range st.pending {
		if len(b.present) == e.options.NextBatch || bytes >= e.options.MaxBatchBytes {
			break
		}
		delete(st.pending, key)
		if v := w.findLocked(key); v != nil {
			b.present = append(b.present, v)
			bytes += len(v.Key) + len(v.Data)
		} else {
			b.deleted = append(b.deleted, key)
		}
	}
	b.isAtEnd = len(st.pending) == 0
}
