package view

import (
	"slices"

	"github.com/millrace/millrace/internal/definition"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/query"
)

var _ definition.Views = (*Engine)(nil)

// rebuildBatch is how many entities are read at a time to fill a view.
const rebuildBatch = 1024

// Install implements definition.Views. Filling a view holds up the changes of its entity type: about a
// microsecond per entity.
func (e *Engine) Install(app string, p *query.Plan) {
	source := e.sourceOf(app, p)
	r := e.rootOf(app, p, source)
	defer e.releaseType(r)
	n := e.declare(app, p.ID(), r)
	isNew := n.isVacantLocked()
	if was, is := n.access(), p.Access(); was != 0 && is > was {
		n.level.Store(uint32(is)) // no reader below it begins to read from now on
		e.options.Restrict(app, n.id, is)
	}
	e.change(n, r, func() { n.setLocked(p, source, r) })
	if isNew {
		e.metrics.definitions.Inc()
	}
	e.sweep(app)
}

// Uninstall implements definition.Views. Connections that watch the view get the rows of the next view
// that is installed under the id.
func (e *Engine) Uninstall(app, id string) {
	n := e.find(app, id)
	e.change(n, n.root.Load(), n.unlinkLocked)
	e.metrics.definitions.Dec()
	e.sweep(app)
}

// sourceOf is the view that a view derives from; nil for X/list.
func (e *Engine) sourceOf(app string, p *query.Plan) *derivedView {
	if _, _, ok := protocol.SplitBaseView(p.Source()); ok {
		return nil
	}
	return e.find(app, p.Source())
}

// rootOf is the type that a view over source belongs to, held; nil stands for the base view that
// the definition names.
func (e *Engine) rootOf(app string, p *query.Plan, source *derivedView) *root {
	typ, _, _ := protocol.SplitBaseView(p.Source())
	if source != nil {
		typ = source.root.Load().typ.Name
	}
	return e.holdType(app, typ)
}

// declare finds or makes a derived view, vacant if it is new. It holds its type until it is swept.
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
		t := n.rlock()
		isKept := !n.isVacantLocked() || len(n.windows) > 0
		t.RUnlock()
		if !isKept {
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
		s.tellLocked(r.seqTextLocked(seq))
	}
}

// moveToLocked makes n belong to r.
func (n *derivedView) moveToLocked(r *root) {
	if was := n.root.Load(); was != r {
		n.endFlushLocked() // if one is under way
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
func (n *derivedView) setLocked(p *query.Plan, source *derivedView, r *root) {
	n.unlinkLocked()
	n.rows.SetPlan(p)
	n.source = source
	n.level.Store(uint32(p.Access()))
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
	n.rows.SetPlan(nil)
	n.source = nil
}

// fillLocked makes n from its source, which is filled, and its definition.
func (n *derivedView) fillLocked() {
	n.rows.Reset()
	n.shape = nil
	if p := n.rows.Plan(); p != nil {
		switch {
		case p.IsProjecting():
			n.shape = p
		case n.source != nil:
			n.shape = n.source.shape
		}
		n.eachOfSourceLocked(n.rows.Include)
	}
	if n.rows.IsTotal() {
		seq, _ := n.root.Load().typ.LastLocked()
		n.rows.SumUp(seq)
	}
	for _, w := range n.windows {
		w.resolveLocked()
	}
}

// eachOfSourceLocked calls fn with everything that n's source shows.
func (n *derivedView) eachOfSourceLocked(fn func(*entity.Version)) {
	if n.source != nil {
		n.source.rows.Each(fn)
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
	w.settleLocked()
	return windowState{w, w.derived.modeLocked(), w.rowsLocked()}
}

// tellLocked publishes the rows that are gone from the window, and all present rows, because their
// projection may have changed.
func (s *windowState) tellLocked(seq string) {
	w, n := s.window, s.window.derived
	rows := w.rowsLocked()
	isShown := make(map[string]bool, len(rows))
	for _, v := range rows {
		isShown[v.Key] = true
	}
	for _, v := range s.rows {
		if !isShown[v.Key] {
			w.publishLocked(protocol.Change{Mode: s.mode, Op: protocol.OpDelete, Key: v.Key, Seq: seq}, nil)
		}
	}
	mode := n.modeLocked()
	for _, v := range rows {
		ch := protocol.Change{Mode: mode, Op: protocol.OpUpsert, Key: v.Key, Seq: n.root.Load().seqTextLocked(v.Seq)}
		w.publishLocked(ch, project(n.shape, v))
	}
}
