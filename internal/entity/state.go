package entity

import (
	"cmp"
	"slices"
	"strings"
	"sync"
)

type typeID struct{ app, name string }

// State is the entities of one node, by app and type. A type is one and the same for all who need
// it. It is there for good once it was declared or has had an entity; before that, only while it
// is held.
//
// Install, Restore and its siblings are called from one goroutine at a time, which may read types
// without their locks. All other methods are safe for concurrent use.
type State struct {
	metrics *Metrics
	runs    runs
	changes []Change // Install's, emptied

	mu    sync.RWMutex
	types map[typeID]*Type // guarded by mu
}

// NewState makes a state without entities. m may be nil.
func NewState(m *Metrics) *State {
	if m == nil {
		m = NewMetrics(nil)
	}
	return &State{metrics: m, runs: runs{byTag: map[uint64]Run{}}, types: map[typeID]*Type{}}
}

// Find is nil for a type that was not declared, never had an entity and is not held.
func (s *State) Find(app, name string) *Type {
	t, _ := s.find(app, name)
	return t
}

// find is Find; isKnown reports whether the type is there for good.
func (s *State) find(app, name string) (t *Type, isKnown bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	t = s.types[typeID{app, name}]
	return t, t != nil && t.isKnown
}

// Declare finds or makes a type, which stays. The name must pass CheckType.
func (s *State) Declare(app, name string) *Type {
	t, isKnown := s.find(app, name)
	if isKnown {
		return t
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t = s.getLocked(app, name)
	t.isKnown = true
	return t
}

// Hold finds or makes a type that need not stay: without an entity, and not declared, it is gone with
// the last Release. Until then it is the one that changes are installed in. The name must pass CheckType.
func (s *State) Hold(app, name string) *Type {
	if t := s.holdPresent(app, name); t != nil {
		return t
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.getLocked(app, name)
	t.holders.Add(1)
	return t
}

// holdPresent is Hold for a type that is there; nil if it is not.
func (s *State) holdPresent(app, name string) *Type {
	s.mu.RLock()
	defer s.mu.RUnlock()
	t := s.types[typeID{app, name}]
	if t != nil {
		t.holders.Add(1) // under the lock, so that it is not dropped in between
	}
	return t
}

// Release undoes one Hold.
func (s *State) Release(t *Type) {
	if t.holders.Add(-1) > 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	id := typeID{t.App, t.Name} // it may be gone already, and another of its name be there
	if !t.isKnown && t.holders.Load() == 0 && s.types[id] == t {
		delete(s.types, id)
	}
}

func (s *State) getLocked(app, name string) *Type {
	t := s.types[typeID{app, name}]
	if t == nil {
		t = newType(strings.Clone(app), strings.Clone(name))
		s.types[typeID{t.App, t.Name}] = t
	}
	return t
}

// Types lists the types of an app that Find finds, by name.
func (s *State) Types(app string) []*Type {
	return s.list(func(id typeID) bool { return id.app == app })
}

// All lists the types of all apps, by app and name.
func (s *State) All() []*Type { return s.list(func(typeID) bool { return true }) }

func (s *State) list(isWanted func(typeID) bool) []*Type {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var list []*Type
	for id, t := range s.types {
		if isWanted(id) {
			list = append(list, t)
		}
	}
	slices.SortFunc(list, func(a, b *Type) int { return cmp.Or(cmp.Compare(a.App, b.App), cmp.Compare(a.Name, b.Name)) })
	return list
}
