package view

import (
	"bytes"
	"math"
	"strings"
	"sync/atomic"

	"github.com/millrace/millrace/internal/access"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/ordered"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/query"
)

// absent is the rank of a row that is not there. No window reaches it.
const absent = math.MaxInt

// rowKey is the key of an aggregate's one row.
const rowKey = "all"

// derivedView is a derived view. From its removal on it is vacant, without a definition: connections that
// still watch it see it empty, and see its rows when it is defined again.
//
// Invariants: members has exactly the latest versions of those entities that the source
// shows and the filter lets through, each under the sort key of that version.
type derivedView struct {
	engine  *Engine              // immutable
	app, id string               // immutable
	root    atomic.Pointer[root] // changes only with both roots' types locked

	// level is an access.Level: who may read the view; a vacant one keeps its last level. It
	// is set with Engine.defining, and lowered with the type locked besides.
	level atomic.Uint32

	// Guarded by the lock of root's type; what Define sets, also by Engine.defining.
	plan     *query.Plan // nil: vacant
	isStored bool
	shape    *query.Plan  // whose projection the view shows; nil: everything
	source   *derivedView // nil: X/list
	children []*derivedView
	members  *ordered.Tree[member]
	totals   *query.Totals   // aggregates only
	row      *entity.Version // aggregates only: the row that is shown, under rowKey
	windows  []*window       // that connections watch
	isDirty  bool            // in root.dirty
}

// member is an entity's place in a view.
type member struct {
	sort query.SortKey
	v    *entity.Version
}

// compareMembers asks most pairs for nothing but a number.
//
//millrace:hot BenchmarkChanged TestChangedAllocs
func compareMembers(a, b member) int {
	switch {
	case a.sort.Prefix < b.sort.Prefix:
		return -1
	case a.sort.Prefix > b.sort.Prefix:
		return 1
	}
	if c := strings.Compare(a.sort.Rest, b.sort.Rest); c != 0 {
		return c
	}
	return strings.Compare(a.v.Key, b.v.Key)
}

func newDerivedView(e *Engine, app, id string, r *root) *derivedView {
	n := &derivedView{engine: e, app: app, id: id, members: ordered.New(compareMembers)}
	n.root.Store(r)
	return n
}

// access is who may read n, zero before it was ever defined.
func (n *derivedView) access() access.Level { return access.Level(n.level.Load()) }

// isHiddenLocked reports whether there is no such view for a reader.
func (n *derivedView) isHiddenLocked(clearance access.Level) bool {
	return n.isVacantLocked() || !clearance.May(n.access())
}

// lock locks the type that n belongs to.
func (n *derivedView) lock() *entity.Type {
	for {
		r := n.root.Load()
		r.typ.Lock()
		if n.root.Load() == r {
			return r.typ
		}
		r.typ.Unlock() // it moved before the lock was taken
	}
}

// rlock is lock for reading.
func (n *derivedView) rlock() *entity.Type {
	for {
		r := n.root.Load()
		r.typ.RLock()
		if n.root.Load() == r {
			return r.typ
		}
		r.typ.RUnlock()
	}
}

func (n *derivedView) isVacantLocked() bool { return n.plan == nil }

func (n *derivedView) modeLocked() protocol.Mode {
	if n.plan == nil {
		return protocol.ModeList
	}
	return n.plan.Mode()
}

// lenLocked is the number of rows, whatever the limit.
func (n *derivedView) lenLocked() int {
	if n.totals != nil {
		return 1
	}
	return n.members.Len()
}

// limitLocked is how many members those see who derive from n.
func (n *derivedView) limitLocked() int {
	if limit, ok := n.plan.Limit(); ok {
		return limit
	}
	return absent
}

// memberOf is v's place, if it is one.
func (n *derivedView) memberOf(v *entity.Version) member {
	return member{n.plan.SortKey(v.Data, v.Number), v}
}

// findLocked is the present member with a key and its rank, nil if there is none.
func (n *derivedView) findLocked(key string) (*entity.Version, int) {
	if n.totals != nil {
		if key == rowKey {
			return n.row, 0
		}
		return nil, absent
	}
	v := n.root.Load().typ.GetLocked(key)
	if v == nil || n.plan == nil {
		return nil, absent
	}
	rank, ok := n.members.Rank(n.memberOf(v))
	if !ok {
		return nil, absent
	}
	return v, rank
}

// project is v as it is shown, on the wire.
func project(shape *query.Plan, v *entity.Version) []byte {
	if shape == nil {
		return v.Wire()
	}
	return shape.Project(v.Wire())
}

// applyLocked takes one change of the source into n: before and after are what the source
// showed and shows now, nil where that is nothing. ch is nil when the entity itself did not
// change and only came to or left the source.
//
//millrace:hot BenchmarkChanged TestChangedAllocs
func (n *derivedView) applyLocked(ch *entity.Change, before, after *entity.Version) {
	if before != nil && !n.plan.Matches(before.Key, before.Data) {
		before = nil
	}
	if after != nil && !n.plan.Matches(after.Key, after.Data) {
		after = nil
	}
	if before == nil && after == nil {
		return
	}
	if n.totals != nil {
		n.tallyLocked(before, after)
		return
	}
	from, to := n.moveLocked(before, after)
	if len(n.windows) > 0 {
		n.markDirtyLocked()
		for _, w := range n.windows {
			w.shiftLocked(ch, before, after, from, to)
		}
	}
	if len(n.children) > 0 {
		n.cascadeLocked(ch, before, after, from, to)
	}
}

// moveLocked puts after in the place of before and returns the ranks of both, each among the
// members of its time.
func (n *derivedView) moveLocked(before, after *entity.Version) (from, to int) {
	from, to = absent, absent
	var gone, come member
	if after != nil {
		come = n.memberOf(after)
	}
	if before != nil {
		gone = n.memberOf(before)
		if after != nil && gone.sort == come.sort {
			to = n.members.Insert(come)
			return to, to
		}
		if rank, ok := n.members.Delete(gone); ok {
			from = rank
		}
	}
	if after != nil {
		to = n.members.Insert(come)
	}
	return from, to
}

// cascadeLocked tells those that derive from n: of all members, or of the first ones when n
// is limited. Then one member may cross the limit because another came or went.
func (n *derivedView) cascadeLocked(ch *entity.Change, before, after *entity.Version, from, to int) {
	limit := n.limitLocked()
	if from >= limit && to >= limit {
		return
	}
	if from >= limit {
		before = nil
	}
	if to >= limit {
		after = nil
	}
	in, out := n.crossLocked(limit, from, to)
	for _, child := range n.children {
		if out != nil {
			child.applyLocked(nil, out, nil)
		}
		child.applyLocked(ch, before, after)
		if in != nil {
			child.applyLocked(nil, nil, in)
		}
	}
}

// crossLocked returns the member that came into, or fell out of, the first x members because
// another moved from one rank to another. The others keep their order, so it is one at most,
// and none when the mover was on the same side of x before and after.
func (n *derivedView) crossLocked(x, from, to int) (in, out *entity.Version) {
	switch {
	case from < x && to >= x && x <= n.members.Len():
		in = n.members.At(x - 1).v
	case from >= x && to < x && x < n.members.Len():
		out = n.members.At(x).v
	}
	return in, out
}

// tallyLocked is applyLocked for aggregates.
func (n *derivedView) tallyLocked(before, after *entity.Version) {
	if before != nil {
		n.totals.Remove(before.Data)
	}
	if after != nil {
		n.totals.Add(after.Data)
	}
	n.markDirtyLocked()
}

// sumUpLocked computes the row of an aggregate and notes for its windows if it differs.
func (n *derivedView) sumUpLocked(seq entity.Seq) {
	data := n.totals.AppendJSON(nil)
	if bytes.Equal(data, n.row.Data) {
		return
	}
	was := n.row
	n.row = &entity.Version{Key: rowKey, Data: data, Seq: seq}
	for _, w := range n.windows {
		if w.high > w.low {
			w.note(nil, rowKey, was, n.row)
		}
	}
}

// markDirtyLocked sees to it that n is flushed at the end of the group. Sources are marked
// before what derives from them.
func (n *derivedView) markDirtyLocked() {
	if !n.isDirty {
		n.isDirty = true
		r := n.root.Load()
		r.dirty = append(r.dirty, n)
	}
}
