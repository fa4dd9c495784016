package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/millrace/millrace/internal/webhook"
	"github.com/millrace/millrace/internal/webhook/outbox"
)

// brokenDisk is a store that fails while it is told to.
type brokenDisk struct {
	webhook.Store
	isBroken atomic.Bool
}

func (d *brokenDisk) CommitWebhooks(ctx context.Context, c *webhook.Commit) error {
	if d.isBroken.Load() {
		return errors.New("disk full")
	}
	return d.Store.CommitWebhooks(ctx, c)
}

// While nothing can be stored nothing is sent; states are kept, the rest is bounded.
func TestDiskFails(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, r *receiver, o outbox.Options) {
		s := openStore(t, t.TempDir())
		t.Cleanup(func() { closeStore(t, s) })
		disk := &brokenDisk{Store: s}
		registry := prometheus.NewRegistry()
		o.Store, o.MaxIntake, o.Metrics = disk, 100_000, outbox.NewMetrics(registry)
		n := start(t, o, hook("hook"))
		for i := range 1000 {
			n.Occupied("app", fmt.Sprintf("old-%d", i))
		}
		after(time.Second)
		r.take()
		disk.isBroken.Store(true)
		for range 10 {
			for i := range 2000 {
				n.CacheMiss("app", "cache-x")
				n.Occupied("app", fmt.Sprintf("flap-%d", i))
				n.Occupied("app", fmt.Sprintf("new-%d", i))
			}
			for i := range 2000 {
				n.Vacated("app", fmt.Sprintf("flap-%d", i))
			}
			after(5 * time.Second)
		}
		for i := range 500 {
			n.Vacated("app", fmt.Sprintf("old-%d", i))
		}
		after(10 * time.Second)
		r.expect(t, "nothing is sent that is not stored")
		if n.IsStoring() {
			t.Error("the engine says that it can store")
		}
		disk.isBroken.Store(false)
		after(time.Minute)
		if !n.IsStoring() {
			t.Error("the engine says that it cannot store")
		}
		present, misses := map[string]bool{}, 0
		for _, req := range r.take() {
			for _, e := range req.events(t) {
				var name, channel string
				_, _ = fmt.Sscan(e, &name, &channel)
				switch name {
				case "cache_miss":
					misses++
				case "channel_occupied":
					if present[channel] {
						t.Errorf("%s twice", e)
					}
					present[channel] = true
				case "channel_vacated":
					if !present[channel] && channel[:3] != "old" {
						t.Errorf("%s without the other", e)
					}
					delete(present, channel)
					if channel[:3] == "old" {
						present["gone "+channel] = true
					}
				}
			}
		}
		if len(present) != 2500 { // 2000 new, 500 old that are gone
			t.Errorf("the picture has %d entries, want 2500", len(present))
		}
		dropped := value(t, registry, "millrace_webhook_dropped_events_total")
		if misses+dropped != 20_000 || dropped == 0 || misses == 0 {
			t.Errorf("got %d cache misses and %d dropped, want 20,000 together", misses, dropped)
		}
		if got := value(t, registry, "millrace_webhook_store_failures_total"); got < 10 {
			t.Errorf("got %d failures of the store", got)
		}
		if got := value(t, registry, "millrace_webhook_pending_events"); got != 0 {
			t.Errorf("got %d pending events", got)
		}
	})
}

// What is not stored is not sent, also when its endpoint is busy with what is.
func TestStoredBeforeSent(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, r *receiver, o outbox.Options) {
		s := openStore(t, t.TempDir())
		t.Cleanup(func() { closeStore(t, s) })
		disk := &brokenDisk{Store: s}
		o.Store = disk
		n := start(t, o, unbatched(hook("hook")), unbatched(hook("gone", "user_online")))
		r.answers(func(request, int) int { return 500 })
		n.CacheMiss("app", "cache-a")
		after(2 * time.Second)
		disk.isBroken.Store(true)
		n.CacheMiss("app", "cache-b")
		n.UserOnline("app", "u")
		after(100 * time.Millisecond)
		r.take()
		r.answers(nil)
		after(10 * time.Second)
		r.expect(t, "while the disk fails", "cache_miss cache-a")
		if users, _ := n.Online("app"); len(users) > 0 {
			t.Errorf("%v are in the snapshot", users)
		}
		if err := n.SetEndpoints("app", []webhook.Endpoint{unbatched(hook("hook", "cache_miss", "user_online"))}); err != nil {
			t.Fatal(err)
		}
		disk.isBroken.Store(false)
		after(5 * time.Second)
		r.expect(t, "later", "cache_miss cache-b", "user_online u 1")
		if letters := deadOf(t, n); len(letters) != 1 || letters[0].Endpoint != "gone" {
			t.Errorf("got letters %+v, want one of the endpoint that was removed", letters)
		}
		left := 0
		if err := s.LoadWebhooks(t.Context(), webhook.Loader{
			Part:   func(webhook.Part) error { left++; return nil },
			Letter: func(webhook.Letter) error { return nil }, Subject: func(webhook.Subject) error { return nil },
			Sequence: func(webhook.Sequence) error { return nil },
		}); err != nil || left != 0 {
			t.Errorf("%d parts are left in the store once all is delivered: %v", left, err)
		}
	})
}

// value sums a metric over its labels.
func value(t *testing.T, g prometheus.Gatherer, name string) int {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if f.GetType() == dto.MetricType_COUNTER {
				sum += m.GetCounter().GetValue()
			} else {
				sum += m.GetGauge().GetValue()
			}
		}
	}
	return int(sum)
}

func TestSubjectsAreBounded(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, r *receiver, o outbox.Options) {
		o.MaxSubjects = 2
		n := start(t, o, hook("hook"))
		for _, c := range []string{"a", "b", "c"} {
			n.Occupied("app", c)
		}
		after(time.Second)
		r.expect(t, "two are told of", "channel_occupied a", "channel_occupied b")
		n.Vacated("app", "c")
		n.Vacated("app", "a")
		after(5 * time.Second)
		r.expect(t, "the third is told neither", "channel_vacated a")
		n.Occupied("app", "c")
		after(time.Second)
		r.expect(t, "there is room again", "channel_occupied c")
	})
}

func TestStormOfLeavesAndReturns(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, r *receiver, o outbox.Options) {
		n := start(t, o, hook("hook"))
		const many = 15_000
		channel := func(i int) string { return fmt.Sprintf("presence-%d", i) }
		for i := range many {
			n.Occupied("app", channel(i))
			n.MemberAdded("app", channel(i), "u")
		}
		after(time.Second)
		if got := events(t, r); got != 2*many {
			t.Fatalf("got %d events, want %d", got, 2*many)
		}
		for i := range many {
			n.MemberRemoved("app", channel(i), "u")
			n.Vacated("app", channel(i))
		}
		after(time.Second)
		for i := range many / 3 {
			n.Occupied("app", channel(i))
			n.MemberAdded("app", channel(i), "u")
		}
		after(10 * time.Second)
		seen := map[string]int{}
		for _, req := range r.take() {
			for _, e := range req.events(t) {
				seen[e]++
			}
		}
		for i := range many {
			want := 1
			if i < many/3 {
				want = 0
			}
			if seen["channel_vacated "+channel(i)] != want || seen["member_removed "+channel(i)+" u"] != want {
				t.Fatalf("channel %d: got %d and %d, want %d of each", i, seen["channel_vacated "+channel(i)], seen["member_removed "+channel(i)+" u"], want)
			}
		}
	})
}

func events(t *testing.T, r *receiver) (n int) {
	t.Helper()
	for _, req := range r.take() {
		n += len(req.raw(t))
	}
	return n
}
