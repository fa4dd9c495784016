package limit_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/limit"
)

func TestSamplerLetsOneThroughPerSecond(t *testing.T) {
	t.Parallel()
	var s limit.Sampler
	start := time.Unix(1_700_000_000, 0)
	type result struct {
		Skipped int64
		OK      bool
	}
	var got []result
	for _, ms := range []time.Duration{0, 1, 999, 1000, 1001, 2500} {
		skipped, ok := s.Pass(start.Add(ms * time.Millisecond))
		got = append(got, result{skipped, ok})
	}
	want := []result{{0, true}, {0, false}, {0, false}, {2, true}, {0, false}, {1, true}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSamplerWithAnIntervalOfItsOwn(t *testing.T) {
	t.Parallel()
	s := limit.Sampler{Every: 10 * time.Second}
	start := time.Unix(1_700_000_000, 0)
	for second, want := range []bool{0: true, 1: false, 9: false, 10: true, 19: false} {
		if _, ok := s.Pass(start.Add(time.Duration(second) * time.Second)); ok != want {
			t.Errorf("at %d s: %v", second, ok)
		}
	}
}
