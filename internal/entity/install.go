package entity

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Errors of Install. The state has not changed.
var (
	// ErrMissing: changes that the owner decided before have not been installed.
	ErrMissing = errors.New("entity: changes are missing")
	// ErrDiverged: the state has a change that is not one of its owner's.
	ErrDiverged = errors.New("entity: the state has a change that its owner has not decided")
)

// Decision is one change that the owner has decided: what one mutation makes of one entity.
type Decision struct {
	Op           Op
	IsWire       bool // Data is known to be in wire form
	IsSuperseded bool // a later one of the same Decisions is about the same key
	Key          string
	Data         []byte   // of the entity from now on: see Version; nil: there is none any more
	Patch        []byte   // OpPatch: the patch as clients get it: wire form, with _seq
	Append       []string // OpPatch: dotted paths of arrays that the patch appends to
	Seq          Seq
	Number       uint64
	Replaces     uint64 // number of the version that it takes the place of; 0: there was none
}

// Decisions are what the owner has decided about one type since the change After. They are values:
// a node that has them needs nothing of the owner. They are immutable once they were decided, and the
// state keeps the keys and data of List.
type Decisions struct {
	App, Type string
	After     uint64     // number of the change before the first; 0: there was none
	List      []Decision // in ascending order of numbers
	// Forgotten is the last tombstone that is to be forgotten after List, with all before it; a zero
	// number forgets none.
	Forgotten Tombstone
}

// Change is a decision as it was installed. Old and New are nil where the entity does not exist.
type Change struct {
	*Decision
	Old, New *Version
}

// Receiver is told of changes, with the type locked exclusively, in the order of their
// numbers, after they are stored. The state of the type is the one after all of them. It must
// not block under the lock, and keep neither the slice nor a Decision. It may unlock the type for a
// moment during the call: until it returns, no other change is installed.
type Receiver interface {
	Changed(t *Type, changes []Change)
}

// maxSpareChanges is how many changes Install has room for between two calls.
const maxSpareChanges = 8192

// Install makes d the state of its type and tells r, in one step under the type's lock. What the state
// has already is left out: to install d twice does what installing it once does. An error is
// ErrMissing or ErrDiverged. r may be nil when d has no List.
//
//millrace:hot BenchmarkInstall TestInstallAllocs
func (s *State) Install(d *Decisions, r Receiver) error {
	var number uint64
	t, isKnown := s.find(d.App, d.Type)
	if t != nil {
		number = t.number
	}
	list, err := d.follow(number)
	if err != nil {
		return fmt.Errorf("%w: app %q, type %q: %d is the last, and the decisions follow %d", err, d.App, d.Type, number, d.After)
	}
	if len(list) == 0 && (t == nil || d.Forgotten.Number <= t.tombstones.forgotten.Number) {
		return nil
	}
	if !isKnown {
		t = s.Declare(d.App, d.Type)
	}
	live, gone := len(t.entities), len(t.tombstones.byKey)
	if len(list) > 0 {
		s.runs.reach(list[len(list)-1].Seq) // before a client can have it from a reader of the type
	}
	changes := t.install(s.changes[:0], list, d.Forgotten, r)
	s.metrics.count(len(t.entities)-live, len(t.tombstones.byKey)-gone)
	clear(changes)
	if s.changes = changes[:0]; cap(changes) > maxSpareChanges {
		s.changes = nil
	}
	return nil
}

// install makes decisions the state, which they follow, tells r of what changed, and appends that. The
// lock is free afterwards even if r panics: the server ends then, and its connections have to leave.
//
//millrace:hot BenchmarkInstall TestInstallAllocs
func (t *Type) install(dst []Change, list []Decision, forgotten Tombstone, r Receiver) []Change {
	t.Lock()
	defer t.Unlock()
	changes := t.installLocked(dst, list)
	t.tombstones.forget(forgotten)
	if len(changes) > 0 {
		r.Changed(t, changes)
	}
	return changes
}

// follow returns the decisions that a state lacks whose last change has a number.
func (d *Decisions) follow(number uint64) ([]Decision, error) {
	switch {
	case number == d.After:
		return d.List, nil
	case number < d.After:
		return nil, ErrMissing
	}
	i, isOneOf := slices.BinarySearchFunc(d.List, number, func(d Decision, number uint64) int { return cmp.Compare(d.Number, number) })
	switch {
	case isOneOf:
		return d.List[i+1:], nil
	case i < len(d.List):
		return nil, ErrDiverged
	}
	return nil, nil // the state is ahead of all of them
}

// installLocked makes decisions the state, which they follow, and appends what changed. The lock is
// held exclusively.
//
//millrace:hot BenchmarkInstall TestInstallAllocs
func (t *Type) installLocked(dst []Change, list []Decision) []Change {
	before := t.number
	for i := range list {
		d := &list[i]
		c := Change{Decision: d}
		if d.Replaces > before { // it was superseded by d, so it is not in numbers
			c.Old = t.entities[d.Key]
		} else if d.Replaces > 0 {
			replaced, _ := t.numbers.Take(numbered{number: d.Replaces})
			c.Old = replaced.version
		}
		if d.Data != nil {
			c.New = t.putLocked(d, c.Old)
		} else {
			t.deleteLocked(d)
		}
		dst = append(dst, c)
		t.last, t.number = d.Seq, d.Number
	}
	return dst
}

func (t *Type) putLocked(d *Decision, old *Version) *Version {
	v := &Version{Key: d.Key, Data: d.Data, Seq: d.Seq, Number: d.Number, IsWire: d.IsWire}
	if old != nil {
		v.Key = old.Key // one copy for all versions and the map
	} else {
		t.tombstones.remove(v.Key)
	}
	if t.entities == nil {
		t.entities = make(map[string]*Version)
	}
	t.entities[v.Key] = v
	if !d.IsSuperseded {
		t.numbers.Insert(numbered{v.Number, v})
	}
	return v
}

func (t *Type) deleteLocked(d *Decision) {
	delete(t.entities, d.Key)
	if !d.IsSuperseded {
		t.tombstones.add(Tombstone{Key: d.Key, Seq: d.Seq, Number: d.Number})
	}
}
