package catchup

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A ring knows the keys of exactly the frames that were neither forgotten nor too many.
func TestRandomRing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		limit := rapid.SampledFrom([]int{1, 2, 8, 20, 64}).Draw(rt, "limit")
		var r Recent
		var all []string // of every frame
		from := 0        // those before it are forgotten
		rt.Repeat(map[string]func(*rapid.T){
			"add": func(rt *rapid.T) {
				for range rapid.IntRange(1, 40).Draw(rt, "frames") {
					if r.IsFull() && len(r.keys) < limit {
						r.Forget(uint64(from), limit)
					}
					all = append(all, fmt.Sprint("k", len(all)))
					r.Add(all[len(all)-1])
					from = max(from, len(all)-limit)
				}
			},
			"forget": func(rt *rapid.T) {
				from = max(from, rapid.IntRange(0, len(all)).Draw(rt, "number"))
				r.Forget(uint64(from), limit)
			},
			"": func(rt *rapid.T) {
				if r.last != uint64(len(all)) || len(r.keys) > limit {
					rt.Fatalf("number %d of %d frames, room for %d, at most %d", r.last, len(all), len(r.keys), limit)
				}
				if left := len(all) - from; len(r.keys) > max(4*left, Few) && from == int(r.from) {
					rt.Fatalf("room for %d keys, of which %d are remembered", len(r.keys), left)
				}
				for number := range len(all) + 1 {
					keys, ok := r.AppendSince(nil, uint64(number))
					if number >= from && (!ok || !slices.Equal(keys, all[number:])) {
						rt.Fatalf("since %d: %v, %v; want %v", number, keys, ok, all[number:])
					}
					if number < int(r.from) && ok {
						rt.Fatalf("since %d: %v, although %d are forgotten", number, keys, r.from)
					}
				}
			},
		})
	})
}

// What is forgotten is not held: a key may be long, and its entity gone.
func TestARingHoldsNoForgottenKeys(t *testing.T) {
	t.Parallel()
	var r Recent
	r.Forget(0, 8)
	for i := range 6 {
		r.Add(fmt.Sprint("k", i))
	}
	r.Forget(4, 8)
	held := slices.DeleteFunc(slices.Clone(r.keys), func(key string) bool { return key == "" })
	slices.Sort(held)
	if want := []string{"k4", "k5"}; !slices.Equal(held, want) {
		t.Errorf("the ring holds %v, want %v", held, want)
	}
}
