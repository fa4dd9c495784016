package owner_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/entity/owner"
)

// idle hears of changes and does nothing.
type idle struct{}

func (idle) Changed(*entity.Type, []entity.Change) {}

// body is a JSON object of about 200 bytes.
func body(i int) []byte {
	return fmt.Appendf(nil, `{"title":"A lamp of brass, number %07d","status":"open","seller":"user-%05d","bid":{"amount":%d,"by":"user-17"},"tags":["lamp","brass"],"ends":1893450000,"views":%d}`, i, i%5000, i, i%977)
}

func key(i int) string { return fmt.Sprintf("lot-%07d", i) }

// fill makes n entities of one type.
func fill(tb testing.TB, e *node, n int) {
	tb.Helper()
	b := &entity.Batch{App: "app"}
	for i := range n {
		b.Mutations = append(b.Mutations, entity.Mutation{Type: "Auction", Key: key(i), Op: entity.OpUpsert, Data: body(i)})
		if len(b.Mutations) == 1000 || i == n-1 {
			if _, err := e.Apply(tb.Context(), b); err != nil {
				tb.Fatal(err)
			}
			b.Mutations = b.Mutations[:0]
		}
	}
}

// BenchmarkApply counts one mutation as one operation: a patch of two fields in a batch of
// 100, from Apply to its return, in memory, with a receiver that does nothing.
func BenchmarkApply(b *testing.B) {
	for _, n := range []int{1_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("entities=%d", n), func(b *testing.B) {
			e := start(b, owner.Options{}, idle{})
			fill(b, e, n)
			r := rand.New(rand.NewPCG(1, 2))
			batches := make([]*entity.Batch, 256)
			for i := range batches {
				batches[i] = patches(r, n)
			}
			runtime.GC()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%100 != 0 {
					continue // the batch has them all
				}
				if _, err := e.Apply(context.Background(), batches[i/100%len(batches)]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDecide counts one mutation as one operation, as BenchmarkApply does: deciding, and what each node does that installs.
func BenchmarkDecide(b *testing.B) {
	const n = 100_000
	s := entity.NewState(nil)
	d := owner.NewDecider(s, owner.Options{})
	stored := int64(0)
	decide := func(batch *entity.Batch) []byte {
		decided := d.Decide(1, []*entity.Batch{batch}, 1)
		stored += int64(len(decided[0].Changes))
		return decided[0].Changes
	}
	install := func(to *entity.State, changes []byte) {
		all, err := entity.DecodeDecisions("app", changes)
		for i := range all {
			if err == nil {
				err = to.Install(&all[i], idle{})
			}
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	replica := entity.NewState(nil)
	for from := 0; from < n; from += 1000 {
		batch := &entity.Batch{App: "app"}
		for i := range 1000 {
			batch.Mutations = append(batch.Mutations, entity.Mutation{Type: "Auction", Key: key(from + i), Op: entity.OpUpsert, Data: body(from + i)})
		}
		changes := decide(batch)
		install(s, changes)
		install(replica, changes)
	}
	r := rand.New(rand.NewPCG(1, 2))
	batches := make([]*entity.Batch, 256)
	for i := range batches {
		batches[i] = patches(r, n)
	}
	runtime.GC()
	for _, nodes := range [][]*entity.State{{s, replica}, {s}} {
		b.Run(fmt.Sprintf("nodes=%d", len(nodes)), func(b *testing.B) {
			b.ReportAllocs()
			stored = 0
			for i := 0; b.Loop(); i++ {
				if i%100 != 0 {
					continue // the batch has them all
				}
				changes := decide(batches[i/100%len(batches)])
				for _, to := range nodes {
					install(to, changes)
				}
			}
			b.ReportMetric(float64(stored)/float64(b.N), "stored-B/op")
		})
	}
}

func patches(r *rand.Rand, n int) *entity.Batch {
	b := &entity.Batch{App: "app"}
	for range 100 {
		b.Mutations = append(b.Mutations, entity.Mutation{
			Type: "Auction", Key: key(r.IntN(n)),
			Data: fmt.Appendf(nil, `{"bid":{"amount":%d},"views":%d}`, r.IntN(100_000), r.IntN(1000)),
		})
	}
	return b
}

// BenchmarkMemory reports what an entity costs beyond its JSON, before and after each has
// been changed once in random order.
func BenchmarkMemory(b *testing.B) {
	const n = 1_000_000
	for b.Loop() {
		before := heap()
		e := start(b, owner.Options{}, idle{})
		fill(b, e, n)
		t := e.Find("app", "Auction")
		b.ReportMetric(overhead(t, heap()-before), "B/entity")
		r := rand.New(rand.NewPCG(1, 2))
		for range n / 100 {
			if _, err := e.Apply(b.Context(), patches(r, n)); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(overhead(t, heap()-before), "B/changed-entity")
		runtime.KeepAlive(e)
	}
}

func overhead(t *entity.Type, used uint64) float64 {
	t.RLock()
	defer t.RUnlock()
	data := 0
	for _, v := range t.AfterLocked(nil, 0, t.LenLocked()) {
		data += len(v.Data)
	}
	return (float64(used) - float64(data)) / float64(t.LenLocked())
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
