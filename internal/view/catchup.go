package view

import (
	"math"

	"github.com/millrace/millrace/internal/catchup"
	"github.com/millrace/millrace/internal/entity"
)

// maxBegun is how many windows of a connection may be on their way to the present: each holds its
// rows, or keys, and makes its window remember frames. Others wait until one of them is there.
const maxBegun = 4

// maxHad is how many bytes of keys the windows of a connection hold, about, that wait and replace
// others; one may always hold its own.
const maxHad = 512 << 10

// hadKeyBytes is what holding a key costs beyond its own bytes.
const hadKeyBytes = 16

// windowCatchUp brings a subscriber of a derived view up to date: the window as it was in the
// beginning, then each key under which something has been published since, as it is now. It
// begins when its turn comes.
type windowCatchUp struct {
	isSnapshot bool     // there are frames of it to come
	isWaiting  bool     // nothing of it was sent
	had        []string // keys that the client may have of what this replaces, while it waits
	hadBytes   int32    // what they count for in Connection.had
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
	w.settleLocked()
	if s.window, s.feed = w, &w.feed; s.asked() == w.asked() {
		s.terms = nil // not kept twice
	}
	rows := n.rows.Count(w.Low, w.High)
	if rows > maxRows {
		return nil, rows // not even copied
	}
	// Nothing is sent for a window that never shows anything (views 5.4).
	st := &windowCatchUp{isSnapshot: w.part.Take != 0 || n.rows.IsTotal(), isWaiting: true, isFirst: true}
	if old != nil {
		old.window.settleLocked()
		way := catchUpOf[*windowCatchUp](old)
		if way == nil {
			way = e.leaveLocked(old)
		}
		shown, ok := old.shownLocked(way)
		st.had, st.isLost = shown, !ok
	}
	return st, rows
}

// keepHad counts what s holds if it waits. When the connection holds too much of the kind, s holds
// nothing, and the connection ends when its turn comes.
func (c *Connection) keepHad(s *subscription) {
	st := catchUpOf[*windowCatchUp](s)
	if st == nil || !st.isWaiting || len(st.had) == 0 {
		return
	}
	size := hadKeyBytes * cap(st.had)
	for _, key := range st.had {
		size += len(key)
	}
	if c.had > 0 && int(c.had)+size > maxHad {
		st.had, st.isLost = nil, true
		return
	}
	st.hadBytes = int32(min(size, math.MaxInt32))
	c.had += st.hadBytes
}

// dropHad undoes keepHad.
func (c *Connection) dropHad(st *windowCatchUp) {
	if st != nil {
		c.had -= st.hadBytes
		st.hadBytes = 0
	}
}

// beginLocked takes the window as it is.
func (st *windowCatchUp) beginLocked(w *window) {
	st.isWaiting, st.seen = false, w.sent.Last()
	w.keepSentLocked(st.seen)
	st.rows = w.rowsLocked()
	for _, key := range st.had {
		if w.findLocked(key) == nil {
			st.changed = append(st.changed, key)
		}
	}
	st.had = nil
}

// mustWait reports whether s may not begin yet: it is to be sent a window, or lags behind one.
func (c *Connection) mustWait(s *subscription) bool {
	if s.derived == nil || c.begun < maxBegun {
		return false
	}
	st := catchUpOf[*windowCatchUp](s)
	return st == nil || st.isWaiting
}

// count keeps the number of windows that are on their way to the present.
func (c *Connection) count(s *subscription) {
	st := catchUpOf[*windowCatchUp](s)
	switch isBegun := st != nil && !st.isWaiting; {
	case isBegun && !s.isBegun:
		c.dropHad(st)
		c.begun++
		s.isBegun = true
	case !isBegun && s.isBegun:
		c.begun--
		s.isBegun = false
	}
}

// shownLocked is at least every key that the connection may have of the window of s, which has left
// its topic: st is its way from there to the present, nil when that is not known. It is false when
// what the connection has is not known.
func (s *subscription) shownLocked(st *windowCatchUp) (keys []string, ok bool) {
	switch w := s.window; {
	case st == nil:
		return nil, false
	case st.isWaiting: // nothing of the window was sent
		return st.had, !st.isLost
	default:
		rows := w.rowsLocked()
		keys = make([]string, 0, len(rows)+len(st.changed)+len(st.pending)+int(w.sent.Last()-st.seen))
		for _, v := range rows {
			keys = append(keys, v.Key)
		}
		keys = append(keys, st.changed...)
		for key := range st.pending {
			keys = append(keys, key)
		}
		keys, ok = w.sent.AppendSince(keys, st.seen)
		return keys, ok && !st.isLost
	}
}

// CanShare implements catchUp.
func (st *windowCatchUp) CanShare() bool { return st.isSnapshot && !st.isWaiting }

func (st *windowCatchUp) stepLocked(e *Engine, s *subscription, b *catchup.Batch, isExclusive bool) {
	if st.isWaiting {
		st.beginLocked(s.window)
	}
	if st.isSnapshot {
		n := e.options.NextBatch
		if st.isFirst {
			n = e.options.FirstBatch
		}
		n = e.options.sizes().Fit(st.rows, n)
		b.IsFrame, b.Rows, st.rows = true, st.rows[:n], st.rows[n:]
		b.IsFirst, b.IsWhole = st.isFirst, true
		b.IsComplete = len(st.rows) == 0
		st.isFirst, st.isSnapshot = false, !b.IsComplete
	}
	if !st.isSnapshot && isExclusive {
		st.catchUpLocked(e, s.window, b)
	}
}

// catchUpLocked sends first the rows that are gone, so that no client shows more than the window
// holds, then the rows that are there.
func (st *windowCatchUp) catchUpLocked(e *Engine, w *window, b *catchup.Batch) {
	keys, ok := w.sent.AppendSince(st.changed, st.seen)
	if !ok || st.isLost {
		b.IsLost = true
		return
	}
	st.seen = w.sent.Last()
	w.advanceSentLocked(st.seen)
	if st.pending == nil {
		st.pending = make(map[string]struct{})
	}
	for _, key := range keys {
		if w.findLocked(key) == nil {
			b.Delete(key, entity.Seq{})
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
			b.Upsert(v)
			n++
			bytes += len(v.Key) + len(v.Data)
		} else {
			b.Delete(key, entity.Seq{})
		}
	}
	b.IsAtEnd = len(st.pending) == 0
}
