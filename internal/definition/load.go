package definition

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/internal/query"
)

// Store keeps definitions that were made at run time.
type Store interface {
	// LoadDefinitions calls fn with each, in any order, until fn fails.
	LoadDefinitions(ctx context.Context, fn func(app string, definition []byte) error) error
	SaveDefinition(ctx context.Context, app, id string, definition []byte) error
	DeleteDefinition(ctx context.Context, app, id string) error
}

// stored is a definition that waits to be restored.
type stored struct {
	app        string
	definition *query.Definition
}

// Load restores the stored definitions: after the entities were loaded and views were declared, which
// it leaves alone, and before anything is served. Definitions that can no longer be served, because their
// source is gone, are logged and stay in the store.
func (c *Catalog) Load(ctx context.Context) error {
	if c.options.Store == nil {
		return nil
	}
	if err := c.begin(ctx); err != nil {
		return err
	}
	defer c.end()
	waiting, err := c.unserved(ctx, func(string) bool { return true })
	if err != nil {
		return fmt.Errorf("definition: load: %w", err)
	}
	c.isLoaded = true
	c.restore(ctx, waiting)
	return ctx.Err()
}

// unserved are the stored definitions, of some apps, whose ids nothing is served under.
func (c *Catalog) unserved(ctx context.Context, isWanted func(app string) bool) (waiting []stored, err error) {
	err = c.options.Store.LoadDefinitions(ctx, func(app string, text []byte) error {
		if !isWanted(app) {
			return nil
		}
		d, err := query.Parse(text)
		if err != nil {
			c.options.Log.Error("stored view not readable", "app", app, "err", err)
			return nil
		}
		if c.apps[app][d.ID] == nil {
			waiting = append(waiting, stored{app, d})
		}
		return nil
	})
	return waiting, err
}

// restore defines sources before what derives from them, in whatever order they come.
func (c *Catalog) restore(ctx context.Context, waiting []stored) {
	for isProgress := true; isProgress; {
		isProgress = false
		kept := waiting[:0]
		for _, s := range waiting {
			if err := c.redefine(ctx, s); err != nil {
				kept = append(kept, s)
				continue
			}
			isProgress = true
		}
		waiting = kept
	}
	for _, s := range waiting {
		err := c.redefine(ctx, s)
		c.options.Log.Error("stored view not served", "app", s.app, "view", s.definition.ID, "err", err)
	}
}

// redefine defines a view that is in the store already.
func (c *Catalog) redefine(ctx context.Context, s stored) error {
	err := c.define(ctx, s.app, s.definition, false)
	if err != nil {
		return err
	}
	c.apps[s.app][s.definition.ID].isStored = true
	return nil
}
