package limit_test

import (
	"testing"
	"time"

	"github.com/millrace/millrace/internal/limit"
)

// TestLateEventsDoNotOpenWindows lets events come in another order than their clock was read in, as
// requests do that run in parallel.
func TestLateEventsDoNotOpenWindows(t *testing.T) {
	t.Parallel()
	rate := limit.Rate{Max: 2, Per: time.Second}
	var window limit.Window
	var sliding limit.Sliding
	windows, slidings := limit.NewWindows[string](0), limit.NewSlidings[string](0)
	for name, allow := range map[string]func(ms int) bool{
		"Window":   func(ms int) bool { return window.Allow(at(ms), rate.Max, rate.Per) },
		"Sliding":  func(ms int) bool { _, ok := sliding.Allow(at(ms), rate); return ok },
		"Windows":  func(ms int) bool { _, ok := windows.Allow("a", at(ms), rate); return ok },
		"Slidings": func(ms int) bool { _, ok := slidings.Allow("a", at(ms), rate); return ok },
	} {
		if !allow(5000) || !allow(4999) {
			t.Errorf("%s: an event within the maximum is refused", name)
		}
		for _, ms := range []int{4999, 5001, 4000, 5002, 3001, 5003} {
			if allow(ms) {
				t.Errorf("%s: a third event, at %d ms, is allowed", name, ms)
			}
		}
		if !allow(1000) {
			t.Errorf("%s: a clock that was set back by 4 s keeps the window shut", name)
		}
	}
}

func TestLateEventsDoNotMakeKeysForgotten(t *testing.T) {
	t.Parallel()
	rate := limit.Rate{Max: 1, Per: time.Second}
	w := limit.NewWindows[string](0)
	for _, e := range []struct {
		key string
		ms  int
	}{{"a", 0}, {"b", 1500}, {"c", 1499}, {"d", 1498}} {
		w.Allow(e.key, at(e.ms), rate)
	}
	if _, ok := w.Allow("b", at(1501), rate); ok {
		t.Error("the window of b is forgotten because c and d came late")
	}
}

func TestSlidingsRememberTheLongestWindow(t *testing.T) {
	t.Parallel()
	short, long := limit.Rate{Max: 2, Per: time.Second}, limit.Rate{Max: 2, Per: time.Minute}
	s := limit.NewSlidings[string](0)
	s.Allow("a", at(0), short)
	s.Allow("a", at(10), long)
	s.Allow("b", at(1500), short)
	s.Allow("c", at(3000), short)
	if n := s.Used("a", at(3100), long); n != 2 {
		t.Errorf("%d events in the window of a, want 2: it is as long as the longest rate of its key", n)
	}
}

func TestSamplerSpeaksAfterTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	var s limit.Sampler
	s.Pass(at(60_000))
	if _, ok := s.Pass(at(59_999)); ok {
		t.Error("a late event passes")
	}
	if _, ok := s.Pass(at(0)); !ok {
		t.Error("nothing passes after the clock was set back by a minute")
	}
}
