package view

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/query"
)

// rebuildBatch is how many entities are read at a time to fill a view.
const rebuildBatch = 1024

// Define makes or replaces a derived view. Connections that watch the replaced view, or a removed
// view of the same id, get the difference. Defining an equal view changes nothing. isStored keeps
// the definition over a restart.
//
// Filling a view holds up the changes of its entity type: about a microsecond per entity.
//
// A *query.Error is for the author of the definition; other errors are ctx's or the store's.
// After an error nothing has changed.
func (e *Engine) Define(ctx context.Context, app string, d *query.Definition, isStored bool) error {
	if err := e.beginDefining(ctx); err != nil {
		return err
	}
	defer e.endDefining()
	return e.define(ctx, app, d, isStored)
}

func (e *Engine) beginDefining(ctx context.Context) error {
	select {
	case e.defining <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (e *Engine) endDefining() { <-e.defining }

func (e *Engine) define(ctx context.Context, app string, d *query.Definition, isStored bool) error {
	plan, err := query.Compile(d)
	if err != nil {
		return err
	}
	d = plan.Definition()
	source, problems := e.check(app, d, plan)
	if len(problems) > 0 {
		return &query.Error{Problems: problems}
	}
	isStored = isStored && e.options.Store != nil
	if isStored {
		if err := e.options.Store.SaveDefinition(ctx, app, d.ID, d.AppendJSON(nil)); err != nil {
			return fmt.Errorf("view: save definition: %w", err)
		}
	}
	if n := e.find(app, d.ID); n != nil {
		isStored = isStored || n.isStored
	}
	//nolint:contextcheck // a difference is published whole, even if the caller gives up
	e.install(app, plan, source, isStored)
	e.sweep(app)
	return nil
}

// install makes or replaces a view that was found to be good. An equal definition publishes nothing.
func (e *Engine) install(app string, plan *query.Plan, source *derivedView, isStored bool) {
	r := e.rootOf(app, plan.Definition(), source)
	defer e.releaseType(r)
	n := e.declare(app, plan.ID(), r)
	isNew := n.plan == nil
	if !isNew && n.source == source && isSamePlan(n.plan, plan) {
		n.isStored = n.isStored || isStored
		return
	}
	if was, is := n.access(), plan.Access(); was != 0 && is > was {
		n.level.Store(uint32(is)) // no reader below it begins to read from now on
		e.options.Restrict(app, n.id, is)
	}
	e.change(n, r, func() { n.setLocked(plan, source, r, isStored) })
	if isNew {
		e.metrics.definitions.Inc()
	}
}

// rootOf is the type that a view over source belongs to, held; nil stands for the base view that
// the definition names.
func (e *Engine) rootOf(app string, d *query.Definition, source *derivedView) *root {
	typ, _, _ := splitBase(d.Source)
	if source != nil {
		typ = source.root.Load().typ.Name
	}
	return e.holdType(app, typ)
}

// declare finds or makes a derived view, vacant if it is new. It holds its type until it is swept.
// The caller holds defining.
func (e *Engine) declare(app, id string, r *root) *derivedView {
	if n := e.find(app, id); n != nil {
		return n
	}
	n := newDerivedView(e, app, id, e.holdType(app, r.typ.Name))
	e.mu.Lock()
	defer e.mu.Unlock()
	e.catalogLocked(app).derived[id] = n
	return n
}

// sweep forgets vacant views that no connection watches any more.
func (e *Engine) sweep(app string) {
	for _, n := range e.derivedViews(app) {
		if n.plan != nil {
			continue
		}
		t := n.rlock()
		isWatched := len(n.windows) > 0
		t.RUnlock()
		if !isWatched {
			e.mu.Lock()
			delete(e.apps[app].derived, n.id)
			e.mu.Unlock()
			e.releaseType(n.root.Load())
		}
	}
}

// change lets fn change the definition of n, which then belongs to r, with everything locked
// that it concerns; fills n and all views that derive from it; and publishes the difference.
func (e *Engine) change(n *derivedView, r *root, fn func()) {
	from := n.root.Load()
	first, second := from.typ, r.typ
	if second.Name < first.Name {
		first, second = second, first
	}
	first.Lock()
	defer first.Unlock()
	if first != second {
		second.Lock()
		defer second.Unlock()
	}
	family := n.appendFamily(nil)
	var before []windowState
	for _, each := range family {
		for _, w := range each.windows {
			before = append(before, w.sceneLocked())
		}
	}
	fn()
	for _, each := range family {
		each.moveToLocked(r)
		each.fillLocked()
	}
	seq, _ := r.typ.LastLocked()
	for _, s := range before {
		s.tellLocked(r.textLocked(seq))
	}
}

// moveToLocked makes n belong to r.
func (n *derivedView) moveToLocked(r *root) {
	if was := n.root.Load(); was != r {
		n.root.Store(n.engine.holdType(r.typ.App, r.typ.Name))
		n.engine.releaseType(was)
	}
}

// appendFamily appends n and all that derives from it, sources first.
func (n *derivedView) appendFamily(dst []*derivedView) []*derivedView {
	dst = append(dst, n)
	for _, child := range n.children {
		dst = child.appendFamily(dst)
	}
	return dst
}

// setLocked gives n a definition and its place below source.
func (n *derivedView) setLocked(plan *query.Plan, source *derivedView, r *root, isStored bool) {
	n.unlinkLocked()
	n.plan, n.source, n.isStored = plan, source, isStored
	n.level.Store(uint32(plan.Access()))
	if source == nil {
		r.derived = append(r.derived, n)
	} else {
		source.children = append(source.children, n)
	}
}

// unlinkLocked makes n vacant and takes it from its place.
func (n *derivedView) unlinkLocked() {
	siblings := &n.root.Load().derived
	if n.source != nil {
		siblings = &n.source.children
	}
	if i := slices.Index(*siblings, n); i >= 0 {
		*siblings = slices.Delete(*siblings, i, i+1)
	}
	n.plan, n.source, n.isStored = nil, nil, false
}

// fillLocked makes n from its source, which is filled, and its definition.
func (n *derivedView) fillLocked() {
	n.members.Clear()
	n.totals, n.row, n.shape = nil, nil, nil
	if n.plan != nil {
		switch {
		case n.plan.IsProjecting():
			n.shape = n.plan
		case n.source != nil:
			n.shape = n.source.shape
		}
		if n.plan.IsAggregate() {
			n.totals = n.plan.NewTotals()
		}
		n.eachOfSourceLocked(n.includeLocked)
	}
	if n.totals != nil {
		seq, _ := n.root.Load().typ.LastLocked()
		n.row = &entity.Version{Key: rowKey, Data: n.totals.AppendJSON(nil), Seq: seq}
	}
	for _, w := range n.windows {
		w.resolveLocked()
	}
}

func (n *derivedView) includeLocked(v *entity.Version) {
	switch {
	case !n.plan.Matches(v.Key, v.Data):
	case n.totals != nil:
		n.totals.Add(v.Data)
	default:
		n.members.Insert(n.memberOf(v))
	}
}

// eachOfSourceLocked calls fn with everything that n's source shows.
func (n *derivedView) eachOfSourceLocked(fn func(*entity.Version)) {
	if n.source != nil {
		left := n.source.limitLocked()
		n.source.members.Ascend(0, func(m member) bool {
			if left--; left < 0 {
				return false
			}
			fn(m.v)
			return true
		})
		return
	}
	t, last := n.root.Load().typ, uint64(0)
	batch := make([]*entity.Version, 0, rebuildBatch)
	for {
		batch = t.AfterLocked(batch[:0], last, rebuildBatch)
		for _, v := range batch {
			fn(v)
			last = v.Number
		}
		if len(batch) < rebuildBatch {
			return
		}
	}
}

// windowState is a window and what it showed before a definition changed.
type windowState struct {
	window *window
	mode   protocol.Mode
	rows   []*entity.Version
}

func (w *window) sceneLocked() windowState {
	return windowState{w, w.derived.modeLocked(), w.derived.rowsLocked(w.low, w.high)}
}

// tellLocked publishes the rows that are gone from the window, and all present rows, because their
// projection may have changed.
func (s *windowState) tellLocked(seq string) {
	w, n := s.window, s.window.derived
	rows := n.rowsLocked(w.low, w.high)
	isShown := make(map[string]bool, len(rows))
	for _, v := range rows {
		isShown[v.Key] = true
	}
	for _, v := range s.rows {
		if !isShown[v.Key] {
			w.publishLocked(&protocol.Change{Mode: s.mode, Op: protocol.OpDelete, Key: v.Key, Seq: seq}, nil)
		}
	}
	mode := n.modeLocked()
	for _, v := range rows {
		ch := &protocol.Change{Mode: mode, Op: protocol.OpUpsert, Key: v.Key, Seq: n.root.Load().textLocked(v.Seq)}
		w.publishLocked(ch, project(n.shape, v))
	}
}

// Remove removes a derived view; connections that watch it get a delete for every row they have,
// and the rows of the next view that is defined under the id. ErrNotFound: there is none;
// *query.Error: other views derive from it. Other errors are ctx's or the store's; after any
// nothing has changed.
func (e *Engine) Remove(ctx context.Context, app, id string) error {
	if err := e.beginDefining(ctx); err != nil {
		return err
	}
	defer e.endDefining()
	n := e.find(app, id)
	if n == nil || n.plan == nil {
		return ErrNotFound
	}
	if len(n.children) > 0 {
		child := slices.MinFunc(n.children, func(a, b *derivedView) int { return cmp.Compare(a.id, b.id) })
		return &query.Error{Problems: []string{fmt.Sprintf("id: %q derives from it; remove that first", child.id)}}
	}
	if n.isStored {
		if err := e.options.Store.DeleteDefinition(ctx, app, id); err != nil {
			return fmt.Errorf("view: delete definition: %w", err)
		}
	}
	//nolint:contextcheck // a difference is published whole, even if the caller gives up
	e.change(n, n.root.Load(), n.unlinkLocked)
	e.metrics.definitions.Dec()
	e.sweep(app)
	return nil
}
