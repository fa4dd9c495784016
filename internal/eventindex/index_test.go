package eventindex_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/millrace/millrace/internal/eventindex"
)

type item struct {
	names  []string
	places []eventindex.Place[*item]
}

// taken is what a walk finds for a name.
func taken(x *eventindex.Index[*item], name string, round uint64) (list []*item) {
	for p := x.Take(name, round); p != nil; p = p.Next() {
		list = append(list, p.Item)
	}
	return list
}

func TestTheIndexFindsWhatIsThere(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	names := []string{"a", "b", "c", "d", "e"}
	var x eventindex.Index[*item]
	here := map[*item]bool{}
	for round := range uint64(2000) {
		if rnd.IntN(3) > 0 && len(here) < 20 {
			it := &item{}
			for _, name := range names {
				if rnd.IntN(2) == 0 {
					it.names = append(it.names, name)
				}
			}
			it.places = x.Add(it, it.names)
			here[it] = true
		} else {
			for it := range here {
				x.Remove(it.places)
				delete(here, it)
				break
			}
		}
		for _, name := range names {
			got := taken(&x, name, round+1)
			want := 0
			for it := range here {
				if slices.Contains(it.names, name) {
					want++
					if n := count(got, it); n != 1 {
						t.Fatalf("an item that waits for %s is found %d times", name, n)
					}
				}
			}
			if len(got) != want {
				t.Fatalf("%d items are found for %s, want %d", len(got), name, want)
			}
			if again := taken(&x, name, round+1); len(again) > 0 {
				t.Fatalf("%d items are taken twice in a round", len(again))
			}
		}
	}
}

func count(list []*item, it *item) (n int) {
	for _, other := range list {
		if other == it {
			n++
		}
	}
	return n
}

// A walk that has come to a place goes on behind it, though it is removed.
func TestAWalkOutlivesWhatIsRemoved(t *testing.T) {
	t.Parallel()
	var x eventindex.Index[*item]
	all := make([]item, 4)
	for i := range all {
		all[i].places = x.Add(&all[i], []string{"a"})
	}
	found := map[*item]int{}
	for p := x.Take("a", 1); p != nil; p = p.Next() {
		found[p.Item]++
		x.Remove(p.Item.places)
	}
	for i := range all {
		if found[&all[i]] != 1 {
			t.Errorf("item %d is found %d times", i, found[&all[i]])
		}
	}
	if left := taken(&x, "a", 2); len(left) > 0 {
		t.Errorf("%d items are left", len(left))
	}
}
