package ordered_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/millrace/millrace/internal/ordered"
)

// row is as large as an entry of a sorted view.
type row struct {
	prefix uint64
	rest   string
	_      *int
}

func byPrefix(a, b row) int {
	if c := cmp.Compare(a.prefix, b.prefix); c != 0 {
		return c
	}
	return cmp.Compare(a.rest, b.rest)
}

func scattered(n int) (*ordered.Tree[row], []uint64) {
	r := rand.New(rand.NewPCG(1, 2))
	tree, keys := ordered.New(byPrefix), make([]uint64, n)
	for i := range keys {
		keys[i] = r.Uint64()
		tree.Insert(row{prefix: keys[i]})
	}
	return tree, keys
}

func BenchmarkTree(b *testing.B) {
	for _, n := range []int{1_000, 100_000, 1_000_000} {
		tree, keys := scattered(n)
		r := rand.New(rand.NewPCG(3, 4))
		b.Run(fmt.Sprintf("items=%d/op=move", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				i := r.IntN(n)
				tree.Delete(row{prefix: keys[i]})
				keys[i] = r.Uint64()
				tree.Insert(row{prefix: keys[i]})
			}
		})
		b.Run(fmt.Sprintf("items=%d/op=rank", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				tree.Rank(row{prefix: keys[r.IntN(n)]})
			}
		})
		b.Run(fmt.Sprintf("items=%d/op=at", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				tree.At(r.IntN(n))
			}
		})
		runtime.KeepAlive(tree)
	}
}

// BenchmarkRenumber is the life of change numbers: one from anywhere goes, the next comes.
func BenchmarkRenumber(b *testing.B) {
	type entry struct {
		number uint64
		_      *int
	}
	for _, n := range []int{1_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("items=%d", n), func(b *testing.B) {
			tree := ordered.New(func(a, b entry) int { return cmp.Compare(a.number, b.number) })
			numbers, next := make([]uint64, n), uint64(0)
			for i := range numbers {
				next++
				numbers[i] = next
				tree.Insert(entry{number: next})
			}
			r := rand.New(rand.NewPCG(3, 4))
			b.ReportAllocs()
			for b.Loop() {
				i := r.IntN(n)
				tree.Delete(entry{number: numbers[i]})
				next++
				numbers[i] = next
				tree.Insert(entry{number: next})
			}
			b.ReportMetric(float64(tree.Places())/float64(tree.Len()), "places/item")
		})
	}
}

// BenchmarkMemory reports bytes per item of 32 bytes, inserted at random.
func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		perItem := memory(1_000_000)
		b.ReportMetric(perItem, "B/item")
	}
}

func memory(n int) float64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	r := rand.New(rand.NewPCG(1, 2))
	tree := ordered.New(byPrefix)
	for range n {
		tree.Insert(row{prefix: r.Uint64()})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(tree)
	return float64(after.HeapAlloc-before.HeapAlloc) / float64(n)
}

// TestMemory does not run beside others: it reads the size of the heap.
func TestMemory(t *testing.T) {
	if got := memory(1_000_000); got > 48 {
		t.Errorf("an item of 32 bytes costs %.1f bytes, want at most 48", got)
	}
}

func TestRoomStaysInUseWhateverOrder(t *testing.T) {
	t.Parallel()
	const n = 20_000
	tests := []struct {
		name string
		next func(round int, r *rand.Rand) int
	}{
		{"the middle goes, the end comes", func(round int, _ *rand.Rand) int { return n + round }},
		{"the middle goes, the front comes", func(round int, _ *rand.Rand) int { return -round - 1 }},
		{"anything goes, anything comes", func(_ int, r *rand.Rand) int { return r.Int() }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			tree, r := ordered.New(cmp.Compare[int]), rand.New(rand.NewPCG(5, 6))
			for i := range n {
				tree.Insert(i)
			}
			for round := range 10 * n {
				tree.Delete(tree.At(r.IntN(tree.Len())))
				tree.Insert(test.next(round, r))
				if round%n == n-1 {
					if got := float64(tree.Places()) / float64(tree.Len()); got > 1.5 {
						t.Errorf("after %d rounds %.2f places per item, want at most 1.5", round, got)
					}
				}
			}
			for tree.Len() > 1000 {
				tree.Delete(tree.At(r.IntN(tree.Len())))
			}
			if got := float64(tree.Places()) / 1000; got > 1.8 {
				t.Errorf("after most have gone %.2f places per item, want at most 1.8", got)
			}
			tree.CheckInvariants(t)
		})
	}
}

func TestSteadyStateAllocs(t *testing.T) {
	tree, keys := scattered(100_000)
	r := rand.New(rand.NewPCG(3, 4))
	sum := 0
	allocs := testing.AllocsPerRun(10_000, func() {
		i := r.IntN(len(keys))
		tree.Delete(row{prefix: keys[i]})
		keys[i] = r.Uint64()
		sum += tree.Insert(row{prefix: keys[i]})
		rank, _ := tree.Rank(row{prefix: keys[i]})
		tree.Ascend(rank, func(it row) bool {
			sum += int(it.prefix & 1)
			return sum < 0
		})
		if tree.At(rank).prefix != keys[i] {
			t.Error("the rank is another's")
		}
	})
	if allocs >= 1 { // AllocsPerRun rounds down: splits are seldom
		t.Errorf("%v allocations per move, want 0 but for splits", allocs)
	}
}
