package entity

import (
	"cmp"

	"github.com/millrace/millrace/internal/ordered"
)

// tombstones of a type. What concerns Type's lock concerns them.
type tombstones struct {
	byNumber *ordered.Tree[Tombstone]
	byKey    map[string]uint64 // nil before the first
	// forgotten is the last that was removed because there were too many.
	forgotten Tombstone
}

func newTombstones() tombstones {
	return tombstones{byNumber: ordered.New(func(a, b Tombstone) int { return cmp.Compare(a.Number, b.Number) })}
}

func (ts *tombstones) add(t Tombstone) {
	ts.remove(t.Key)
	if ts.byKey == nil {
		ts.byKey = make(map[string]uint64)
	}
	ts.byKey[t.Key] = t.Number
	ts.byNumber.Insert(t)
}

func (ts *tombstones) remove(key string) {
	if number, ok := ts.byKey[key]; ok {
		delete(ts.byKey, key)
		ts.byNumber.Delete(Tombstone{Number: number})
	}
}

// forget forgets the tombstones up to last, if that is later than what was forgotten before.
func (ts *tombstones) forget(last Tombstone) {
	if last.Number <= ts.forgotten.Number {
		return
	}
	for ts.byNumber.Len() > 0 && ts.byNumber.At(0).Number <= last.Number {
		ts.remove(ts.byNumber.At(0).Key)
	}
	ts.forgotten = last
}

// numberAt is the number of the last tombstone, forgotten or not, that is not after seq.
func (ts *tombstones) numberAt(seq Seq) uint64 {
	after := ts.byNumber.Search(func(t Tombstone) bool { return t.Seq.Compare(seq) > 0 })
	if after > 0 {
		return ts.byNumber.At(after - 1).Number
	}
	if ts.forgotten.Seq.Compare(seq) <= 0 {
		return ts.forgotten.Number
	}
	return 0
}

// after is the rank of the first with a greater number.
func (ts *tombstones) after(number uint64) int {
	rank, ok := ts.byNumber.Rank(Tombstone{Number: number})
	if ok {
		rank++
	}
	return rank
}
