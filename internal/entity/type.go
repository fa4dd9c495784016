package entity

import (
	"cmp"
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/internal/ordered"
)

// Type is all entities of one type of one app. Its lock orders everything that happens to
// the type, views included: Install holds it exclusively while it installs decisions and tells the
// receiver; a caller that joins a topic of the type holds it too, so that nothing is published
// between reading the state and subscribing.
// Methods with the suffix Locked need at least RLock.
type Type struct {
	App, Name string // immutable

	isKnown bool         // it was declared or has had an entity; guarded by State.mu
	holders atomic.Int32 // raised under State.mu, which may be held for reading

	sync.RWMutex

	// All guarded by the lock. Install alone changes them.
	entities   map[string]*Version     // nil before the first
	numbers    *ordered.Tree[numbered] // the same versions by number
	tombstones tombstones
	last       Seq
	number     uint64 // last is its Seq
}

// numbered spares most comparisons a look at the version.
type numbered struct {
	number  uint64
	version *Version
}

// Vacant is a type without entities that is in no state: what a reader sees of one that there is
// not.
func Vacant(app, name string) *Type { return newType(app, name) }

func newType(app, name string) *Type {
	return &Type{
		App: app, Name: name,
		numbers:    ordered.New(func(a, b numbered) int { return cmp.Compare(a.number, b.number) }),
		tombstones: newTombstones(),
	}
}

// LenLocked is the number of entities.
func (t *Type) LenLocked() int { return len(t.entities) }

// GetLocked is the entity with a key; nil if there is none.
func (t *Type) GetLocked(key string) *Version { return t.entities[key] }

// LastLocked is the last change that is in the state.
func (t *Type) LastLocked() (Seq, uint64) { return t.last, t.number }

// AfterLocked appends up to n live versions with a greater number, in ascending order of number.
func (t *Type) AfterLocked(dst []*Version, number uint64, n int) []*Version {
	if n <= 0 {
		return dst
	}
	end := len(dst) + n
	t.numbers.Ascend(t.after(number), func(v numbered) bool {
		dst = append(dst, v.version)
		return len(dst) < end
	})
	return dst
}

// BeforeLocked appends up to n live versions with a smaller number, in descending order.
func (t *Type) BeforeLocked(dst []*Version, number uint64, n int) []*Version {
	if n <= 0 {
		return dst
	}
	end := len(dst) + n
	rank, _ := t.numbers.Rank(numbered{number: number})
	t.numbers.Descend(rank-1, func(v numbered) bool {
		dst = append(dst, v.version)
		return len(dst) < end
	})
	return dst
}

// CountAfterLocked is how many live versions have a greater number.
func (t *Type) CountAfterLocked(number uint64) int { return t.numbers.Len() - t.after(number) }

// NumberAtLocked is a number N such that exactly the changes of live versions and tombstones
// with Seq <= seq have a number <= N: the greatest that is known.
func (t *Type) NumberAtLocked(seq Seq) uint64 {
	if t.last.Compare(seq) <= 0 {
		return t.number
	}
	live := uint64(0)
	after := t.numbers.Search(func(v numbered) bool { return v.version.Seq.Compare(seq) > 0 })
	if after > 0 {
		live = t.numbers.At(after - 1).number
	}
	return max(live, t.tombstones.numberAt(seq))
}

// DeletedAfterLocked appends tombstones with a greater number, ascending, up to n.
func (t *Type) DeletedAfterLocked(dst []Tombstone, number uint64, n int) []Tombstone {
	if n <= 0 {
		return dst
	}
	end := len(dst) + n
	t.tombstones.byNumber.Ascend(t.tombstones.after(number), func(tomb Tombstone) bool {
		dst = append(dst, tomb)
		return len(dst) < end
	})
	return dst
}

// DeletedLocked is the tombstone of a key, if there is one.
func (t *Type) DeletedLocked(key string) (Tombstone, bool) {
	number, ok := t.tombstones.byKey[key]
	if !ok {
		return Tombstone{}, false
	}
	rank, _ := t.tombstones.byNumber.Rank(Tombstone{Number: number})
	return t.tombstones.byNumber.At(rank), true
}

// LenDeletedLocked is the number of tombstones.
func (t *Type) LenDeletedLocked() int { return len(t.tombstones.byKey) }

// EachDeletedLocked calls fn with each tombstone, in ascending order of number, until it returns false.
func (t *Type) EachDeletedLocked(fn func(Tombstone) bool) { t.tombstones.byNumber.Ascend(0, fn) }

// ForgottenLocked is the number up to which tombstones may have been forgotten: a client that has
// seen less cannot be told of every deletion. Zero: none was ever forgotten.
func (t *Type) ForgottenLocked() uint64 { return t.tombstones.forgotten.Number }

// after is the rank of the first live version with a greater number.
func (t *Type) after(number uint64) int {
	rank, ok := t.numbers.Rank(numbered{number: number})
	if ok {
		rank++
	}
	return rank
}
