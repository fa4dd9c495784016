package definition

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/millrace/millrace/internal/query"
)

// Errors lists the problems of definitions, by the id of the view.
type Errors map[string][]string

func (w Errors) Error() string {
	first := slices.Min(slices.Collect(maps.Keys(w)))
	return fmt.Sprintf("view: %q: %s (%d views)", first, w[first][0], len(w))
}

// CheckAll judges definitions that are all the derived views of an app, in any order.
// It returns nil if they can be served.
func CheckAll(list []*query.Definition) Errors {
	ps, wrong := compileAll(list)
	return orNil(wrong, ps.check())
}

// Check reports what Replace would refuse, as its error is.
func (c *Catalog) Check(ctx context.Context, app string, was, is []*query.Definition) error {
	if err := c.begin(ctx); err != nil {
		return err
	}
	defer c.end()
	_, err := c.plan(app, was, is)
	return err
}

// Replace replaces the declared definitions was by is; stored definitions stay. A view in both lists
// is left as it is, unless it was removed since. A view of was that was defined by other means since
// is not removed. A declared view hides a stored one with its id, which comes back when it is
// declared no more.
//
// The error is an [Errors], of stored views too that could not be served any more, or ctx's; then
// nothing has changed.
func (c *Catalog) Replace(ctx context.Context, app string, was, is []*query.Definition) error {
	if err := c.begin(ctx); err != nil {
		return err
	}
	defer c.end()
	r, err := c.plan(app, was, is)
	if err != nil || len(r.define)+len(r.remove) == 0 {
		return err
	}
	for _, p := range r.define {
		c.install(app, p, false)
	}
	for _, p := range r.remove {
		c.uninstall(app, p.ID())
	}
	if c.isLoaded && c.options.Store != nil {
		c.restoreApp(context.WithoutCancel(ctx), app)
	}
	return nil
}

// restoreApp serves the stored views that can be served now.
func (c *Catalog) restoreApp(ctx context.Context, app string) {
	waiting, err := c.unserved(ctx, func(of string) bool { return of == app })
	if err != nil {
		c.options.Log.Error("stored views not read", "app", app, "err", err)
	}
	c.restore(ctx, waiting)
}

// replacement lists the views to define and to remove, in this order: sources come first, and are
// removed last.
type replacement struct {
	define, remove []*query.Plan
}

// plan finds out what Replace has to do. In between, views may derive from one that has changed
// already; that does no harm, because the last one to change fills them.
func (c *Catalog) plan(app string, was, is []*query.Definition) (r replacement, err error) {
	declared, wrong := compileAll(is)
	if len(wrong) > 0 {
		return r, wrong
	}
	before, _ := compileAll(was) // which were served
	present := c.plansOf(app)
	all, changed := maps.Clone(present), map[string]bool{}
	for id, p := range present {
		mine := before[id]
		if declared[id] == nil && mine != nil && !c.apps[app][id].isStored && isSamePlan(mine, p) {
			r.remove = append(r.remove, p)
			delete(all, id)
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
	slices.SortFunc(r.remove, func(a, b *query.Plan) int {
		return cmp.Or(cmp.Compare(present.depth(b), present.depth(a)), cmp.Compare(a.ID(), b.ID()))
	})
	return r, nil
}

func compileAll(list []*query.Definition) (plans, Errors) {
	all, wrong := make(plans, len(list)), Errors{}
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
func orNil(a, b Errors) Errors {
	maps.Copy(b, a)
	if len(b) == 0 {
		return nil
	}
	return b
}

// check judges each beside the others.
func (ps plans) check() Errors {
	wrong := Errors{}
	for id, p := range ps {
		if problem := ps.checkSource(p); problem != "" {
			wrong[id] = []string{"source: " + problem}
		} else if problems := checkFields(nil, "", p, ps.shapeAbove(p)); len(problems) > 0 {
			wrong[id] = problems
		}
	}
	return wrong
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
