package limit_test

import (
	"testing"
	"time"

	"github.com/millrace/millrace/internal/limit"
)

func TestBudgets(t *testing.T) {
	t.Parallel()
	b, now := limit.NewBudgets[string](2), time.Unix(1_893_450_000, 0)
	spend := func(key string, n, most int64, want bool) time.Duration {
		t.Helper()
		wait, ok := b.Spend(key, now, n, most, time.Minute)
		if ok != want {
			t.Errorf("%d of %d for %s: %v", n, most, key, ok)
		}
		return wait
	}
	spend("a", 6, 10, true)
	now = now.Add(20 * time.Second)
	if wait := spend("a", 5, 10, false); wait != 40*time.Second {
		t.Errorf("wait %s, want the rest of the minute", wait)
	}
	spend("a", 4, 10, true)
	spend("b", 10, 10, true)
	if wait := spend("b", 11, 10, false); wait <= 0 {
		t.Error("no wait for what is more than the budget")
	}
	spend("c", 1, 0, true)           // unlimited
	spend("c", 1, limit.None, false) // nothing
	if b.Len() != 2 {
		t.Errorf("%d keys, want 2", b.Len())
	}
	now = now.Add(40 * time.Second) // a is over, b is not
	spend("c", 1, 10, true)
	spend("b", 1, 10, false)
	if b.Len() != 2 {
		t.Errorf("%d keys, want 2", b.Len())
	}
	spend("d", 1, 10, true)
	if b.Len() != 2 {
		t.Errorf("%d keys, want 2", b.Len())
	}
}
