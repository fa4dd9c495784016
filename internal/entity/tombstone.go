package entity

import (
	"cmp"

	"github.com/millrace/millrace/internal/ordered"
)

// graveyard is the tombstones of a type. What concerns Type's lock concerns it.
type graveyard struct {
	byNumber *ordered.Tree[Tombstone]
	byKey    map[string]uint64 // nil before the first
	// forgotten is the last that was removed because there were too many.
	forgotten Tombstone
}

func newGraveyard() graveyard {
	return graveyard{byNumber: ordered.New(func(a, b Tombstone) int { return cmp.Compare(a.Number, b.Number) })}
}

func (g *graveyard) add(t Tombstone) {
	g.remove(t.Key)
	if g.byKey == nil {
		g.byKey = make(map[string]uint64)
	}
	g.byKey[t.Key] = t.Number
	g.byNumber.Insert(t)
}

func (g *graveyard) remove(key string) {
	if number, ok := g.byKey[key]; ok {
		delete(g.byKey, key)
		g.byNumber.Delete(Tombstone{Number: number})
	}
}

// shrink forgets the oldest beyond limit.
func (g *graveyard) shrink(limit int) {
	for g.byNumber.Len() > limit {
		g.forgotten = g.byNumber.At(0)
		g.remove(g.forgotten.Key)
	}
}

// numberAt is the number of the last tombstone, forgotten or not, that is not after seq.
func (g *graveyard) numberAt(seq Seq) uint64 {
	after := g.byNumber.Search(func(t Tombstone) bool { return t.Seq.Compare(seq) > 0 })
	if after > 0 {
		return g.byNumber.At(after - 1).Number
	}
	if g.forgotten.Seq.Compare(seq) <= 0 {
		return g.forgotten.Number
	}
	return 0
}

// after is the rank of the first with a greater number.
func (g *graveyard) after(number uint64) int {
	rank, ok := g.byNumber.Rank(Tombstone{Number: number})
	if ok {
		rank++
	}
	return rank
}
