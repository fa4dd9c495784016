package ordered_test

import (
	"cmp"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/internal/ordered"
)

// item is ordered by key; tag tells equal items apart.
type item struct{ key, tag int }

func byKey(a, b item) int { return cmp.Compare(a.key, b.key) }

// model is what a Tree should be.
type model []item

func (m *model) insert(it item) int {
	i, ok := slices.BinarySearchFunc(*m, it, byKey)
	if ok {
		(*m)[i] = it
	} else {
		*m = slices.Insert(*m, i, it)
	}
	return i
}

func (m *model) remove(it item) (int, bool) {
	i, ok := slices.BinarySearchFunc(*m, it, byKey)
	if !ok {
		return 0, false
	}
	*m = slices.Delete(*m, i, i+1)
	return i, true
}

func collect(t *ordered.Tree[item], rank, n int, isDescending bool) []item {
	var got []item
	take := func(it item) bool {
		got = append(got, it)
		return len(got) < n
	}
	if isDescending {
		t.Descend(rank, take)
	} else {
		t.Ascend(rank, take)
	}
	return got
}

// machine runs the same operations on a tree and on the model.
type machine struct {
	tree  *ordered.Tree[item]
	model model
	tag   int
}

func (m *machine) insert(t *rapid.T, key int) {
	m.tag++
	it := item{key, m.tag}
	if got, want := m.tree.Insert(it), m.model.insert(it); got != want {
		t.Fatalf("Insert(%d) is at rank %d, want %d", key, got, want)
	}
}

func (m *machine) remove(t *rapid.T, key int) {
	got, ok := m.tree.Delete(item{key: key})
	want, wantOK := m.model.remove(item{key: key})
	if got != want || ok != wantOK {
		t.Fatalf("Delete(%d) is %d, %v, want %d, %v", key, got, ok, want, wantOK)
	}
}

// take removes an item, and wants the one that was inserted last with its key.
func (m *machine) take(t *rapid.T, key int) {
	rank, isThere := m.tree.Rank(item{key: key})
	var want item
	if isThere {
		want = m.tree.At(rank)
	}
	got, ok := m.tree.Take(item{key: key})
	if _, wantOK := m.model.remove(item{key: key}); ok != wantOK || ok && got != want {
		t.Fatalf("Take(%d) is %v, %v, want %v, %v", key, got, ok, want, wantOK)
	}
}

func (m *machine) check(t *rapid.T) {
	if got := m.tree.Len(); got != len(m.model) {
		t.Fatalf("Len is %d, want %d", got, len(m.model))
	}
	if diff := gocmp.Diff([]item(m.model), collect(m.tree, 0, len(m.model), false), gocmp.AllowUnexported(item{})); len(m.model) > 0 && diff != "" {
		t.Fatalf("items (-want +got):\n%s", diff)
	}
	m.tree.CheckInvariants(t)
}

func (m *machine) look(t *rapid.T, key, n int) {
	want, wantOK := slices.BinarySearchFunc(m.model, item{key: key}, byKey)
	if got, ok := m.tree.Rank(item{key: key}); got != want || ok != wantOK {
		t.Fatalf("Rank(%d) is %d, %v, want %d, %v", key, got, ok, want, wantOK)
	}
	if got := m.tree.Search(func(it item) bool { return it.key >= key }); got != want {
		t.Fatalf("Search(%d) is %d, want %d", key, got, want)
	}
	if want < len(m.model) && m.tree.At(want) != m.model[want] {
		t.Fatalf("At(%d) is %v, want %v", want, m.tree.At(want), m.model[want])
	}
	up := m.model[want:min(want+n, len(m.model))]
	if got := collect(m.tree, want, n, false); !slices.Equal(got, up) {
		t.Fatalf("Ascend(%d) is %v, want %v", want, got, up)
	}
	last := min(want, len(m.model)-1)
	down := slices.Clone(m.model[max(0, last-n+1) : last+1])
	slices.Reverse(down)
	if got := collect(m.tree, want, n, true); !slices.Equal(got, down) {
		t.Fatalf("Descend(%d) is %v, want %v", want, got, down)
	}
}

func TestRandomOperations(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{tree: ordered.New(byKey)}
		span := rapid.SampledFrom([]int{10, 1000, 100_000}).Draw(t, "span")
		keys := rapid.IntRange(-span, span)
		runs := rapid.IntRange(1, 300)
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				if len(m.model) < 300 || m.tag%16 == 0 {
					m.check(t)
				}
			},
			"insert one": func(t *rapid.T) {
				m.insert(t, keys.Draw(t, "key"))
			},
			"insert scattered": func(t *rapid.T) {
				key, n := keys.Draw(t, "key"), runs.Draw(t, "n")
				for i := range n {
					m.insert(t, (key+i*7919)%(span+1))
				}
			},
			"append": func(t *rapid.T) {
				for range runs.Draw(t, "n") {
					key := 0
					if n := len(m.model); n > 0 {
						key = m.model[n-1].key + 1
					}
					m.insert(t, key)
				}
			},
			"prepend": func(t *rapid.T) {
				for range runs.Draw(t, "n") {
					key := 0
					if len(m.model) > 0 {
						key = m.model[0].key - 1
					}
					m.insert(t, key)
				}
			},
			"delete one": func(t *rapid.T) { m.remove(t, keys.Draw(t, "key")) },
			"take one":   func(t *rapid.T) { m.take(t, keys.Draw(t, "key")) },
			"delete scattered": func(t *rapid.T) {
				rank, n := keys.Draw(t, "rank"), runs.Draw(t, "n")
				for i := range min(n, len(m.model)) {
					m.remove(t, m.model[max(0, rank+i*7919)%len(m.model)].key)
				}
			},
			"delete a range": func(t *rapid.T) {
				rank, n := max(0, keys.Draw(t, "rank")), runs.Draw(t, "n")
				for range n {
					if len(m.model) > 0 {
						m.remove(t, m.model[rank%len(m.model)].key)
					}
				}
			},
			"look": func(t *rapid.T) { m.look(t, keys.Draw(t, "key"), runs.Draw(t, "n")) },
			"clear, seldom": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "dice") == 0 {
					m.tree.Clear()
					m.model = nil
				}
			},
		})
		m.check(t)
	})
}

func TestInsertingAnEqualItemReplacesIt(t *testing.T) {
	t.Parallel()
	tree := ordered.New(byKey)
	for i := range 10_000 {
		tree.Insert(item{key: i})
	}
	for i := range 10_000 {
		if rank := tree.Insert(item{key: i, tag: 1}); rank != i {
			t.Fatalf("rank %d, want %d", rank, i)
		}
	}
	tree.Ascend(0, func(it item) bool {
		if it.tag != 1 {
			t.Errorf("item %d was not replaced", it.key)
		}
		return true
	})
	if tree.Len() != 10_000 {
		t.Errorf("Len is %d, want 10000", tree.Len())
	}
}

func TestWalksOutOfRange(t *testing.T) {
	t.Parallel()
	tree := ordered.New(byKey)
	if got := collect(tree, 0, 9, false); got != nil {
		t.Errorf("an empty tree has %v", got)
	}
	if got := collect(tree, 0, 9, true); got != nil {
		t.Errorf("an empty tree has %v", got)
	}
	for i := range 3 {
		tree.Insert(item{key: i})
	}
	for _, test := range []struct {
		name         string
		rank         int
		isDescending bool
		want         []int
	}{
		{"up from before the first", -5, false, []int{0, 1, 2}},
		{"up from behind the last", 3, false, nil},
		{"down from behind the last", 7, true, []int{2, 1, 0}},
		{"down from before the first", -1, true, nil},
	} {
		var got []int
		for _, it := range collect(tree, test.rank, 9, test.isDescending) {
			got = append(got, it.key)
		}
		if diff := gocmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("At out of range does not panic")
		}
	}()
	tree.At(3)
}
