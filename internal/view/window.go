package view

import (
	"bytes"
	"slices"

	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/protocol"
)

// fewChanges is for how many changes of a window there is room at first: a row leaves, another enters.
const fewChanges = 2

// manyChanges is from where the changes of a window are found through a map.
const manyChanges = 16

// rowRange is the rows of a derived view that a client asks for. An aggregate shows its row whatever
// is skipped or taken, unless the client asks for another key; other views ignore the key. Both
// are kept, because a view may be defined again as an aggregate, and the other way round.
type rowRange struct {
	skip, take int  // take below zero: as many as the view says
	isOther    bool // asks for another key than the one that an aggregate's row has
}

// window is the members of ranks [low, high) of a view, which all connections see that ask for the
// same part. Its rows are not stored; the changes of a group are, until the group ends. It exists
// while a connection watches it.
type window struct {
	feed                   // its topic and subscriptions
	derived   *derivedView // immutable
	part      rowRange     // immutable
	low, high int          // what part means with the present definition
	sent      recentKeys   // frames; they are numbered per window (protocol.Change.Number)

	// Of the subscriptions that are being brought up to date.
	behind int    // how many there are
	seen   uint64 // up to which frame each of them has accounted for all; while there are any

	changes *windowChanges // of this group; nil until one has done something
}

// windowChanges is what a group of changes does to a window.
type windowChanges struct {
	list  []windowChange // in the order in which they came
	index map[string]int // of list, once it is long
}

// windowChange is what a group of changes does to one key of a window.
type windowChange struct {
	key     string
	was, is *entity.Version // nil: not in the window
	change  *entity.Change  // the last one that concerns the key while it was in the window
}

// windowLocked finds or makes the window of a part.
func (n *derivedView) windowLocked(p rowRange) *window {
	for _, w := range n.windows {
		if w.part == p {
			return w
		}
	}
	w := &window{derived: n, part: p, feed: feed{topic: windowTopic(n.app, n.id, p)}}
	w.resolveLocked()
	n.windows = append(n.windows, w)
	n.engine.metrics.windows.Inc()
	return w
}

// forgetLocked drops a window that no connection watches any more.
func (n *derivedView) forgetLocked(w *window) {
	if w.subs > 0 {
		return
	}
	if i := slices.Index(n.windows, w); i >= 0 {
		n.windows = slices.Delete(n.windows, i, i+1)
		n.engine.metrics.windows.Dec()
	}
}

// partOf is which part s is about.
func partOf(s *subscription) rowRange {
	asked := s.terms.asked()
	p := rowRange{skip: asked.skip, take: -1, isOther: s.hasKey && s.key != rowKey}
	if asked.hasTake {
		p.take = asked.take
	}
	return p
}

// boundsLocked is which ranks a part means.
func (n *derivedView) boundsLocked(p rowRange) (low, high int) {
	switch {
	case n.plan == nil, p.isOther && n.totals != nil:
		return 0, 0
	case n.totals != nil:
		return 0, 1
	}
	low, high = min(max(p.skip, 0), absent-1), n.takeLocked(p.take)
	if high > absent-low {
		return low, absent
	}
	return low, low + high
}

// takeLocked is how many rows of n a client gets that asks for take, which is below zero if it asks
// for no number (views 5.4). A view without an order of its own, which shows the latest changes, has
// no end then.
func (n *derivedView) takeLocked(take int) int {
	limit, hasLimit := n.plan.Limit()
	switch {
	case take >= 0 && n.plan.IsCapped():
		return min(take, limit)
	case take >= 0:
		return take
	case hasLimit:
		return limit
	case n.plan.IsSorted():
		return n.engine.options.DefaultWindow
	default:
		return absent
	}
}

func (w *window) resolveLocked() { w.low, w.high = w.derived.boundsLocked(w.part) }

// countLocked is how many rows are in [low, high).
func (n *derivedView) countLocked(low, high int) int {
	return max(0, min(high, n.lenLocked())-low)
}

// rowsLocked returns the rows in [low, high).
func (n *derivedView) rowsLocked(low, high int) (rows []*entity.Version) {
	if n.totals != nil {
		if low == 0 && high > 0 {
			rows = append(rows, n.row)
		}
		return rows
	}
	left := high - low
	if left <= 0 {
		return rows
	}
	rows = make([]*entity.Version, 0, n.countLocked(low, high))
	n.members.Ascend(low, func(m member) bool {
		rows = append(rows, m.v)
		left--
		return left > 0
	})
	return rows
}

// findLocked is what the window shows under a key, nil if that is nothing.
func (w *window) findLocked(key string) *entity.Version {
	v, rank := w.derived.findLocked(key)
	if v == nil || rank < w.low || rank >= w.high {
		return nil
	}
	return v
}

// shiftLocked notes what it does to the window that a member moved: to the mover, and to the
// one member that may cross each edge because of it.
//
//millrace:hot BenchmarkChanged BenchmarkWindow TestChangedAllocs
func (w *window) shiftLocked(ch *entity.Change, before, after *entity.Version, from, to int) {
	if min(from, to) >= w.high || max(from, to) < w.low || w.low == w.high {
		return
	}
	wasIn, isIn := from >= w.low && from < w.high, to >= w.low && to < w.high
	if wasIn || isIn {
		var was, is *entity.Version
		key := ""
		if wasIn {
			was, key = before, before.Key
		}
		if isIn {
			is, key = after, after.Key
		}
		w.note(ch, key, was, is)
	}
	// Above the low edge is in the window, below the high edge too.
	if left, entered := w.derived.crossLocked(w.low, from, to); left != nil {
		w.note(nil, left.Key, left, nil)
	} else if entered != nil {
		w.note(nil, entered.Key, nil, entered)
	}
	if entered, left := w.derived.crossLocked(w.high, from, to); entered != nil {
		w.note(nil, entered.Key, nil, entered)
	} else if left != nil {
		w.note(nil, left.Key, left, nil)
	}
}

// note adds one step to the change of a key by the group: the first step gives the version before,
// the last one the version after.
func (w *window) note(ch *entity.Change, key string, was, is *entity.Version) {
	if w.changes == nil {
		w.changes = w.derived.root.Load().windowChangesLocked()
	}
	t := w.changes.of(key, was)
	t.is = is
	if ch != nil {
		t.change = ch
	}
}

// of finds or makes the change of a key.
func (ts *windowChanges) of(key string, was *entity.Version) *windowChange {
	i := ts.find(key)
	if i < 0 {
		i = len(ts.list)
		ts.list = append(ts.list, windowChange{key: key, was: was})
		if ts.index != nil {
			ts.index[key] = i
		}
	}
	return &ts.list[i]
}

func (ts *windowChanges) find(key string) int {
	if ts.index != nil {
		if i, ok := ts.index[key]; ok {
			return i
		}
		return -1
	}
	for i := range ts.list {
		if ts.list[i].key == key {
			return i
		}
	}
	if len(ts.list) >= manyChanges {
		ts.index = make(map[string]int, 4*manyChanges)
		for i := range ts.list {
			ts.index[ts.list[i].key] = i
		}
	}
	return -1
}

// maxSpare is how many changes of windows, with or without something in them, a type has room for
// between two groups.
const maxSpare = 4096

// windowChangesLocked are for one window and one group.
func (r *root) windowChangesLocked() *windowChanges {
	last := len(r.spare) - 1
	if last < 0 {
		return &windowChanges{list: make([]windowChange, 0, fewChanges)}
	}
	ts := r.spare[last]
	r.spare[last], r.spare = nil, r.spare[:last]
	r.spareRoom -= cap(ts.list)
	return ts
}

// giveBackLocked keeps ts, emptied, for another window: there may be thousands, of which few are
// touched by a group.
func (r *root) giveBackLocked(ts *windowChanges) {
	if r.spareRoom+cap(ts.list) > maxSpare {
		return
	}
	clear(ts.list)
	ts.list, ts.index = ts.list[:0], nil
	r.spare = append(r.spare, ts)
	r.spareRoom += cap(ts.list)
}

// flushLocked publishes what the group did: first the rows that left, then the rows that entered or
// changed, so that no client ever shows more than the window holds (views 5.5 [M]).
func (w *window) flushLocked(seq string) {
	ts := w.changes
	if ts == nil {
		return
	}
	w.changes = nil
	w.forgetSentLocked()
	mode, list := w.derived.modeLocked(), ts.list
	for i := range list {
		if t := &list[i]; t.was != nil && t.is == nil {
			w.publishLocked(&protocol.Change{Mode: mode, Op: protocol.OpDelete, Key: t.key, Seq: seq}, nil)
		}
	}
	for i := range list {
		if t := &list[i]; t.is != nil && t.is != t.was {
			w.publishChangeLocked(t, mode)
		}
	}
	w.derived.root.Load().giveBackLocked(ts)
}

// publishChangeLocked publishes a row that entered or changed: as the patch that led from the
// subscribers' version to the present one if there is one and it is shorter.
func (w *window) publishChangeLocked(t *windowChange, mode protocol.Mode) {
	n := w.derived
	ch := &protocol.Change{Mode: mode, Op: protocol.OpUpsert, Key: t.key, Seq: w.derived.root.Load().textLocked(t.is.Seq)}
	data := project(n.shape, t.is)
	if t.was == nil {
		w.publishLocked(ch, data)
		return
	}
	if n.shape != nil && bytes.Equal(project(n.shape, t.was), data) {
		return // it changed where no window shows it
	}
	c := t.change
	if n.shape == nil && c != nil && c.Op == entity.OpPatch && c.Old == t.was && c.New == t.is && len(c.Patch) < len(data) {
		ch.Op, ch.Append, data = protocol.OpPatch, c.Append, c.Patch
	}
	w.publishLocked(ch, data)
}

func (w *window) publishLocked(ch *protocol.Change, data []byte) {
	w.rememberLocked(ch.Key)
	ch.View, ch.Number = w.derived.id, w.sent.last
	w.derived.engine.publishLocked(&w.feed, ch, data)
}
