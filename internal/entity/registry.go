package entity

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
)

type typeID struct{ app, name string }

// registry is the types that there are. A type is one and the same for all who need it. It is there
// for good once it was declared or has had an entity; before that, only while it is held or the
// applier has it. One that the applier alone has is hidden.
type registry struct {
	mu    sync.RWMutex
	types map[typeID]*Type // guarded by mu
}

// find returns hidden types, too.
func (r *registry) find(app, name string) (t *Type, isKnown bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	t = r.types[typeID{app, name}]
	return t, t != nil && t.isKnown
}

// declare finds or makes a type that stays.
func (r *registry) declare(app, name string) *Type {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.getLocked(app, name)
	t.isKnown = true
	return t
}

// stage finds or makes a type and keeps it until unstage.
func (r *registry) stage(app, name string) *Type {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.getLocked(app, name)
	t.isStaged = true
	return t
}

// unstage undoes stage.
func (r *registry) unstage(t *Type) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t.isStaged = false
	r.dropLocked(t)
}

// hold finds or makes a type and keeps it until as many calls of release.
func (r *registry) hold(app, name string) *Type {
	if t := r.holdPresent(app, name); t != nil {
		return t
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.getLocked(app, name)
	t.holders.Add(1)
	return t
}

// holdPresent is hold for a type that is there; nil if it is not.
func (r *registry) holdPresent(app, name string) *Type {
	r.mu.RLock()
	defer r.mu.RUnlock()
	t := r.types[typeID{app, name}]
	if t != nil {
		t.holders.Add(1) // under the lock, so that it is not dropped in between
	}
	return t
}

// release undoes hold.
func (r *registry) release(t *Type) {
	if t.holders.Add(-1) > 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dropLocked(t)
}

func (r *registry) getLocked(app, name string) *Type {
	t := r.types[typeID{app, name}]
	if t == nil {
		t = newType(strings.Clone(app), strings.Clone(name))
		r.types[typeID{t.App, t.Name}] = t
	}
	return t
}

// dropLocked forgets a type that neither stays nor is needed. It may be gone already, and another of
// its name be there.
func (r *registry) dropLocked(t *Type) {
	id := typeID{t.App, t.Name}
	if !t.isKnown && !t.isStaged && t.holders.Load() == 0 && r.types[id] == t {
		delete(r.types, id)
	}
}

func (r *registry) of(app string) []*Type {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var types []*Type
	for id, t := range r.types {
		if id.app == app && (t.isKnown || t.holders.Load() > 0) {
			types = append(types, t)
		}
	}
	slices.SortFunc(types, func(a, b *Type) int { return cmp.Compare(a.Name, b.Name) })
	return types
}

func (r *registry) all() []*Type {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Collect(maps.Values(r.types))
}
