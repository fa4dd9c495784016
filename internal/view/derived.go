package view

import (
	"sync/atomic"

	"github.com/millrace/millrace/internal/access"
	"github.com/millrace/millrace/internal/derived"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/query"
)

// derivedView is a derived view: its rows, and its place among the views of its entity type. From its
// removal on it is vacant, without a definition: connections that still watch it see it empty, and
// see its rows when it is defined again.
type derivedView struct {
	engine  *Engine              // immutable
	app, id string               // immutable
	root    atomic.Pointer[root] // changes only with both roots' types locked

	// level is an access.Level: who may read the view; a vacant one keeps its last level. It is
	// set by Install, and lowered with the type locked besides.
	level atomic.Uint32

	// Guarded by the lock of root's type; what Install sets, also by its being called one at a time.
	rows     *derived.Rows // without a plan: vacant
	shape    *query.Plan   // whose projection the view shows; nil: everything
	source   *derivedView  // nil: X/list
	children []*derivedView
	windows  []*window    // that connections watch
	step     derived.Step // of the group that is being told, while it is the only one; windows take it when they settle
	steps    uint32       // counts them
	flushed  int          // windows, from the first on, that have published what the group of the flush under way did
	isDirty  bool         // in root.dirty
}

func newDerivedView(e *Engine, app, id string, r *root) *derivedView {
	n := &derivedView{engine: e, app: app, id: id, rows: derived.New()}
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

func (n *derivedView) isVacantLocked() bool { return n.rows.Plan() == nil }

func (n *derivedView) modeLocked() protocol.Mode {
	if n.isVacantLocked() {
		return protocol.ModeList
	}
	return n.rows.Plan().Mode()
}

// boundsLocked is which ranks a part means.
func (n *derivedView) boundsLocked(p derived.Range) (low, high int) {
	return n.rows.Bounds(p, n.engine.options.DefaultWindow)
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
	before, after = n.rows.Filter(before, after)
	if before == nil && after == nil {
		return
	}
	if n.rows.IsTotal() {
		n.rows.Tally(before, after)
		n.markDirtyLocked()
		return
	}
	n.takeStepLocked() // by the rows as they are, and as it has left them
	from, to := n.rows.Move(before, after)
	if len(n.windows) > 0 {
		n.steps++
		n.step = derived.Step{Change: ch, Before: before, After: after, From: from, To: to}
		if n.isDirty {
			n.takeStepLocked()
		}
		n.markDirtyLocked()
	}
	if len(n.children) > 0 {
		n.cascadeLocked(ch, before, after, from, to)
	}
}

// takeStepLocked makes all windows note the step that is not in all of them yet. Of the only step of a
// group each window makes a note when it settles, so that few hold one at a time.
func (n *derivedView) takeStepLocked() {
	if n.step != (derived.Step{}) {
		for _, w := range n.windows {
			w.takeStepLocked()
		}
		n.step = derived.Step{}
	}
}

// cascadeLocked tells the views that derive from n: of all members, or of the first ones when n
// is limited. Then one member may cross the limit because another came or went.
func (n *derivedView) cascadeLocked(ch *entity.Change, before, after *entity.Version, from, to int) {
	limit := n.rows.Limit()
	if from >= limit && to >= limit {
		return
	}
	if from >= limit {
		before = nil
	}
	if to >= limit {
		after = nil
	}
	in, out := n.rows.Cross(limit, from, to)
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

// sumUpLocked computes the row of an aggregate and notes for its windows if it differs.
func (n *derivedView) sumUpLocked(seq entity.Seq) {
	was, is, isChanged := n.rows.SumUp(seq)
	if !isChanged {
		return
	}
	for _, w := range n.windows {
		if w.High > w.Low {
			w.Note(&n.root.Load().pool, nil, derived.TotalKey, was, is)
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
