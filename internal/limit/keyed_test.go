package limit_test

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/internal/limit"
)

func TestNoneAdmitsNothing(t *testing.T) {
	t.Parallel()
	var w limit.Window
	var q limit.Quota
	var k limit.Keyed[string]
	if w.Allow(at(0), limit.None, time.Second) || w.Left(at(0), limit.None, time.Second) != 0 || q.Acquire(limit.None) || k.Acquire("a", limit.None) {
		t.Error("None was taken for unlimited")
	}
	for given, want := range map[int64]int{0: limit.None, -1: 0, 7: 7} {
		if got := limit.Literal(given); got != want {
			t.Errorf("Literal(%d) = %d, want %d", given, got, want)
		}
	}
}

func TestWindowSpendsAmounts(t *testing.T) {
	t.Parallel()
	var w limit.Window
	const max = int64(100) << 32
	for i, step := range []struct {
		n    int64
		want bool
	}{{max - 1, true}, {2, false}, {1, true}, {1, false}, {0, true}} {
		if got := w.Spend(at(0), step.n, max, time.Minute); got != step.want {
			t.Errorf("step %d: Spend(%d) = %v, want %v", i, step.n, got, step.want)
		}
	}
	if !w.Spend(at(60_000), max, max, time.Minute) {
		t.Error("the next minute has no budget")
	}
}

// H48 exactly 5 of 50 parallel handshakes from one address succeed.
func TestKeyedIsExactUnderParallelAcquires(t *testing.T) {
	t.Parallel()
	var q limit.Keyed[string]
	var granted atomic.Int64
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if q.Acquire("192.0.2.1", 5) {
				granted.Add(1)
			}
		})
	}
	wg.Wait()
	if got := granted.Load(); got != 5 {
		t.Errorf("%d of 50 succeed, want 5", got)
	}
	for range 5 {
		q.Release("192.0.2.1")
	}
	if q.Len() != 0 || q.Used("192.0.2.1") != 0 {
		t.Errorf("%d keys are left after everything was released", q.Len())
	}
}

func TestKeyedAgainstAModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var q limit.Keyed[int]
		model := map[int]int{}
		for i := range rapid.IntRange(1, 100).Draw(t, "steps") {
			key := rapid.IntRange(0, 3).Draw(t, "key")
			if model[key] > 0 && rapid.Bool().Draw(t, "release") {
				q.Release(key)
				if model[key]--; model[key] == 0 {
					delete(model, key)
				}
			} else {
				max := rapid.IntRange(0, 4).Draw(t, "max")
				want := max == 0 || model[key] < max
				if got := q.Acquire(key, max); got != want {
					t.Fatalf("step %d: Acquire(%d, %d) = %v with %d in use", i, key, max, got, model[key])
				}
				if want {
					model[key]++
				}
			}
			if q.Used(key) != model[key] || q.Len() != len(model) {
				t.Fatalf("step %d: %d of key %d and %d keys, want %d and %d", i, q.Used(key), key, q.Len(), model[key], len(model))
			}
		}
	})
}

func TestKeyedReleaseWithoutAcquirePanics(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("a release too many went unnoticed")
		}
	}()
	var q limit.Keyed[string]
	q.Release("a")
}

func TestSlidingsKeepKeysApartAndForget(t *testing.T) {
	t.Parallel()
	w := limit.NewSlidings[int](4)
	one := limit.Rate{Max: 1, Per: time.Second}
	for key := range 2 {
		if _, ok := w.Allow(key, at(key), one); !ok {
			t.Fatalf("key %d has not its own window", key)
		}
	}
	if wait, ok := w.Allow(0, at(500), one); ok || wait != 500*time.Millisecond {
		t.Errorf("key 0 again: %v after %v, want a wait of 500ms", ok, wait)
	}
	for key := 2; key < 100; key++ {
		w.Allow(key, at(500+key/10), one)
		if n := w.Len(); n > 4 {
			t.Fatalf("%d keys are remembered", n)
		}
	}
	if used := w.Used(98, at(600), one); used != 1 || w.Used(0, at(600), one) != 0 {
		t.Errorf("the key before the last has %d events, want 1; the first %d, want 0", used, w.Used(0, at(600), one))
	}
	w.Allow(4, at(10_000), one)
	w.Allow(5, at(20_000), one)
	if got := w.Len(); got != 2 {
		t.Errorf("%d keys are remembered when all but one are idle", got)
	}
	if _, ok := w.Allow(9, at(0), limit.Rate{}); !ok || w.Len() != 2 {
		t.Error("a key without a limit is remembered")
	}
}

func TestSlidingsNeverForgetWhatFits(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rate := limit.Rate{Max: 2, Burst: 1, Per: 100 * time.Millisecond}
		w := limit.NewSlidings[int](16)
		single := make([]limit.Sliding, 8)
		now := 0
		for i := range rapid.IntRange(1, 200).Draw(t, "steps") {
			key := rapid.IntRange(0, 7).Draw(t, "key")
			now += rapid.IntRange(0, 30).Draw(t, "gap")
			wantWait, want := single[key].Allow(at(now), rate)
			if wait, ok := w.Allow(key, at(now), rate); ok != want || wait != wantWait {
				t.Fatalf("step %d: key %d got %v after %v, alone %v after %v", i, key, ok, wait, want, wantWait)
			}
		}
	})
}

func TestReservation(t *testing.T) {
	t.Parallel()
	minute := limit.Rate{Max: 2, Per: time.Minute}
	type world struct {
		handshakes       *limit.Slidings[string]
		perIP, bySubject limit.Keyed[string]
	}
	admit := func(w *world, ip, subject string) *limit.Reservation[string] {
		r := new(limit.Reservation[string])
		r.Pass("handshakes_per_ip", w.handshakes, ip, at(0), minute)
		r.Hold("connections_per_ip", &w.perIP, ip, 0)
		r.Hold("connections_per_subject", &w.bySubject, subject, 1)
		return r
	}

	w := &world{handshakes: limit.NewSlidings[string](0)}
	first := admit(w, "a", "u")
	if first.Refusal() != nil {
		t.Fatalf("the first is refused: %+v", first.Refusal())
	}
	second := admit(w, "a", "u")
	if diff := cmp.Diff(&limit.Refusal{Name: "connections_per_subject", Max: 1, Used: 1}, second.Refusal()); diff != "" {
		t.Errorf("second of u (-want +got):\n%s", diff)
	}
	if got := w.perIP.Used("a"); got != 1 {
		t.Errorf("%d connections of the address, want 1: a refusal gives back what came before it", got)
	}
	third := admit(w, "a", "v")
	if diff := cmp.Diff(&limit.Refusal{Name: "handshakes_per_ip", Max: 2, Used: 2, Wait: time.Minute}, third.Refusal()); diff != "" {
		t.Errorf("third of the address (-want +got):\n%s", diff)
	}
	if got := w.bySubject.Used("v"); got != 0 {
		t.Errorf("%d connections of v, want 0: nothing is taken after a refusal", got)
	}
	second.Release() // holds nothing
	first.Release()
	first.Release()
	if w.perIP.Len()+w.bySubject.Len() != 0 {
		t.Error("something is held after everything was released")
	}
}

// H48 with all steps: parallel reservations never overshoot and leave nothing behind.
func TestReservationsRunInParallel(t *testing.T) {
	t.Parallel()
	var perIP, bySubject limit.Keyed[string]
	var open atomic.Int64
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for j := range 200 {
				var r limit.Reservation[string]
				r.Hold("ip", &perIP, "a", 5)
				r.Hold("subject", &bySubject, strconv.Itoa((i+j)%3), 2)
				if r.Refusal() != nil {
					continue
				}
				if n := open.Add(1); n > 5 {
					t.Errorf("%d connections of one address, maximum 5", n)
				}
				open.Add(-1)
				r.Release()
			}
		})
	}
	wg.Wait()
	if perIP.Len()+bySubject.Len() != 0 {
		t.Error("something is held after everything was released")
	}
}
