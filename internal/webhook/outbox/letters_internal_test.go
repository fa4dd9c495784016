package outbox

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/webhook"
)

func TestOldestLettersGoFirst(t *testing.T) {
	t.Parallel()
	start := time.UnixMilli(1_900_000_000_000)
	o := Options{MaxDead: 3, MaxDeadBytes: 100, DeadTTL: 16 * time.Hour}.withDefaults()
	x := &index{o: &o, byApp: map[string]*letters{}, swept: start}
	for number, age := range map[uint64]time.Duration{1: 2 * time.Hour, 2: 3 * time.Hour, 3: time.Hour, 4: 0} {
		x.add(&webhook.Letter{Number: number, App: "app", Size: 30, Died: start.Add(-age)})
	}
	x.add(&webhook.Letter{Number: 5, App: "other", Size: 90, Died: start})
	x.add(&webhook.Letter{Number: 6, App: "other", Size: 20, Died: start})
	x.sort()
	if diff := cmp.Diff(map[uint64]bool{2: true, 5: true}, set(x.evict(start, nil))); diff != "" {
		t.Errorf("too many, too large (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[uint64]bool{1: true, 3: true}, set(x.evict(start.Add(15*time.Hour+time.Minute), nil))); diff != "" {
		t.Errorf("too old (-want +got):\n%s", diff)
	}
	if x.has("app", 1) || !x.has("app", 4) || x.has("other", 4) {
		t.Error("the index is wrong")
	}
}

func set(numbers []uint64) map[uint64]bool {
	all := map[uint64]bool{}
	for _, n := range numbers {
		all[n] = true
	}
	return all
}
