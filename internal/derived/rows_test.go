package derived_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace/millrace/internal/derived"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/query"
)

const sorted = `{"id":"top","source":"T/list","filter":{"field":"n","op":"gte","value":0},"sort":[{"field":"n","order":"desc"}]}`

func plan(tb testing.TB, text string) *query.Plan {
	tb.Helper()
	d, err := query.Parse([]byte(text))
	if err != nil {
		tb.Fatal(err)
	}
	p, err := query.Compile(d)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func rows(tb testing.TB, text string) *derived.Rows {
	tb.Helper()
	r := derived.New()
	r.SetPlan(plan(tb, text))
	r.Reset()
	return r
}

func version(key string, n int, number uint64) *entity.Version {
	return &entity.Version{Key: key, Number: number, Data: fmt.Appendf(nil, `{"n":%d,"_seq":"1:%012d"}`, n, number)}
}

// table is the entities of a type with their order by definition: a naive view.
type table struct {
	n        map[string]int
	versions map[string]*entity.Version
}

// between are the keys of the window, in order: by n descending, then by key.
func (t *table) between(low, high int) []string {
	var keys []string
	for key, n := range t.n {
		if n >= 0 {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b string) int {
		if t.n[a] != t.n[b] {
			return t.n[b] - t.n[a]
		}
		return strings.Compare(a, b)
	})
	return keys[min(low, len(keys)):min(high, len(keys))]
}

// TestRandomWindows checks that what a group of changes does to a window turns its rows before into
// its rows after, and mentions nothing else.
func TestRandomWindows(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		r, pool := rows(t, sorted), &derived.Pool{}
		all := &table{map[string]int{}, map[string]*entity.Version{}}
		windows := []*derived.Window{{Low: 0, High: 3}, {Low: 2, High: 4}, {Low: 1, High: derived.Absent}, {Low: 5, High: 5}}
		number := uint64(0)
		for range rapid.IntRange(1, 20).Draw(rt, "groups") {
			var shown []map[string]*entity.Version
			for _, w := range windows {
				shown = append(shown, all.shown(w))
			}
			for range rapid.IntRange(1, 6).Draw(rt, "changes") {
				number++
				key := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g", "h"}).Draw(rt, "key")
				c := entity.Change{Decision: &entity.Decision{Key: key, Number: number}, Old: all.versions[key]}
				if n := rapid.IntRange(-2, 4).Draw(rt, "n"); n > -2 {
					c.New = version(key, n, number)
					all.n[key], all.versions[key] = n, c.New
				} else {
					delete(all.n, key)
					delete(all.versions, key)
				}
				was, is := r.Filter(c.Old, c.New)
				if was == nil && is == nil {
					continue
				}
				from, to := r.Move(was, is)
				for _, w := range windows {
					w.Shift(r, pool, &c, was, is, from, to)
				}
			}
			for i, w := range windows {
				check(rt, all, r, w, shown[i])
				w.Done(pool)
			}
		}
	})
}

func (t *table) shown(w *derived.Window) map[string]*entity.Version {
	shown := map[string]*entity.Version{}
	for _, key := range t.between(w.Low, w.High) {
		shown[key] = t.versions[key]
	}
	return shown
}

func check(rt *rapid.T, all *table, r *derived.Rows, w *derived.Window, shown map[string]*entity.Version) {
	for _, c := range w.Changes() {
		if shown[c.Key] != c.Was {
			rt.Fatalf("window [%d,%d): %q was %v, want %v", w.Low, w.High, c.Key, c.Was, shown[c.Key])
		}
		if shown[c.Key] = c.Is; c.Is == nil {
			delete(shown, c.Key)
		}
	}
	var keys []string
	for _, v := range r.Between(w.Low, w.High) {
		keys = append(keys, v.Key)
		if shown[v.Key] != v {
			rt.Fatalf("window [%d,%d): the changes lead to %v for %q, want %v", w.Low, w.High, shown[v.Key], v.Key, v)
		}
	}
	if want := all.between(w.Low, w.High); !slices.Equal(keys, want) || len(shown) != len(want) || r.Count(w.Low, w.High) != len(want) {
		rt.Fatalf("window [%d,%d) has %v and the changes lead to %d rows, want %v", w.Low, w.High, keys, len(shown), want)
	}
}

func TestTotals(t *testing.T) {
	t.Parallel()
	r := rows(t, `{"id":"sum","source":"T/list","aggregate":{"s":{"op":"sum","field":"n"}}}`)
	a, b := version("a", 3, 1), version("b", 4, 2)
	r.Include(a)
	r.Include(b)
	for _, step := range []struct {
		before, after *entity.Version
		want          string
		isChanged     bool
	}{
		{nil, nil, `{"s":7}`, true},
		{nil, nil, `{"s":7}`, false},
		{a, version("a", 5, 3), `{"s":9}`, true},
		{b, nil, `{"s":5}`, true},
	} {
		if step.before != nil {
			r.Tally(step.before, step.after)
		}
		_, is, isChanged := r.SumUp(entity.Seq{})
		if string(is.Data) != step.want || isChanged != step.isChanged {
			t.Errorf("the row is %s, changed: %v; want %s, %v", is.Data, isChanged, step.want, step.isChanged)
		}
	}
	if v, rank := r.Find(entity.Vacant("app", "T"), derived.TotalKey); v == nil || rank != 0 || r.Len() != 1 {
		t.Errorf("the row is %v at %d of %d", v, rank, r.Len())
	}
	if low, high := r.Bounds(derived.Range{Skip: 7, Take: 0, IsOther: true}, 100); low != high {
		t.Errorf("another key shows the ranks [%d, %d)", low, high)
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	const limited = `{"id":"top","source":"T/list","sort":[{"field":"n"}],"limit":3}`
	const latest = `{"id":"latest","source":"T/list"}`
	tests := []struct {
		name, definition string
		skip, take       int
		low, high        int
	}{
		{"the default of a sorted view", sorted, 0, -1, 0, 100},
		{"a number", sorted, 2, 5, 2, 7},
		{"the limit", limited, 1, -1, 1, 4},
		{"no end", latest, 0, -1, 0, derived.Absent},
		{"no end behind others", latest, 3, -1, 3, derived.Absent},
		{"a number too large", sorted, 5, derived.Absent, 5, derived.Absent},
		{"below zero", sorted, -4, 2, 0, 2},
	}
	for _, tt := range tests {
		low, high := rows(t, tt.definition).Bounds(derived.Range{Skip: tt.skip, Take: tt.take}, 100)
		if low != tt.low || high != tt.high {
			t.Errorf("%s: [%d, %d), want [%d, %d)", tt.name, low, high, tt.low, tt.high)
		}
	}
	if low, high := derived.New().Bounds(derived.Range{Take: -1}, 100); low != 0 || high != 0 {
		t.Errorf("rows without a plan: [%d, %d), want none", low, high)
	}
}

// moves are entities of a view and changes of their order.
type moves struct {
	*derived.Rows
	versions []*entity.Version
	r        *rand.Rand
	number   uint64
}

func newMoves(tb testing.TB, n int) *moves {
	m := &moves{Rows: rows(tb, sorted), r: rand.New(rand.NewPCG(1, 2))}
	for i := range n {
		m.number++
		m.versions = append(m.versions, version(fmt.Sprintf("lot-%06d", i), m.r.IntN(1_000_000), m.number))
		m.Include(m.versions[i])
	}
	return m
}

func (m *moves) next() (was, is *entity.Version) {
	i := m.r.IntN(len(m.versions))
	m.number++
	was, is = m.versions[i], version(m.versions[i].Key, m.r.IntN(1_000_000), m.number)
	m.versions[i] = is
	return was, is
}

// TestMoveAllocs does not run beside others: it counts allocations.
func TestMoveAllocs(t *testing.T) {
	const runs = 1000
	m, pool, w := newMoves(t, 10_000), &derived.Pool{}, &derived.Window{High: 100}
	var list [][2]*entity.Version
	for range runs + 1 {
		was, is := m.next()
		list = append(list, [2]*entity.Version{was, is})
	}
	i := 0
	allocs := testing.AllocsPerRun(runs, func() {
		was, is := m.Filter(list[i][0], list[i][1])
		from, to := m.Move(was, is)
		w.Shift(m.Rows, pool, nil, was, is, from, to)
		w.Done(pool)
		i++
	})
	if allocs >= 1 { // nodes of the tree, now and then
		t.Errorf("%v allocations for a change, want none", allocs)
	}
}

// BenchmarkMove is the cost of one change that moves its entity, in a view with a window.
func BenchmarkMove(b *testing.B) {
	m, pool, w := newMoves(b, 100_000), &derived.Pool{}, &derived.Window{High: 100}
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		was, is := m.next()
		b.StartTimer()
		was, is = m.Filter(was, is)
		from, to := m.Move(was, is)
		w.Shift(m.Rows, pool, nil, was, is, from, to)
		w.Done(pool)
	}
}
