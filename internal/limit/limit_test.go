package limit_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/millrace/millrace/internal/limit"
)

func at(ms int) time.Time { return time.UnixMilli(1_700_000_000_000 + int64(ms)) }

func TestWindow(t *testing.T) {
	t.Parallel()
	type event struct {
		ms, n int
		want  bool
	}
	tests := []struct {
		name   string
		max    int
		events []event
	}{
		{"the maximum passes, one more does not", 2, []event{{0, 1, true}, {1, 1, true}, {2, 1, false}}},
		{"a window starts with its first event", 1, []event{{900, 1, true}, {1899, 1, false}, {1900, 1, true}, {2899, 1, false}}},
		{"the next window starts with an event, not with the end of the former", 1, []event{{0, 1, true}, {1500, 1, true}, {2100, 1, false}, {2500, 1, true}}},
		{"zero is unlimited", 0, []event{{0, 1, true}, {0, 1000000, true}}},
		{"a refused group uses nothing up", 5, []event{{0, 6, false}, {0, 5, true}, {0, 1, false}}},
		{"a group is all or nothing", 5, []event{{0, 3, true}, {0, 3, false}, {0, 2, true}}},
		{"a clock set back opens a window", 1, []event{{5000, 1, true}, {0, 1, true}, {999, 1, false}, {1000, 1, true}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var w limit.Window
			for i, e := range tt.events {
				if got := w.AllowN(at(e.ms), e.n, tt.max, time.Second); got != e.want {
					t.Fatalf("event %d (%d at %d ms): got %v, want %v", i, e.n, e.ms, got, e.want)
				}
			}
		})
	}
}

func TestWindowTellsWhatIsLeft(t *testing.T) {
	t.Parallel()
	var w limit.Window
	if got := w.Left(at(0), 3, time.Second); got != 3 {
		t.Errorf("before the first event: %d left, want 3", got)
	}
	w.Allow(at(0), 3, time.Second)
	if got := w.Left(at(400), 3, time.Second); got != 2 {
		t.Errorf("after one event: %d left, want 2", got)
	}
	if got := w.Until(at(400), time.Second); got != 600*time.Millisecond {
		t.Errorf("Until = %s, want 600ms", got)
	}
	if got := w.Until(at(1000), time.Second); got != 0 {
		t.Errorf("Until = %s after the end, want 0", got)
	}
}

func TestWindowIsSmall(t *testing.T) {
	t.Parallel()
	if got := unsafe.Sizeof(limit.Window{}); got > 16 {
		t.Errorf("Window is %d bytes, want at most 16: every connection has two", got)
	}
}

// However events fall, the maximum passes when it comes at once in a fresh window, and any
// stretch of one length sees less than twice the maximum.
func TestWindowBounds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		max := rapid.IntRange(1, 5).Draw(t, "max")
		gaps := rapid.SliceOfN(rapid.IntRange(0, 700), 1, 80).Draw(t, "gaps")
		var w limit.Window
		var allowed []int
		now, seen := 0, 0
		for _, gap := range gaps {
			now += gap
			seen++
			if w.Allow(at(now), max, time.Second) {
				allowed = append(allowed, now)
			} else if seen <= max {
				t.Fatalf("event %d refused with a maximum of %d", seen, max)
			}
		}
		for i := range allowed {
			n := 0
			for _, later := range allowed[i:] {
				if later < allowed[i]+1000 {
					n++
				}
			}
			if n >= 2*max {
				t.Fatalf("%d events within one length, maximum %d: %v", n, max, allowed)
			}
		}
	})
}

func TestQuotaNeverOvershoots(t *testing.T) {
	t.Parallel()
	const max, workers = 7, 16
	var q limit.Quota
	var inUse atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range 500 {
				if !q.Acquire(max) {
					continue
				}
				if n := inUse.Add(1); n > max {
					t.Errorf("%d in use, maximum %d", n, max)
				}
				inUse.Add(-1)
				q.Release()
			}
		})
	}
	wg.Wait()
	if got := q.Used(); got != 0 {
		t.Errorf("%d in use after everything was released", got)
	}
}

func TestQuota(t *testing.T) {
	t.Parallel()
	var q limit.Quota
	for range 2 {
		if !q.Acquire(2) {
			t.Fatal("the maximum was refused")
		}
	}
	if q.Acquire(2) {
		t.Fatal("one more than the maximum was granted")
	}
	if !q.Acquire(0) {
		t.Fatal("zero is not unlimited")
	}
	q.Release()
	q.Release()
	if !q.Acquire(2) {
		t.Fatal("a released unit cannot be had again")
	}
}
