package limit_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/limit"
)

func TestBudget(t *testing.T) {
	t.Parallel()
	b := limit.NewBudget(100)
	for _, step := range []struct {
		name             string
		release, acquire int64
		want             bool
		used             int64
	}{
		{"what fits", 0, 60, true, 60},
		{"what fills it", 0, 40, true, 100},
		{"one byte more", 0, 1, false, 100},
		{"after a release", 40, 10, true, 70},
		{"more than there is room for", 0, 31, false, 70},
		{"more than the whole, beside others", 0, 1000, false, 70},
		{"more than the whole, alone", 70, 1000, true, 1000},
		{"anything beside that", 0, 1, false, 1000},
		{"after that", 1000, 100, true, 100},
	} {
		b.Release(step.release)
		if got := b.TryAcquire(step.acquire); got != step.want {
			t.Errorf("%s: got %v, want %v", step.name, got, step.want)
		}
		if got := b.Used(); got != step.used {
			t.Errorf("%s: %d bytes used, want %d", step.name, got, step.used)
		}
	}
}

func TestNoBudgetBoundsNothing(t *testing.T) {
	t.Parallel()
	var b *limit.Budget
	if !b.TryAcquire(1<<40) || !b.Acquire(t.Context(), 1<<40) || b.Used() != 0 {
		t.Error("a nil budget refuses or counts")
	}
	b.Release(1 << 40)
}

// A large demand is served before the small ones that came after it, though these would fit.
func TestBudgetServesInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := limit.NewBudget(100)
		b.TryAcquire(80)
		order := make(chan string, 2)
		acquire := func(name string, n int64) {
			if b.Acquire(t.Context(), n) {
				order <- name
				b.Release(n)
			}
		}
		var wg sync.WaitGroup
		wg.Go(func() { acquire("large", 100) })
		synctest.Wait()
		wg.Go(func() { acquire("small", 10) })
		synctest.Wait()
		if b.TryAcquire(10) {
			t.Error("a demand passed those that wait")
		}
		b.Release(80)
		wg.Wait()
		if first, second := <-order, <-order; first != "large" || second != "small" || b.Used() != 0 {
			t.Errorf("%s before %s, %d bytes used", first, second, b.Used())
		}
	})
}

func TestBudgetWaitsNoLongerThanItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := limit.NewBudget(100)
		b.TryAcquire(60)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			if b.Acquire(ctx, 50) {
				t.Error("acquired what there is no room for")
			}
		})
		synctest.Wait()
		start, behind := time.Now(), make(chan time.Duration, 1)
		wg.Go(func() {
			if b.Acquire(t.Context(), 40) {
				behind <- time.Since(start)
			}
		})
		wg.Wait()
		if waited := <-behind; waited != time.Second {
			t.Errorf("what was behind it waited %v, want until it gave up", waited)
		}
		if b.Release(100); !b.TryAcquire(100) {
			t.Error("who gave up holds something")
		}
	})
}

// Under random demands no more than the budget is held, and in the end nothing.
func TestBudgetHoldsUnderLoad(t *testing.T) {
	t.Parallel()
	const most = 1000
	b := limit.NewBudget(most)
	var held, refused atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 500 {
				n := rand.Int64N(most) + 1
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.IntN(100))*time.Microsecond)
				if b.Acquire(ctx, n) {
					if now := held.Add(n); now > most {
						t.Errorf("%d bytes held", now)
					}
					held.Add(-n)
					b.Release(n)
				} else {
					refused.Add(1)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if b.Used() != 0 || !b.TryAcquire(most) {
		t.Errorf("%d bytes left, %d refused", b.Used(), refused.Load())
	}
}

func BenchmarkBudget(b *testing.B) {
	b.ReportAllocs()
	budget := limit.NewBudget(1 << 20)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if !budget.TryAcquire(512) {
				b.Fatal("refused")
			}
			budget.Release(512)
		}
	})
}
