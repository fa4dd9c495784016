package keyed_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/keyed"
)

type item struct{ key int }

func (i *item) Key() int { return i.key }

// TestASetIsWhatAMapIs compares it with one, over the border between few and many, and while
// many become a lot and hardly any again.
func TestASetIsWhatAMapIs(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ keys, steps, wave int }{
		"few and many": {keys: 40, steps: 20_000, wave: 100},
		"a lot":        {keys: 3000, steps: 60_000, wave: 20_000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s keyed.Set[int, *item]
			want := map[int]*item{}
			rng := rand.New(rand.NewPCG(1, 2))
			for step := range tt.steps {
				key, isGrowing := rng.IntN(tt.keys), step%tt.wave < tt.wave/2
				switch old := want[key]; {
				case old == nil && (isGrowing || rng.IntN(8) == 0):
					want[key] = &item{key}
					s.Add(want[key])
				case old != nil && (!isGrowing || rng.IntN(8) == 0):
					s.Remove(old)
					delete(want, key)
				}
				s.Remove(&item{-1})
				if got := s.Get(key); got != want[key] || s.Len() != len(want) {
					t.Fatalf("of %d got %v, want %v; %d items, want %d", key, got, want[key], s.Len(), len(want))
				}
				if step%(tt.keys/40) == 0 {
					expectAll(t, &s, want, key)
				}
			}
		})
	}
}

// expectAll expects All and Turns to yield each item once.
func expectAll(t *testing.T, s *keyed.Set[int, *item], want map[int]*item, turn int) {
	t.Helper()
	all, turns := map[int]*item{}, map[int]*item{}
	n := 0
	for i := range s.All() {
		all[i.key] = i
		n++
	}
	for _, i := range s.Turns(turn) {
		turns[i.key] = i
		n++
	}
	if !maps.Equal(all, want) || !maps.Equal(turns, want) || n != 2*len(want) {
		t.Fatalf("got %v and in turns %v, want %v", all, turns, want)
	}
}

// TestTheFirstOfManyIsFoundSoon takes the first item again and again, which must not pass by all
// that were taken before.
func TestTheFirstOfManyIsFoundSoon(t *testing.T) {
	t.Parallel()
	var s keyed.Set[int, *item]
	for key := range 200_000 {
		s.Add(&item{key})
	}
	for s.Len() > 0 {
		for i := range s.All() {
			s.Remove(i)
			break
		}
	}
}

func BenchmarkSet(b *testing.B) {
	for _, n := range []int{16, 100, 10_000} {
		b.Run(fmt.Sprintf("items=%d", n), func(b *testing.B) {
			var s keyed.Set[int, *item]
			for key := range n {
				s.Add(&item{key})
			}
			key := 0
			b.ReportAllocs()
			for b.Loop() {
				i := s.Get(key)
				s.Remove(i)
				s.Add(i)
				if key++; key == n {
					key = 0
				}
			}
		})
	}
}

func TestTurnsGoOnWhereTheyWereLeft(t *testing.T) {
	t.Parallel()
	var s keyed.Set[int, *item]
	for key := range 3 {
		s.Add(&item{key})
	}
	next := 0
	var got []int
	for range 5 {
		for turn, i := range s.Turns(next) {
			got = append(got, i.key)
			next = turn + 1
			break
		}
	}
	if diff := cmp.Diff([]int{0, 1, 2, 0, 1}, got); diff != "" {
		t.Error(diff)
	}
	got = got[:0]
	for _, i := range s.Turns(2) {
		got = append(got, i.key)
	}
	if !slices.Equal(got, []int{2, 0, 1}) {
		t.Errorf("from the third got %v", got)
	}
}

func TestAnEmptyTableHasNothing(t *testing.T) {
	t.Parallel()
	var s keyed.Table[int, *item]
	s.Remove(1)
	if got := s.Get(1); got != nil || s.Len() != 0 {
		t.Errorf("got %v and %d items, want none", got, s.Len())
	}
	for i := range s.All() {
		t.Errorf("got %v, want none", i)
	}
	one := &item{1}
	s.Add(one)
	s.Remove(2)
	if got := s.Get(1); got != one || s.Len() != 1 {
		t.Errorf("got %v and %d items, want the one", got, s.Len())
	}
	s.Remove(1)
	if got := s.Get(1); got != nil || s.Len() != 0 {
		t.Errorf("got %v and %d items after it was removed, want none", got, s.Len())
	}
}
