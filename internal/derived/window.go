package derived

import (
	"strconv"

	"github.com/millrace/millrace/internal/entity"
)

// fewChanges is for how many changes of a window there is room at first: a row leaves, another enters.
const fewChanges = 2

// manyChanges is from where the changes of a window are found through a map.
const manyChanges = 16

// maxSpare is how many changes of windows, with or without something in them, a Pool has room for.
const maxSpare = 4096

// Range is the rows of a derived view that a client asks for. An aggregate shows its row whatever
// is skipped or taken, unless the client asks for another key; other views ignore the key. Both
// are kept, because a view may be defined again as an aggregate, and the other way round.
type Range struct {
	Skip, Take int  // Take below zero: as many as the view says
	IsOther    bool // asks for another key than the one that an aggregate's row has
}

// String tells p from all other ranges, without a colon.
func (p Range) String() string {
	name := strconv.Itoa(p.Skip) + "," + strconv.Itoa(p.Take)
	if p.IsOther {
		name += "!"
	}
	return name
}

// Bounds is which ranks a range means. A sorted view without a limit shows as many rows as
// defaultTake to a client that asks for no number.
func (r *Rows) Bounds(p Range, defaultTake int) (low, high int) {
	switch {
	case r.plan == nil, p.IsOther && r.totals != nil:
		return 0, 0
	case r.totals != nil:
		return 0, 1
	}
	low, high = min(max(p.Skip, 0), Absent-1), r.take(p.Take, defaultTake)
	if high > Absent-low {
		return low, Absent
	}
	return low, low + high
}

// take is how many rows a client gets that asks for take, which is below zero if it asks
// for no number (views 5.4). A view without an order of its own, which shows the latest changes, has
// no end then.
func (r *Rows) take(take, defaultTake int) int {
	limit, hasLimit := r.plan.Limit()
	switch {
	case take >= 0 && r.plan.IsCapped():
		return min(take, limit)
	case take >= 0:
		return take
	case hasLimit:
		return limit
	case r.plan.IsSorted():
		return defaultTake
	default:
		return Absent
	}
}

// Window is the rows of ranks [Low, High). It does not hold them; it holds what the changes of a group
// did to it, from the first of them until Done.
type Window struct {
	Low, High int
	changes   *changes // nil until one has done something
}

// changes is what a group of changes does to a window.
type changes struct {
	list  []RowChange
	index map[string]int // of list, once it is long
}

// RowChange is what a group of changes does to one key of a window.
type RowChange struct {
	Key     string
	Was, Is *entity.Version // nil: not in the window
	Change  *entity.Change  // the last one that concerns the key while it was in the window
}

// Pool is memory for the changes of windows, of which few are touched by a group.
type Pool struct {
	spare []*changes
	room  int // changes that fit into them
}

// Find is what the window shows under a key, nil if that is nothing. t has the entities.
func (w *Window) Find(r *Rows, t *entity.Type, key string) *entity.Version {
	v, rank := r.Find(t, key)
	if v == nil || rank < w.Low || rank >= w.High {
		return nil
	}
	return v
}

// Step is that a member moved, for windows that note it later, but before another moves.
type Step struct {
	Change        *entity.Change
	Before, After *entity.Version
	From, To      int
}

// Take is Shift by s.
func (w *Window) Take(r *Rows, p *Pool, s *Step) {
	w.Shift(r, p, s.Change, s.Before, s.After, s.From, s.To)
}

// Shift notes what it does to the window that a member moved: to the mover, and to the
// one member that may cross each edge because of it. ch is nil when the entity itself did not change.
//
//millrace:hot BenchmarkMove TestMoveAllocs
func (w *Window) Shift(r *Rows, p *Pool, ch *entity.Change, before, after *entity.Version, from, to int) {
	if min(from, to) >= w.High || max(from, to) < w.Low || w.Low == w.High {
		return
	}
	wasIn, isIn := from >= w.Low && from < w.High, to >= w.Low && to < w.High
	if wasIn || isIn {
		var was, is *entity.Version
		key := ""
		if wasIn {
			was, key = before, before.Key
		}
		if isIn {
			is, key = after, after.Key
		}
		w.Note(p, ch, key, was, is)
	}
	// Above the low edge is in the window, below the high edge too.
	if left, entered := r.Cross(w.Low, from, to); left != nil {
		w.Note(p, nil, left.Key, left, nil)
	} else if entered != nil {
		w.Note(p, nil, entered.Key, nil, entered)
	}
	if entered, left := r.Cross(w.High, from, to); entered != nil {
		w.Note(p, nil, entered.Key, nil, entered)
	} else if left != nil {
		w.Note(p, nil, left.Key, left, nil)
	}
}

// Note adds one step to the change of a key by the group: the first step gives the version before,
// the last one the version after.
func (w *Window) Note(p *Pool, ch *entity.Change, key string, was, is *entity.Version) {
	if w.changes == nil {
		w.changes = p.take()
	}
	c := w.changes.of(key, was)
	c.Is = is
	if ch != nil {
		c.Change = ch
	}
}

// Changes are what the group did, one for each key, in the order in which they came first. They are the
// window's until Done.
func (w *Window) Changes() []RowChange {
	if w.changes == nil {
		return nil
	}
	return w.changes.list
}

// Done ends the group.
func (w *Window) Done(p *Pool) {
	if w.changes != nil {
		p.giveBack(w.changes)
		w.changes = nil
	}
}

// of finds or makes the change of a key.
func (cs *changes) of(key string, was *entity.Version) *RowChange {
	i := cs.find(key)
	if i < 0 {
		i = len(cs.list)
		cs.list = append(cs.list, RowChange{Key: key, Was: was})
		if cs.index != nil {
			cs.index[key] = i
		}
	}
	return &cs.list[i]
}

func (cs *changes) find(key string) int {
	if cs.index != nil {
		if i, ok := cs.index[key]; ok {
			return i
		}
		return -1
	}
	for i := range cs.list {
		if cs.list[i].Key == key {
			return i
		}
	}
	if len(cs.list) >= manyChanges {
		cs.index = make(map[string]int, 4*manyChanges)
		for i := range cs.list {
			cs.index[cs.list[i].Key] = i
		}
	}
	return -1
}

// take is for one window and one group.
func (p *Pool) take() *changes {
	last := len(p.spare) - 1
	if last < 0 {
		return &changes{list: make([]RowChange, 0, fewChanges)}
	}
	cs := p.spare[last]
	p.spare[last], p.spare = nil, p.spare[:last]
	p.room -= cap(cs.list)
	return cs
}

// giveBack keeps cs, emptied, for another window.
func (p *Pool) giveBack(cs *changes) {
	if p.room+cap(cs.list) > maxSpare {
		return
	}
	clear(cs.list)
	cs.list, cs.index = cs.list[:0], nil
	p.spare = append(p.spare, cs)
	p.room += cap(cs.list)
}
