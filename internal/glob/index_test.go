package glob_test

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/millrace/millrace/internal/glob"
)

// TestAnIndexFindsWhatMatches as one pattern after the other would, while patterns come and go.
func TestAnIndexFindsWhatMatches(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test
	texts := []string{"*", "a*", "ab*", "a*b", "b*", "ab", "", "**", "*b", "ab*ab*", "c-*"}
	names := []string{"", "a", "ab", "abab", "b", "c-1", "aab"}
	var x glob.Index[int]
	known := map[string]int{}
	for i := range 2000 {
		switch p := texts[r.IntN(len(texts))]; r.IntN(3) {
		case 0:
			x.Delete(p)
			delete(known, p)
		default:
			x.Put(p, i)
			known[p] = i
		}
		name := names[r.IntN(len(names))]
		got := map[string]int{}
		x.Match(name, func(p string, v int) { got[p] = v })
		want := map[string]int{}
		for p, v := range known {
			if glob.Match(p, name) {
				want[p] = v
			}
			if value, ok := x.Get(p); !ok || value != v {
				t.Fatalf("%q has %d, %v; want %d", p, value, ok, v)
			}
		}
		if !maps.Equal(got, want) || x.Len() != len(known) {
			t.Fatalf("%q: %v of %d, want %v of %d", name, got, x.Len(), want, len(known))
		}
	}
	var all []string
	x.All(func(p string, _ int) { all = append(all, p) })
	if want := slices.Sorted(maps.Keys(known)); !slices.Equal(all, want) {
		t.Errorf("all: %q, want %q", all, want)
	}
}
