package hub_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/protocol"
)

func equal(a, b []string) bool { return slices.Equal(a, b) }

func TestWhatWaitsGoesOutInOneWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Options{Codecs: codecs(), Shards: 2})
		var peers []*peer
		for range 200 {
			p := attach(t, h)
			p.open(t, "a")
			peers = append(peers, p)
		}
		receive(h, "a", 1, 100)
		receive(h, "nobody", 1, 1)
		run(t, h)
		synctest.Wait()
		for _, p := range peers {
			got, writes := p.take()
			if diff := cmp.Diff(lines("a", 1, 100), got); diff != "" || writes != 1 {
				t.Fatalf("%d writes, want 1; frames differ (-want +got):\n%s", writes, diff)
			}
		}
	})
}

func TestSeveralTopicsOfAConnectionGoOutInOneWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Options{Codecs: codecs(), Shards: 1})
		both, justA, sender := attach(t, h), attach(t, h), attach(t, h)
		for _, p := range []*peer{both, sender} {
			p.open(t, "a")
			p.open(t, "b")
			p.open(t, "unused")
		}
		justA.open(t, "a")
		var held hub.Subscription
		both.Subscribe(&held, new(topic("c")))

		receive(h, "a", 1, 2)
		excepted := pub("b", 1)
		excepted.Except = sender.ID()
		h.Receive(excepted)
		receive(h, "c", 1, 1)
		receive(h, "a", 3, 3)
		run(t, h)
		synctest.Wait()

		got, writes := both.take()
		slices.Sort(got)
		if want := append(lines("a", 1, 3), "b/1"); !equal(got, want) || writes != 1 {
			t.Errorf("got %v in %d writes, want %v in one", got, writes, want)
		}
		sender.expect(t, lines("a", 1, 3)...)
		justA.expect(t, lines("a", 1, 3)...)
		release(t, &held, protocol.Position{})
		both.expect(t, "c/1")

		receive(h, "a", 4, 4) // nothing is left of the round before
		receive(h, "b", 2, 2)
		synctest.Wait()
		got, _ = both.take()
		slices.Sort(got)
		if want := []string{"a/4", "b/2"}; !equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// diary notes which connections were written to, in order.
type diary struct {
	mu      sync.Mutex
	entries []string
}

type diarist struct {
	hub.Subscriber
	name  string
	diary *diary
}

func (d *diarist) WriteSegments([]bufpool.Segment) {
	d.diary.mu.Lock()
	defer d.diary.mu.Unlock()
	d.diary.entries = append(d.diary.entries, d.name)
}
func (*diarist) IsCongested(int) bool { return false }

func TestASmallTopicDoesNotWaitBehindAGiantOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Options{Codecs: codecs(), Shards: 1})
		var d diary
		attachTo := func(name string) {
			w := &diarist{name: name, diary: &d}
			h.Attach(&w.Subscriber, w, protocol.NewSocketID(), protocol.VariantPusher)
			sub := new(hub.Subscription)
			w.Subscribe(sub, new(topic(name)))
			release(t, sub, protocol.Position{})
		}
		for range 100 {
			attachTo("giant")
		}
		attachTo("small")
		receive(h, "giant", 1, 1000) // several rounds
		receive(h, "small", 1, 1)
		run(t, h)
		synctest.Wait()
		if d.entries[0] != "small" {
			t.Errorf("first write to %q, want small", d.entries[0])
		}
	})
}

func TestABacklogLongerThanARoundStaysInOrder(t *testing.T) {
	t.Parallel()
	for name, data := range map[string]string{
		"many publications":  "",
		"large publications": strings.Repeat("x", 5000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := hub.New(hub.Options{Codecs: codecs(), Shards: 1})
				p, q := attach(t, h), attach(t, h)
				for _, name := range []string{"a", "b"} {
					p.open(t, name)
					q.open(t, name)
				}
				var want []string
				for o := range uint64(1000) {
					a, b := pub("a", o), pub("b", o)
					a.Data, b.Data = []byte(data), []byte(data)
					h.Receive(a)
					if o%10 == 0 {
						h.Receive(b)
					}
					want = append(want, fmt.Sprintf("a/%d%s", o, data))
				}
				run(t, h)
				synctest.Wait()
				for _, peer := range []*peer{p, q} {
					got, writes := peer.take()
					got = slices.DeleteFunc(got, func(s string) bool { return s[0] == 'b' })
					if !equal(got, want) {
						t.Error("publications of a are not the ones published, in order")
					}
					if writes < 4 || writes > 40 {
						t.Errorf("%d writes, want a few rounds", writes)
					}
				}
			})
		})
	}
}

func TestRunDeliversWhatWaitsWhenItEnds(t *testing.T) {
	t.Parallel()
	h := hub.New(hub.Options{Codecs: codecs(), Shards: 2, MaxInboxBytes: 1})
	p := attach(t, h)
	p.open(t, "a")
	receive(h, "a", 1, 600)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Run(ctx); err != nil {
		t.Fatalf("Run: %v", err)
	}
	p.expect(t, lines("a", 1, 600)...)
	receive(h, "a", 601, 601)
	if err := h.Reserve(t.Context(), 1); err != nil {
		t.Errorf("Reserve after Run: %v", err)
	}
	p.expect(t)
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewPedanticRegistry()
		h := hub.New(hub.Options{Codecs: codecs(), Shards: 1, Metrics: hub.NewMetrics(reg)})
		for range 3 {
			attach(t, h).open(t, "a")
		}
		receive(h, "a", 1, 5)
		size := float64(pub("a", 1).Size() + hub.HeldBytes)
		expectMetrics(t, reg, map[string]float64{"millrace_hub_inbox_bytes": 5 * size})
		run(t, h)
		synctest.Wait()
		expectMetrics(t, reg, map[string]float64{
			"millrace_hub_inbox_bytes":      0,
			"millrace_hub_deliveries_total": 15,
			"millrace_hub_writes_total":     3,
			"millrace_hub_encodings_total":  5,
		})
	})
}

func expectMetrics(t *testing.T, reg *prometheus.Registry, want map[string]float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		if _, ok := want[f.GetName()]; ok {
			m := f.GetMetric()[0]
			got[f.GetName()] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics differ (-want +got):\n%s", diff)
	}
}
