package entity

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
)

type typeID struct{ app, name string }

// registry is the types that exist. A type is hidden until it was declared or has had an
// entity; it is one and the same before and after.
type registry struct {
	mu    sync.RWMutex
	types map[typeID]*Type // guarded by mu
	known map[*Type]bool   // guarded by mu
}

// find is nil for a type that does not exist.
func (r *registry) find(app, name string) (t *Type, isKnown bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	t = r.types[typeID{app, name}]
	return t, r.known[t]
}

// get finds or makes a type.
func (r *registry) get(app, name string, isKnown bool) *Type {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.types[typeID{app, name}]
	if t == nil {
		t = newType(strings.Clone(app), strings.Clone(name))
		r.types[typeID{t.App, t.Name}] = t
	}
	if isKnown {
		r.known[t] = true
	}
	return t
}

func (r *registry) of(app string) []*Type {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var types []*Type
	for t := range r.known {
		if t.App == app {
			types = append(types, t)
		}
	}
	slices.SortFunc(types, func(a, b *Type) int { return cmp.Compare(a.Name, b.Name) })
	return types
}

func (r *registry) all() []*Type {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Collect(maps.Keys(r.known))
}
