package limit_test

import (
	"testing"
	"time"

	"github.com/millrace/millrace/internal/limit"
)

// busy is a rate at which the log is full all the time: 1,100 events in a minute.
func busy() limit.Rate { return limit.Rate{Max: 1000, Burst: 100, Per: time.Minute} }

func BenchmarkWindowSpend(b *testing.B) {
	b.ReportAllocs()
	var w limit.Window
	now := at(0)
	for b.Loop() {
		now = now.Add(time.Millisecond)
		w.Spend(now, 700, 1<<20, time.Minute)
	}
}

func BenchmarkSlidingAllow(b *testing.B) {
	b.ReportAllocs()
	var w limit.Sliding
	now := at(0)
	for b.Loop() {
		now = now.Add(50 * time.Millisecond)
		w.Allow(now, busy())
	}
}

func BenchmarkSlidingsAllow(b *testing.B) {
	b.ReportAllocs()
	w := limit.NewSlidings[int](0)
	now, key := at(0), 0
	for b.Loop() {
		now, key = now.Add(time.Microsecond), (key+1)%1000
		w.Allow(key, now, busy())
	}
}

func BenchmarkWindowsAllow(b *testing.B) {
	b.ReportAllocs()
	w := limit.NewWindows[int](0)
	now, key := at(0), 0
	for b.Loop() {
		now, key = now.Add(time.Microsecond), (key+1)%1000
		w.Allow(key, now, busy())
	}
}

func BenchmarkKeyed(b *testing.B) {
	b.ReportAllocs()
	var q limit.Keyed[string]
	q.Acquire("b", 0)
	for b.Loop() {
		if q.Acquire("a", 5) {
			q.Release("a")
		}
	}
}

func TestHotPathsDoNotAllocate(t *testing.T) { // not parallel: AllocsPerRun counts everybody
	var w limit.Window
	var s limit.Sliding
	var q limit.Keyed[string]
	slidings, windows := limit.NewSlidings[string](0), limit.NewWindows[string](0)
	now := at(0)
	rate := limit.Rate{Max: 10, Per: time.Second}
	tests := map[string]func(){
		"Window.Spend":   func() { w.Spend(now, 700, 1000, time.Second) },
		"Sliding.Allow":  func() { s.Allow(now, rate) },
		"Slidings.Allow": func() { slidings.Allow("a", now, rate) },
		"Windows.Allow":  func() { windows.Allow("a", now, rate) },
		"Keyed": func() {
			if q.Acquire("a", 5) {
				q.Release("a")
			}
		},
	}
	for name, call := range tests {
		step := func() { now = now.Add(50 * time.Millisecond); call() }
		for range 100 {
			step()
		}
		if got := testing.AllocsPerRun(1000, step); got != 0 {
			t.Errorf("%s allocates %v times", name, got)
		}
	}
}
