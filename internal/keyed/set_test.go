package keyed_test

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/keyed"
)

type item struct{ key int }

func (i *item) Key() int { return i.key }

// TestASetIsWhatAMapIs compares it with one, over the border between few and many.
func TestASetIsWhatAMapIs(t *testing.T) {
	t.Parallel()
	var s keyed.Set[int, *item]
	want := map[int]*item{}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		key := rng.IntN(40)
		switch old := want[key]; {
		case old == nil && rng.IntN(40) >= len(want):
			want[key] = &item{key}
			s.Add(want[key])
		case old != nil:
			s.Remove(old)
			delete(want, key)
		}
		s.Remove(&item{-1})
		if got := s.Get(key); got != want[key] || s.Len() != len(want) {
			t.Fatalf("of %d got %v, want %v; %d items, want %d", key, got, want[key], s.Len(), len(want))
		}
		all := map[int]*item{}
		for i := range s.All() {
			all[i.key] = i
		}
		turns := 0
		for _, i := range s.Turns(key) {
			if want[i.key] == i {
				turns++
			}
		}
		if !maps.Equal(all, want) || turns != len(want) {
			t.Fatalf("got %v and %d in turns, want %v", all, turns, want)
		}
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
