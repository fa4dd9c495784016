package hub_test

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/protocol"
)

// event is a publication with a name.
func event(topic string, offset uint64, name string) *protocol.Publication {
	p := pub(topic, offset)
	p.Event = name
	return p
}

func only(names ...string) *protocol.Filter { return protocol.NewFilter(names) }

// openFor is open with a filter.
func (p *peer) openFor(t *testing.T, name string, names ...string) *hub.Subscription {
	t.Helper()
	sub := new(hub.Subscription)
	if err := p.SubscribeFiltered(sub, new(topic(name)), only(names...)); err != nil {
		t.Fatal(err)
	}
	release(t, sub, protocol.Position{})
	return sub
}

func setFilter(t *testing.T, sub *hub.Subscription, names ...string) {
	t.Helper()
	if err := sub.SetFilter(only(names...)); err != nil {
		t.Fatal(err)
	}
}

func TestFilterDelivers(t *testing.T) {
	t.Parallel()
	tests := map[string][]string{ // events that are published, in order
		"all pass":                {"tick", "trade", "tick"},
		"none passes":             {"news", "news"},
		"the first ones pass":     {"tick", "trade", "news"},
		"the last one passes":     {"news", "news", "tick"},
		"one in the middle does":  {"news", "trade", "news"},
		"one in the middle fails": {"tick", "news", "trade"},
		"they take turns":         {"tick", "news", "trade", "news", "tick", "news"},
	}
	for name, events := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { expectFiltered(t, events) })
		})
	}
}

// expectFiltered delivers events at once to subscriptions for tick and trade, the first event
// but for one of them, and to one for all.
func expectFiltered(t *testing.T, events []string) {
	h := hub.New(hub.Options{Codecs: codecs(), Shards: 1})
	one, twin, all, excepted := attach(t, h), attach(t, h), attach(t, h), attach(t, h)
	one.openFor(t, "a", "tick", "trade")
	twin.openFor(t, "a", "trade", "tick")
	excepted.openFor(t, "a", "tick", "trade")
	all.open(t, "a")
	var want, wantAll, wantExcepted []string
	for i, e := range events {
		p := event("a", uint64(i+1), e)
		if i == 0 {
			p.Except = excepted.ID()
		}
		h.Receive(p)
		line := lines("a", uint64(i+1), uint64(i+1))
		wantAll = append(wantAll, line...)
		if e == "news" {
			continue
		}
		want = append(want, line...)
		if i > 0 {
			wantExcepted = append(wantExcepted, line...)
		}
	}
	run(t, h)
	synctest.Wait()
	for _, p := range []*peer{one, twin} {
		got, writes := p.take()
		if diff := cmp.Diff(want, got); diff != "" || writes > 1 {
			t.Errorf("in %d writes, want at most one; frames differ (-want +got):\n%s", writes, diff)
		}
	}
	excepted.expect(t, wantExcepted...)
	all.expect(t, wantAll...)
}

func TestFilteredDeliveriesAreCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		h := hub.New(hub.Options{Codecs: codecs(), Shards: 1, Metrics: hub.NewMetrics(registry)})
		p, single := attach(t, h), attach(t, h)
		for _, c := range []*peer{p, attach(t, h)} {
			c.openFor(t, "a", "tick")
		}
		single.openFor(t, "a", "trade")
		p.open(t, "b")
		for i, e := range []string{"tick", "news", "trade"} {
			p := event("a", uint64(i+1), e)
			if e == "news" {
				p.Except = single.ID()
			}
			h.Receive(p)
		}
		run(t, h)
		synctest.Wait()
		held := new(hub.Subscription)
		if err := p.SubscribeFiltered(held, new(topic("c")), only("tick")); err != nil {
			t.Fatal(err)
		}
		h.Receive(event("c", 1, "news"))
		synctest.Wait()
		release(t, held, protocol.Position{})
		// Twice two for tick; one for trade, which news was not for anyway; one that was held.
		if got := counter(t, registry, "millrace_hub_filtered_total"); got != 6 {
			t.Errorf("counted %v, want 6", got)
		}
		if got := counter(t, registry, "millrace_hub_deliveries_total"); got != 3 {
			t.Errorf("counted %v deliveries, want 3", got)
		}
	})
}

func counter(t *testing.T, g prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// TestFilterFromState sets and replaces filters in every state of a subscription.
func TestFilterFromState(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		do   func(t *testing.T, h *hub.Hub, p *peer, sub *hub.Subscription)
		want []string
	}{
		"what is held is released by the filter": {func(t *testing.T, h *hub.Hub, p *peer, sub *hub.Subscription) {
			_ = p.SubscribeFiltered(sub, new(topic("a")), only("tick"))
			h.Receive(event("a", 1, "tick"))
			h.Receive(event("a", 2, "news"))
			h.Receive(event("a", 3, "tick"))
			synctest.Wait()
			release(t, sub, at(1))
			h.Receive(event("a", 4, "news"))
			h.Receive(event("a", 5, "tick"))
		}, []string{"a/3", "a/5"}},
		"what is held is released by the filter that was set last": {func(t *testing.T, h *hub.Hub, p *peer, sub *hub.Subscription) {
			_ = p.SubscribeFiltered(sub, new(topic("a")), only("tick"))
			h.Receive(event("a", 1, "news"))
			synctest.Wait()
			setFilter(t, sub, "news")
			release(t, sub, protocol.Position{})
		}, []string{"a/1"}},
		"a filter taken off while held": {func(t *testing.T, h *hub.Hub, p *peer, sub *hub.Subscription) {
			_ = p.SubscribeFiltered(sub, new(topic("a")), only("tick"))
			h.Receive(event("a", 1, "news"))
			synctest.Wait()
			setFilter(t, sub)
			release(t, sub, protocol.Position{})
			h.Receive(event("a", 2, "news"))
		}, []string{"a/1", "a/2"}},
		"a filter set before the gate opens": {func(t *testing.T, h *hub.Hub, p *peer, sub *hub.Subscription) {
			p.Subscribe(sub, new(topic("a")))
			release(t, sub, at(2))
			setFilter(t, sub, "tick")
			for o := range uint64(4) {
				h.Receive(event("a", o+1, "tick"))
			}
			synctest.Wait()
			h.Receive(event("a", 5, "news"))
			h.Receive(event("a", 6, "tick"))
		}, []string{"a/3", "a/4", "a/6"}},
		"a filter taken off before the gate opens": {func(t *testing.T, h *hub.Hub, p *peer, sub *hub.Subscription) {
			_ = p.SubscribeFiltered(sub, new(topic("a")), only("tick"))
			release(t, sub, at(1))
			setFilter(t, sub)
			h.Receive(event("a", 1, "news"))
			h.Receive(event("a", 2, "news"))
			synctest.Wait()
			h.Receive(event("a", 3, "news"))
		}, []string{"a/2", "a/3"}},
		"a filter set, replaced and taken off while live": {func(t *testing.T, h *hub.Hub, p *peer, sub *hub.Subscription) {
			p.Subscribe(sub, new(topic("a")))
			release(t, sub, protocol.Position{})
			offset := uint64(0)
			for _, names := range [][]string{{"tick"}, {"news", "trade"}, nil, {"trade"}} {
				setFilter(t, sub, names...)
				for _, e := range []string{"tick", "news", "trade"} {
					offset++
					h.Receive(event("a", offset, e))
				}
				synctest.Wait()
			}
		}, []string{"a/1", "a/5", "a/6", "a/7", "a/8", "a/9", "a/12"}},
		"held again before all has come that is covered": {func(t *testing.T, h *hub.Hub, p *peer, sub *hub.Subscription) {
			p.Subscribe(sub, new(topic("a")))
			release(t, sub, at(3))
			h.Receive(event("a", 2, "tick"))
			sub.Hold()
			h.Receive(event("a", 3, "tick"))
			h.Receive(event("a", 4, "tick"))
			synctest.Wait()
			release(t, sub, protocol.Position{})
			h.Receive(event("a", 5, "tick"))
		}, []string{"a/4", "a/5"}},
		"a filter outlasts an overflow and the hold after it": {func(t *testing.T, h *hub.Hub, p *peer, sub *hub.Subscription) {
			_ = p.SubscribeFiltered(sub, new(topic("a")), only("tick"))
			for o := range uint64(20) {
				h.Receive(event("a", o+1, "tick"))
			}
			synctest.Wait()
			if err := sub.Release(at(0)); err == nil {
				t.Error("no overflow")
			}
			sub.Hold()
			h.Receive(event("a", 21, "news"))
			h.Receive(event("a", 22, "tick"))
			synctest.Wait()
			release(t, sub, at(20))
		}, []string{"a/22"}},
		"a live subscription is held again": {func(t *testing.T, h *hub.Hub, p *peer, sub *hub.Subscription) {
			_ = p.SubscribeFiltered(sub, new(topic("a")), only("tick"))
			release(t, sub, protocol.Position{})
			h.Receive(event("a", 1, "tick"))
			synctest.Wait()
			sub.Hold()
			h.Receive(event("a", 2, "tick"))
			h.Receive(event("a", 3, "tick"))
			synctest.Wait()
			release(t, sub, at(2))
			h.Receive(event("a", 4, "news"))
		}, []string{"a/1", "a/3"}},
		"one without filter is held again": {func(t *testing.T, h *hub.Hub, p *peer, sub *hub.Subscription) {
			p.Subscribe(sub, new(topic("a")))
			release(t, sub, protocol.Position{})
			sub.Hold()
			h.Receive(event("a", 1, "tick"))
			synctest.Wait()
			release(t, sub, protocol.Position{})
			h.Receive(event("a", 2, "tick"))
		}, []string{"a/1", "a/2"}},
		"a closed subscription has no filter and is not held again": {func(t *testing.T, h *hub.Hub, p *peer, sub *hub.Subscription) {
			sub.Hold()
			setFilter(t, sub, "tick")
			_ = p.SubscribeFiltered(sub, new(topic("a")), only("tick"))
			sub.Close()
			sub.Hold()
			setFilter(t, sub, "tick")
			h.Receive(event("a", 1, "tick"))
			p.Subscribe(sub, new(topic("a")))
			release(t, sub, at(1))
			h.Receive(event("a", 2, "news"))
		}, []string{"a/2"}},
		"what others publish of the protocol passes": {func(t *testing.T, h *hub.Hub, p *peer, sub *hub.Subscription) {
			_ = p.SubscribeFiltered(sub, new(topic("a")), only("tick"))
			release(t, sub, protocol.Position{})
			for i, kind := range []protocol.PublicationKind{protocol.KindMemberAdded, protocol.KindMemberRemoved, protocol.KindSubscriptionCount} {
				n := pub("a", uint64(i+1))
				n.Kind, n.Event = kind, ""
				h.Receive(n)
			}
		}, []string{"a/1", "a/2", "a/3"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := start(t, hub.Options{Shards: 1, MaxHeld: 10})
				p := attach(t, h)
				tt.do(t, h, p, new(hub.Subscription))
				synctest.Wait()
				p.expect(t, tt.want...)
			})
		})
	}
}

// TestFilteredTopicsOfOneConnection has several topics in a round, so that connections are
// written to once for all of them.
func TestFilteredTopicsOfOneConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Options{Codecs: codecs(), Shards: 1})
		var peers []*peer
		for range 3 {
			p := attach(t, h)
			p.openFor(t, "a", "tick")
			p.openFor(t, "b", "news")
			p.openFor(t, "c", "none")
			peers = append(peers, p)
		}
		for i, e := range []string{"tick", "news", "tick", "news"} {
			for _, name := range []string{"a", "b", "c"} {
				h.Receive(event(name, uint64(i+1), e))
			}
		}
		run(t, h)
		synctest.Wait()
		for _, p := range peers {
			got, writes := p.take()
			if diff := cmp.Diff([]string{"a/1", "a/3", "b/2", "b/4"}, slices.Sorted(slices.Values(got))); diff != "" || writes != 1 {
				t.Errorf("in %d writes, want one; frames differ (-want +got):\n%s", writes, diff)
			}
		}
	})
}

// A publication that no filter of some subscriptions lets through is counted for each of them,
// although none of them is looked at.
func TestWhatIsSkippedIsCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		h := start(t, hub.Options{Shards: 1, Metrics: hub.NewMetrics(registry)})
		for range 3 {
			attach(t, h).openFor(t, "a", "tick")
			attach(t, h).openFor(t, "a", "trade")
		}
		h.Receive(event("a", 1, "news"))
		synctest.Wait()
		if got := counter(t, registry, "millrace_hub_filtered_total"); got != 6 {
			t.Errorf("counted %v, want 6", got)
		}
		h.Receive(event("a", 2, "tick"))
		synctest.Wait()
		if got := counter(t, registry, "millrace_hub_filtered_total"); got != 9 {
			t.Errorf("counted %v, want 9", got)
		}
	})
}
