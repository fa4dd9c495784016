package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
)

// Static is a registry of apps that are given as a whole. Safe for concurrent use: each call
// sees the apps from before or from after a Swap, never a mixture.
type Static struct {
	tables atomic.Pointer[tables]
}

// tables is immutable.
type tables struct {
	byKey, byID, byAlias map[string]*App
}

var _ Registry = (*Static)(nil)

// NewStatic registers apps. The error joins everything wrong with them: what Validate
// finds, and keys, ids or aliases that two apps share.
func NewStatic(apps []*App) (*Static, error) {
	t := &tables{byKey: make(map[string]*App, len(apps)), byID: make(map[string]*App, len(apps)), byAlias: map[string]*App{}}
	var errs []error
	for i, a := range apps {
		for _, p := range Validate(a) {
			errs = append(errs, fmt.Errorf("app %d (%q): %s: %s", i, a.ID, p.Field, p.Message))
		}
		if _, taken := t.byID[a.ID]; taken {
			errs = append(errs, fmt.Errorf("app %d (%q): ID: another app has it", i, a.ID))
		}
		t.byID[a.ID] = a
		for key := range a.keys() {
			if _, taken := t.byKey[key]; taken {
				errs = append(errs, fmt.Errorf("app %d (%q): Key: %q is taken", i, a.ID, key))
			}
			t.byKey[key] = a
		}
	}
	for i, a := range apps {
		for _, alias := range a.Aliases {
			if t.byID[alias] != nil || t.byAlias[alias] != nil {
				errs = append(errs, fmt.Errorf("app %d (%q): Aliases: %q is taken", i, a.ID, alias))
			}
			t.byAlias[alias] = a
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	s := &Static{}
	s.tables.Store(t)
	return s, nil
}

// Swap takes over the apps of next, which must not be used any more, and returns the ids of
// those that were enabled before and are not, or not there, now. An app whose settings are
// the same stays the same *App, so that what is made once per app is not made again. Calls
// must not overlap.
func (s *Static) Swap(next *Static) (gone []string) {
	was, is := s.tables.Load(), next.tables.Load()
	for id, a := range was.byID {
		b := is.byID[id]
		switch {
		case a.Enabled && (b == nil || !b.Enabled):
			gone = append(gone, id)
		case b != nil && reflect.DeepEqual(a, b):
			is.byID[id] = a
			for key := range a.keys() {
				is.byKey[key] = a
			}
			for _, alias := range a.Aliases {
				is.byAlias[alias] = a
			}
		}
	}
	s.tables.Store(is)
	return gone
}

// ByKey finds an app by any of its keys.
func (s *Static) ByKey(_ context.Context, key string) (*App, error) {
	return find(s.tables.Load().byKey, key)
}

// ByID finds an app by its id or an alias.
func (s *Static) ByID(_ context.Context, id string) (*App, error) {
	t := s.tables.Load()
	if a, ok := t.byID[id]; ok {
		return a, nil
	}
	return find(t.byAlias, id)
}

// All is every app there is, sorted by id.
func (s *Static) All() []*App {
	return slices.SortedFunc(maps.Values(s.tables.Load().byID), func(a, b *App) int { return strings.Compare(a.ID, b.ID) })
}

// Len is the number of apps.
func (s *Static) Len() int { return len(s.tables.Load().byID) }

func find(apps map[string]*App, name string) (*App, error) {
	if a, ok := apps[name]; ok {
		return a, nil
	}
	return nil, ErrNotFound
}
