package definition

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/millrace/millrace/internal/query"
)

// ErrNotFound is returned by Remove when there is no such derived view.
var ErrNotFound = errors.New("definition: there is no such derived view")

// Views install derived views on this node. Calls come one at a time, sources before the views that
// derive from them, and are carried out to the end.
type Views interface {
	// Install makes a derived view, or gives the view of that id another definition. Connections that
	// watch it, or watched a removed view of that id, get the difference.
	Install(app string, p *query.Plan)
	// Uninstall removes a derived view, from which no other derives: connections that watch it get a
	// delete for every row that they have.
	Uninstall(app, id string)
}

// Options of a Catalog. Zero fields mean the default.
type Options struct {
	Store Store        // of definitions made at run time; default none: they are gone at the end
	Log   *slog.Logger // default none
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Catalog is the definitions of all apps. It is safe for concurrent use.
type Catalog struct {
	views   Views
	options Options // immutable

	// turn has one token, which a caller that reads or changes definitions holds. A channel, so that
	// a caller that waits for another one, which waits for the store, can give up with its context.
	turn     chan struct{}
	isLoaded bool                          // Load has been; guarded by turn
	apps     map[string]map[string]*served // by app and id; guarded by turn
}

// served is a definition that is installed.
type served struct {
	plan     *query.Plan
	isStored bool
}

// NewCatalog makes a catalog without definitions, of views that have none.
func NewCatalog(v Views, o Options) *Catalog {
	return &Catalog{views: v, options: o.withDefaults(), turn: make(chan struct{}, 1), apps: map[string]map[string]*served{}}
}

func (c *Catalog) begin(ctx context.Context) error {
	select {
	case c.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *Catalog) end() { <-c.turn }

// Define makes or replaces a derived view. Defining an equal view changes nothing. isStored keeps
// the definition over a restart.
//
// A *query.Error is for the author of the definition; other errors are ctx's or the store's.
// After an error nothing has changed.
func (c *Catalog) Define(ctx context.Context, app string, d *query.Definition, isStored bool) error {
	if err := c.begin(ctx); err != nil {
		return err
	}
	defer c.end()
	return c.define(ctx, app, d, isStored)
}

func (c *Catalog) define(ctx context.Context, app string, d *query.Definition, isStored bool) error {
	p, err := query.Compile(d)
	if err != nil {
		return err
	}
	if problems := c.plansOf(app).checkNew(p); len(problems) > 0 {
		return &query.Error{Problems: problems}
	}
	isStored = isStored && c.options.Store != nil
	if isStored {
		if err := c.options.Store.SaveDefinition(ctx, app, p.ID(), p.Definition().AppendJSON(nil)); err != nil {
			return fmt.Errorf("definition: save: %w", err)
		}
	}
	if was := c.apps[app][p.ID()]; was != nil {
		isStored = isStored || was.isStored
	}
	c.install(app, p, isStored)
	return nil
}

// install serves a definition that was found to be good.
func (c *Catalog) install(app string, p *query.Plan, isStored bool) {
	was := c.apps[app][p.ID()]
	if was != nil && isSamePlan(was.plan, p) {
		was.isStored = was.isStored || isStored
		return
	}
	if c.apps[app] == nil {
		c.apps[app] = map[string]*served{}
	}
	c.apps[app][p.ID()] = &served{p, isStored}
	c.views.Install(app, p)
}

func (c *Catalog) uninstall(app, id string) {
	delete(c.apps[app], id)
	c.views.Uninstall(app, id)
}

// Remove removes a derived view. ErrNotFound: there is none; *query.Error: other views derive from it.
// Other errors are ctx's or the store's; after any nothing has changed.
func (c *Catalog) Remove(ctx context.Context, app, id string) error {
	if err := c.begin(ctx); err != nil {
		return err
	}
	defer c.end()
	s := c.apps[app][id]
	if s == nil {
		return ErrNotFound
	}
	if children := c.plansOf(app).children(id); len(children) > 0 {
		return &query.Error{Problems: []string{fmt.Sprintf("id: %q derives from it; remove that first", children[0].ID())}}
	}
	if s.isStored {
		if err := c.options.Store.DeleteDefinition(ctx, app, id); err != nil {
			return fmt.Errorf("definition: delete: %w", err)
		}
	}
	c.uninstall(app, id)
	return nil
}

// plansOf are the definitions that an app has.
func (c *Catalog) plansOf(app string) plans {
	ps := make(plans, len(c.apps[app]))
	for id, s := range c.apps[app] {
		ps[id] = s.plan
	}
	return ps
}

func isSamePlan(a, b *query.Plan) bool {
	return bytes.Equal(a.Definition().AppendJSON(nil), b.Definition().AppendJSON(nil))
}

// plans are derived views of one app, by id.
type plans map[string]*query.Plan

// children are the views that derive from one, by id.
func (ps plans) children(id string) []*query.Plan {
	var list []*query.Plan
	for _, p := range ps {
		if p.Source() == id {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b *query.Plan) int { return cmp.Compare(a.ID(), b.ID()) })
	return list
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

// depth is how many views p derives from.
func (ps plans) depth(p *query.Plan) (d int) {
	for up := ps[p.Source()]; up != nil && d < len(ps); up = ps[up.Source()] {
		d++
	}
	return d
}
