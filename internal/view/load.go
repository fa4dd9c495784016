package view

import (
	"context"
	"errors"
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

// Load restores the stored definitions: after entities.Load and whatever is defined without
// being stored, which it leaves alone, and before anything is served. Definitions that can
// no longer be served, because their source is gone, are logged and stay in the store.
func (e *Engine) Load(ctx context.Context) error {
	if e.options.Store == nil {
		return nil
	}
	if err := e.beginDefining(ctx); err != nil {
		return err
	}
	defer e.endDefining()
	waiting, err := e.unserved(ctx, func(string) bool { return true })
	if err != nil {
		return fmt.Errorf("view: load definitions: %w", err)
	}
	e.isLoaded = true
	e.restore(ctx, waiting)
	return ctx.Err()
}

// unserved are the stored definitions, of some apps, whose ids nothing is served under.
func (e *Engine) unserved(ctx context.Context, isWanted func(app string) bool) (waiting []stored, err error) {
	err = e.options.Store.LoadDefinitions(ctx, func(app string, text []byte) error {
		if !isWanted(app) {
			return nil
		}
		d, err := query.Parse(text)
		if err != nil {
			e.log.Error("stored view not readable", "app", app, "err", err)
			return nil
		}
		if n := e.find(app, d.ID); n == nil || n.plan == nil {
			waiting = append(waiting, stored{app, d})
		}
		return nil
	})
	return waiting, err
}

// restore defines sources before what derives from them, in whatever order they come.
func (e *Engine) restore(ctx context.Context, waiting []stored) {
	for isProgress := true; isProgress; {
		isProgress = false
		kept := waiting[:0]
		for _, s := range waiting {
			if err := e.redefine(ctx, s); err != nil {
				kept = append(kept, s)
				continue
			}
			isProgress = true
		}
		waiting = kept
	}
	for _, s := range waiting {
		err := e.redefine(ctx, s)
		e.log.Error("stored view not served", "app", s.app, "view", s.definition.ID, "err", err)
	}
}

// redefine defines a view that is in the store already.
func (e *Engine) redefine(ctx context.Context, s stored) error {
	err := e.define(ctx, s.app, s.definition, false)
	if err != nil {
		return err
	}
	n := e.find(s.app, s.definition.ID)
	if n == nil {
		return errors.New("view: it is gone")
	}
	n.isStored = true
	return nil
}
