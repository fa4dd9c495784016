package limit_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/internal/limit"
)

func TestWindows(t *testing.T) {
	t.Parallel()
	type event struct {
		ms   int
		key  string
		want limit.Count
		ok   bool
	}
	left := func(n, reset int) limit.Count {
		return limit.Count{Max: 2, Left: n, Reset: time.Duration(reset) * time.Millisecond}
	}
	tests := []struct {
		name   string
		rate   limit.Rate
		events []event
	}{
		{"the window starts with the first event and says how long it lasts", limit.Rate{Max: 2, Per: time.Second}, []event{
			{0, "a", left(1, 1000), true}, {400, "a", left(0, 600), true}, {999, "a", left(0, 1), false}, {1000, "a", left(1, 1000), true},
		}},
		{"each key has a window of its own", limit.Rate{Max: 2, Per: time.Second}, []event{
			{0, "a", left(1, 1000), true},
			{1, "b", left(1, 1000), true},
			{2, "a", left(0, 998), true},
			{3, "a", left(0, 997), false},
			{4, "b", left(0, 997), true},
		}},
		{"a burst is on top", limit.Rate{Max: 1, Burst: 1, Per: time.Second}, []event{
			{0, "a", left(1, 1000), true}, {0, "a", left(0, 1000), true}, {0, "a", left(0, 1000), false},
		}},
		{"none admits nothing", limit.Rate{Max: limit.None, Per: time.Second}, []event{
			{0, "a", limit.Count{Reset: time.Second}, false},
		}},
		{"a clock set back opens a window", limit.Rate{Max: 2, Per: time.Second}, []event{
			{5000, "a", left(1, 1000), true}, {5000, "a", left(0, 1000), true}, {0, "a", left(1, 1000), true},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := limit.NewWindows[string](0)
			for i, e := range tt.events {
				got, ok := w.Allow(e.key, at(e.ms), tt.rate)
				if diff := cmp.Diff(e.want, got); diff != "" || ok != e.ok {
					t.Errorf("event %d: got %v (-want +got):\n%s", i, ok, diff)
				}
			}
		})
	}
}

func TestWindowsWithoutAMaximumAdmitEverything(t *testing.T) {
	t.Parallel()
	w := limit.NewWindows[string](0)
	if count, ok := w.Allow("a", at(0), limit.Rate{Per: time.Second}); !ok || count != (limit.Count{}) || w.Len() != 0 {
		t.Errorf("got %v and %v, with %d keys", count, ok, w.Len())
	}
}

// Keys may have different budgets, and spend amounts.
func TestWindowsSpendAmounts(t *testing.T) {
	t.Parallel()
	w := limit.NewWindows[string](4)
	spend := func(key string, ms int, n int64, most int, want bool) limit.Count {
		t.Helper()
		count, ok := w.Spend(key, at(ms), n, limit.Rate{Max: most, Per: time.Minute})
		if ok != want {
			t.Errorf("%d of %d for %s: %v", n, most, key, ok)
		}
		return count
	}
	spend("a", 0, 6, 10, true)
	if c := spend("a", 20_000, 5, 10, false); c.Reset != 40*time.Second || c.Left != 4 {
		t.Errorf("got %+v, want the rest of the minute", c)
	}
	spend("a", 20_000, 4, 10, true)
	spend("b", 20_000, 10, 10, true)
	if c := spend("c", 20_000, 11, 10, false); c.Reset != time.Minute {
		t.Errorf("got %+v for more than any window allows", c)
	}
	spend("d", 20_000, 1, 0, true)           // unlimited
	spend("d", 20_000, 1, limit.None, false) // nothing
	spend("a", 60_000, 1, 10, true)          // a is over, b is not
	spend("b", 60_000, 1, 10, false)
}

func TestWindowsRememberABoundedNumberOfKeys(t *testing.T) {
	t.Parallel()
	w, rate := limit.NewWindows[int](100), limit.Rate{Max: 1, Per: time.Minute}
	for key := range 10_000 {
		w.Allow(key, at(key), rate)
		if _, ok := w.Allow(key, at(key), rate); ok {
			t.Fatalf("key %d is admitted twice", key)
		}
		if n := w.Len(); n > 101 {
			t.Fatalf("%d keys are remembered", n)
		}
	}
	for key := 9_960; key < 10_000; key++ { // at least half of the bound is never forgotten
		if _, ok := w.Allow(key, at(10_000), rate); ok {
			t.Errorf("key %d was forgotten", key)
		}
	}
}

// While there is room for all keys, they are limited as if each had a Window.
func TestWindowsAreAWindowForEachKey(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rate := limit.Rate{Max: rapid.IntRange(1, 4).Draw(t, "max"), Per: 100 * time.Millisecond}
		w, model := limit.NewWindows[int](16), [8]limit.Window{}
		now := 0
		for range rapid.IntRange(0, 200).Draw(t, "events") {
			now += rapid.IntRange(0, 60).Draw(t, "pause")
			key := rapid.IntRange(0, 7).Draw(t, "key")
			want := model[key].Allow(at(now), rate.Max, rate.Per)
			if _, got := w.Allow(key, at(now), rate); got != want {
				t.Fatalf("key %d at %d ms: got %v, want %v", key, now, got, want)
			}
		}
	})
}

func TestAddressGroupsSites(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "192.0.2.2", false},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"2001:db8:1:2:3::1", "2001:db8:1:2:ffff::9", true},
		{"2001:db8:1:2::1", "2001:db8:1:3::1", false},
		{"fe80::1%eth0", "fe80::2", true},
		{"@", "", true},
		{"@", "192.0.2.1", false},
	} {
		if same := limit.Address(tt.a) == limit.Address(tt.b); same != tt.same {
			t.Errorf("%s and %s: one key is %v, want %v", tt.a, tt.b, same, tt.same)
		}
	}
}
