package limit_test

import (
	"slices"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/millrace/millrace/internal/limit"
)

func TestSliding(t *testing.T) {
	t.Parallel()
	type event struct {
		ms   int
		want time.Duration // to wait; zero: allowed
	}
	const s = time.Second
	tests := []struct {
		name   string
		rate   limit.Rate
		events []event
	}{
		{
			"H47 two in 60 s without burst, the third waits for the first to leave",
			limit.Rate{Max: 2, Per: time.Minute},
			[]event{{0, 0}, {500, 0}, {1000, 59 * s}, {59_999, time.Millisecond}, {60_000, 0}, {60_001, 499 * time.Millisecond}},
		},
		{"the burst comes on top of the maximum", limit.Rate{Max: 1, Burst: 2, Per: s}, []event{{0, 0}, {0, 0}, {0, 0}, {0, s}}},
		{"a refused event uses nothing up", limit.Rate{Max: 1, Per: s}, []event{{0, 0}, {999, time.Millisecond}, {1000, 0}}},
		{"zero is unlimited, whatever the burst", limit.Rate{Burst: 1, Per: s}, []event{{0, 0}, {0, 0}, {0, 0}}},
		{"less than zero is unlimited", limit.Rate{Max: -1, Per: s}, []event{{0, 0}, {0, 0}}},
		{"None admits nothing, not even the burst", limit.Rate{Max: limit.None, Burst: 5, Per: s}, []event{{0, s}}},
		{"the end of one window is no fresh start", limit.Rate{Max: 2, Per: s}, []event{{0, 0}, {900, 0}, {1000, 0}, {1001, 899 * time.Millisecond}, {1900, 0}}},
		{"a clock set back empties the window", limit.Rate{Max: 1, Per: s}, []event{{5000, 0}, {0, 0}, {999, time.Millisecond}}},
		{"seven days are the longest stretch", limit.Rate{Max: 1, Per: 24 * 365 * time.Hour}, []event{{0, 0}, {7 * 24 * 3600 * 1000, 0}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var w limit.Sliding
			for i, e := range tt.events {
				if wait, ok := w.Allow(at(e.ms), tt.rate); ok != (e.want == 0) || !ok && wait != e.want {
					t.Fatalf("event %d at %d ms: got %v after %v, want a wait of %v", i, e.ms, ok, wait, e.want)
				}
			}
		})
	}
}

func TestSlidingFollowsALoweredMaximum(t *testing.T) {
	t.Parallel()
	var w limit.Sliding
	for ms := range 5 {
		w.Allow(at(ms*10), limit.Rate{Max: 5, Per: time.Second})
	}
	lowered := limit.Rate{Max: 3, Per: time.Second}
	if wait, ok := w.Allow(at(100), lowered); ok || wait != 920*time.Millisecond {
		t.Errorf("got %v after %v, want a wait of 920ms for the third to leave", ok, wait)
	}
	if wait, ok := w.Allow(at(1020), lowered); !ok {
		t.Errorf("refused for %v when two are left of three", wait)
	}
}

func TestSlidingPauseOf49DaysDoesNotMakeOldEventsYoung(t *testing.T) {
	t.Parallel()
	var w limit.Sliding
	rate := limit.Rate{Max: 1, Per: time.Second}
	w.Allow(at(0), rate)
	if wait, ok := w.Allow(at(1).Add(time.Millisecond<<32), rate); !ok {
		t.Errorf("refused for %v", wait)
	}
}

// Times are kept in milliseconds, but rounding must not let an event in early.
func TestSlidingWithinAMillisecond(t *testing.T) {
	t.Parallel()
	var w limit.Sliding
	rate := limit.Rate{Max: 1, Per: time.Second}
	w.Allow(at(0).Add(900*time.Microsecond), rate)
	if wait, ok := w.Allow(at(1000).Add(100*time.Microsecond), rate); ok || wait != 900*time.Microsecond {
		t.Errorf("after 999.2ms: got %v after %v, want a wait of 900µs", ok, wait)
	}
	if wait, ok := w.Allow(at(1001), rate); !ok {
		t.Errorf("after that: refused for %v", wait)
	}
}

func TestSlidingIsSmall(t *testing.T) {
	t.Parallel()
	if got, word := unsafe.Sizeof(limit.Sliding{}), unsafe.Sizeof(uintptr(0)); got != word {
		t.Errorf("Sliding is %d bytes, want %d: every view connection has three", got, word)
	}
}

// Against a log of the instants themselves: no stretch of the length ever holds more than
// the bound, and an event is refused only if one more would, or would within a millisecond.
func TestSlidingIsExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rate := limit.Rate{
			Max:   rapid.IntRange(1, 9).Draw(t, "max"),
			Burst: rapid.IntRange(0, 4).Draw(t, "burst"),
			Per:   time.Second,
		}
		millis := rapid.SampledFrom([]int64{0, 1, 40, 90, 150, 199, 260, 400})
		gaps := rapid.SliceOfN(millis, 50, 200).Draw(t, "gaps")
		nanos := rapid.SliceOfN(rapid.Int64Range(0, int64(time.Millisecond)), len(gaps), len(gaps)).Draw(t, "nanos")
		var w limit.Sliding
		var allowed []time.Time
		now := at(0)
		for i, gap := range gaps {
			now = now.Add(time.Duration(gap)*time.Millisecond + time.Duration(nanos[i]))
			within := func(length time.Duration) int {
				n := 0
				for _, a := range allowed {
					if now.Sub(a) < length {
						n++
					}
				}
				return n
			}
			bound := rate.Max + rate.Burst
			wait, ok := w.Allow(now, rate)
			switch {
			case ok && within(rate.Per) >= bound:
				t.Fatalf("event %d allowed as number %d of %d", i, within(rate.Per)+1, bound)
			case !ok && within(rate.Per+2*time.Millisecond) < bound:
				t.Fatalf("event %d refused as number %d of %d", i, within(rate.Per)+1, bound)
			case !ok && (wait <= 0 || wait > rate.Per+2*time.Millisecond):
				t.Fatalf("event %d is to wait %v", i, wait)
			case !ok:
				if later := slices.Clone(allowed); !again(later, now.Add(wait), rate) {
					t.Fatalf("event %d is refused again after waiting %v as told", i, wait)
				}
			default:
				allowed = append(allowed, now)
			}
		}
	})
}

// again replays what was allowed and asks whether one more is at the given instant.
func again(allowed []time.Time, now time.Time, rate limit.Rate) bool {
	var w limit.Sliding
	for _, a := range allowed {
		w.Allow(a, rate)
	}
	_, ok := w.Allow(now, rate)
	return ok
}
