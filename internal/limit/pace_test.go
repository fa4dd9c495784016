package limit_test

import (
	"testing"
	"time"

	"github.com/millrace/millrace/internal/limit"
)

func TestPace(t *testing.T) {
	t.Parallel()
	var p limit.Pace
	now := time.Unix(1_893_450_000, 0)
	expect := func(what string, want time.Duration) {
		t.Helper()
		if got := p.Wait(now); got != want {
			t.Errorf("%s: wait %v, want %v", what, got, want)
		}
	}
	expect("nothing was spent", 0)
	p.Spend(now, limit.Takes(100, 100))
	expect("a second's worth at once", 0)
	p.Spend(now, limit.Takes(50, 100))
	expect("half a second's worth more", 500*time.Millisecond)
	now = now.Add(500 * time.Millisecond)
	expect("it was waited for", 0)
	p.Spend(now, limit.Takes(10, 100))
	expect("the rate goes on", 100*time.Millisecond)
	now = now.Add(time.Hour)
	p.Spend(now, limit.Takes(100, 100))
	expect("a pause gives a second's worth, not more", 0)
	p.Spend(now, limit.Takes(1, 100))
	expect("one more", 10*time.Millisecond)
	p.Spend(now, limit.Takes(1_000_000, 0))
	expect("what is unlimited costs nothing", 10*time.Millisecond)
	now = now.Add(-24 * time.Hour)
	expect("the clock is set back", 0)
}
