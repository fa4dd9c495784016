package view

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/query"
)

// DefinitionErrors lists the problems of definitions, by the id of the view.
type DefinitionErrors map[string][]string

func (w DefinitionErrors) Error() string {
	first := slices.Min(slices.Collect(maps.Keys(w)))
	return fmt.Sprintf("view: %q: %s (%d views)", first, w[first][0], len(w))
}

// CheckDefinitions judges definitions that are all the derived views of an app, in any order.
// It returns nil if they can be served.
func CheckDefinitions(list []*query.Definition) DefinitionErrors {
	plans, wrong := compileAll(list)
	return orNil(wrong, plans.check())
}

// Check reports what Replace would refuse, as its error is.
func (e *Engine) Check(ctx context.Context, app string, was, is []*query.Definition) error {
	if err := e.beginDefining(ctx); err != nil {
		return err
	}
	defer e.endDefining()
	_, err := e.plan(app, was, is)
	return err
}

// Replace replaces the declared definitions was by is; stored definitions stay. A view in both lists
// is left as it is, unless it was removed since. A view of was that was defined by other means since
// is not removed. A declared view hides a stored one with its id, which comes back when it is
// declared no more. Connections that watch a view get the difference, as by Define and Remove.
//
// The error is a [DefinitionErrors], of stored views too that could not be served any more, or ctx's; then
// nothing has changed.
func (e *Engine) Replace(ctx context.Context, app string, was, is []*query.Definition) error {
	if err := e.beginDefining(ctx); err != nil {
		return err
	}
	defer e.endDefining()
	r, err := e.plan(app, was, is)
	if err != nil || len(r.define)+len(r.remove) == 0 {
		return err
	}
	for _, p := range r.define {
		//nolint:contextcheck // a difference is published whole, even if the caller gives up
		e.install(app, p, e.sourceOf(app, p), false)
	}
	for _, n := range r.remove {
		e.change(n, n.root.Load(), n.unlinkLocked) //nolint:contextcheck // as above
		e.metrics.definitions.Dec()
	}
	e.sweep(app)
	if e.isLoaded && e.options.Store != nil {
		e.restoreApp(context.WithoutCancel(ctx), app)
	}
	return nil
}

// restoreApp serves the stored views that can be served now.
func (e *Engine) restoreApp(ctx context.Context, app string) {
	waiting, err := e.unserved(ctx, func(of string) bool { return of == app })
	if err != nil {
		e.log.Error("stored views not read", "app", app, "err", err)
	}
	e.restore(ctx, waiting)
}

// replacement lists the definitions to make and the views to remove, in this order: sources come
// first, and are removed last.
type replacement struct {
	define []*query.Plan
	remove []*derivedView
}

// plan finds out what Replace has to do. In between, views may derive from one that has changed
// already; that does no harm, because the last one to change fills them. The caller holds defining.
func (e *Engine) plan(app string, was, is []*query.Definition) (r replacement, err error) {
	declared, wrong := compileAll(is)
	if len(wrong) > 0 {
		return r, wrong
	}
	before, _ := compileAll(was) // which were served
	all, changed := plans{}, map[string]bool{}
	for _, n := range e.derivedViews(app) {
		if n.plan == nil {
			continue
		}
		all[n.id] = n.plan
		mine := before[n.id]
		if declared[n.id] == nil && mine != nil && !n.isStored && isSamePlan(mine, n.plan) {
			r.remove = append(r.remove, n)
			delete(all, n.id)
		}
	}
	for id, p := range declared {
		if mine := before[id]; all[id] == nil || mine == nil || !isSamePlan(mine, p) {
			all[id], changed[id] = p, true
		}
	}
	if wrong := all.check(); len(wrong) > 0 {
		return replacement{}, wrong
	}
	for _, p := range all.inOrder() {
		if changed[p.ID()] {
			r.define = append(r.define, p)
		}
	}
	depth := func(n *derivedView) (d int) {
		for ; n.source != nil; n = n.source {
			d++
		}
		return d
	}
	slices.SortStableFunc(r.remove, func(a, b *derivedView) int { return cmp.Compare(depth(b), depth(a)) })
	return r, nil
}

func (e *Engine) sourceOf(app string, p *query.Plan) *derivedView {
	if _, _, ok := splitBase(p.Source()); ok {
		return nil
	}
	return e.find(app, p.Source())
}

func isSamePlan(a, b *query.Plan) bool {
	return bytes.Equal(a.Definition().AppendJSON(nil), b.Definition().AppendJSON(nil))
}

// plans are derived views of one app, by id.
type plans map[string]*query.Plan

func compileAll(list []*query.Definition) (plans, DefinitionErrors) {
	all, wrong := make(plans, len(list)), DefinitionErrors{}
	for _, d := range list {
		p, err := query.Compile(d)
		if refused, ok := errors.AsType[*query.Error](err); ok {
			wrong[d.ID] = refused.Problems
			continue
		} else if err != nil {
			wrong[d.ID] = []string{err.Error()}
			continue
		}
		if all[d.ID] != nil {
			wrong[d.ID] = []string{"id: two views have it; ids are unique"}
		}
		all[d.ID] = p
	}
	return all, wrong
}

// orNil is both together.
func orNil(a, b DefinitionErrors) DefinitionErrors {
	maps.Copy(b, a)
	if len(b) == 0 {
		return nil
	}
	return b
}

// check judges each beside the others, as [Engine.check] does with one that is to join them.
func (ps plans) check() DefinitionErrors {
	wrong := DefinitionErrors{}
	for id, p := range ps {
		if problem := ps.checkSource(p); problem != "" {
			wrong[id] = []string{"source: " + problem}
		} else if problems := checkFields(nil, "", p, ps.shapeAbove(p)); len(problems) > 0 {
			wrong[id] = problems
		}
	}
	return wrong
}

func (ps plans) checkSource(p *query.Plan) string {
	if typ, _, ok := splitBase(p.Source()); ok {
		return entity.CheckType(typ)
	}
	source := ps[p.Source()]
	switch {
	case source == nil:
		return unknownSource(p.Source())
	case source.IsAggregate():
		return aggregateSource(source)
	}
	up := source
	for range ps { // longer than any chain
		if up == nil {
			return ""
		}
		if up == p {
			return circle(p.Source(), p.ID())
		}
		up = ps[up.Source()]
	}
	return "" // into a circle that p is no part of, which is told of those that are
}

// shapeAbove is the plan whose projection the source of p shows, nil when it shows everything.
func (ps plans) shapeAbove(p *query.Plan) *query.Plan {
	up := ps[p.Source()]
	for range ps {
		if up == nil || up.IsProjecting() {
			return up
		}
		up = ps[up.Source()]
	}
	return nil
}

// inOrder is all of them, sources before what derives from them. There must be no circle.
func (ps plans) inOrder() []*query.Plan {
	list, isListed := make([]*query.Plan, 0, len(ps)), make(map[string]bool, len(ps))
	var add func(id string)
	add = func(id string) {
		if p := ps[id]; p != nil && !isListed[id] {
			isListed[id] = true
			add(p.Source())
			list = append(list, p)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(ps)) {
		add(id)
	}
	return list
}
