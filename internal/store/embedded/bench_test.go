package embedded_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/entity/owner"
)

// BenchmarkCommit commits 500 records of about 250 bytes at random keys. It lasts long enough
// to pay for folding and checkpoints; max-ms is the longest commit.
func BenchmarkCommit(b *testing.B) {
	const perCommit = 500
	for _, n := range []int{1000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("entities=%d", n), func(b *testing.B) {
			s, _ := open(b, b.TempDir())
			random := rand.New(rand.NewPCG(1, 2))
			number := uint64(0)
			batch := make([]owner.Record, perCommit)
			commit := func(key func(i int) int) {
				for i := range batch {
					number++
					batch[i] = owner.Record{
						App: "app-id", Type: "Auction", Key: fmt.Sprintf("lot-%07d", key(i)),
						Number: number, Seq: entity.Seq{Slot: 1_900_000_000_000 + number/100, Index: number},
						Data: fmt.Appendf(nil, `{"number":%d,"fill":"%0*d"}`, number, 200+random.IntN(50), i),
					}
				}
				if err := s.CommitEntities(b.Context(), &owner.Commit{Records: batch, Now: now}); err != nil {
					b.Fatal(err)
				}
			}
			for i := 0; i < n; i += perCommit {
				commit(func(j int) int { return i + j })
			}
			var took []time.Duration
			b.ReportAllocs()
			for b.Loop() {
				start := time.Now()
				commit(func(int) int { return random.IntN(n) })
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(len(took))/perCommit, "ns/record")
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
			b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "max-ms")
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	s, _ := open(b, b.TempDir())
	const n = 50_000
	if err := s.CommitEntities(b.Context(), &owner.Commit{Records: numbered(1, n, 200), Now: now}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		got := 0
		err := s.LoadEntities(b.Context(), now, func(owner.Record) error { got++; return nil }, func(owner.Receipt) error { return nil })
		if err != nil || got != n {
			b.Fatal(got, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/record")
}
