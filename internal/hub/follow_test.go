package hub_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/missed"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/websocket"
)

// change is a publication whose number is ten times its offset.
func change(name string, offset uint64, key string) *protocol.Publication {
	p := pub(name, offset)
	p.Kind, p.Change = protocol.KindChange, &protocol.Change{Key: key, Number: 10 * offset}
	return p
}

// changes hands changes from first to last to h; the key is the offset.
func changes(h *hub.Hub, name string, first, last uint64) {
	for o := first; o <= last; o++ {
		h.Receive(change(name, o, fmt.Sprint("key-", o)))
	}
}

// lag is what is missed from first to last.
func lag(first, last uint64) *missed.Lag {
	l := &missed.Lag{From: 10 * first, To: 10 * last, Keys: map[string]struct{}{}}
	for o := first; o <= last; o++ {
		l.Keys[fmt.Sprint("key-", o)] = struct{}{}
	}
	return l
}

func expectLag(t *testing.T, sub *hub.Subscription, want *missed.Lag) {
	t.Helper()
	var got *missed.Lag
	if l, ok := sub.Lag(); ok {
		got = &l
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lag differs (-want +got):\n%s", diff)
	}
}

func TestFollow(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		held      uint64 // changes during the hold, of which at most 5 are kept
		after     uint64
		congested string // "release": then and later; "later": only later
		later     uint64 // the last change
		err       error
		want      []string
		lag       *missed.Lag
	}{
		"as long as nobody is slow it is like Subscribe": {
			held: 3, after: 2, later: 5, want: lines("a", 3, 5),
		},
		"what comes to a congested connection is noted": {
			held: 3, after: 2, congested: "later", later: 5, want: lines("a", 3, 3), lag: lag(4, 5),
		},
		"what was held for a congested connection is noted": {
			held: 4, after: 2, congested: "release", later: 6, lag: lag(3, 6),
		},
		"what Release covers is not missed": {
			held: 3, after: 3, congested: "release", later: 3,
		},
		"what Release covers and is late is not missed": {
			after: 4, congested: "release", later: 6, lag: lag(5, 6),
		},
		"what Release covers and is late does not begin a lag": {
			after: 4, congested: "release", later: 4,
		},
		"a hold that overflows is a lag": {
			held: 6, after: 0, later: 8, err: hub.ErrLagging, lag: lag(1, 8),
		},
		"a hold that overflows cannot tell what Release covers": {
			held: 9, after: 5, later: 9, err: hub.ErrLagging, lag: lag(1, 9),
		},
		"a hold that overflows and is covered does not lag": {
			held: 9, after: 9, later: 11, want: lines("a", 10, 11),
		},
		"what comes late after an overflow may be covered": {
			held: 6, after: 8, later: 11, want: lines("a", 9, 11),
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := start(t, hub.Options{Shards: 1, MaxHeld: 5})
				p := attach(t, h)
				var sub hub.Subscription
				p.Follow(&sub, new(topic("a")))
				changes(h, "a", 1, tt.held)
				synctest.Wait()
				expectLag(t, &sub, nil)
				p.congest(tt.congested == "release")
				if err := sub.Release(at(tt.after)); !errors.Is(err, tt.err) {
					t.Errorf("Release = %v, want %v", err, tt.err)
				}
				p.congest(tt.congested != "")
				changes(h, "a", tt.held+1, tt.later)
				synctest.Wait()
				p.expect(t, tt.want...)
				expectLag(t, &sub, tt.lag)
				sub.Close()
				expectLag(t, &sub, nil)
			})
		})
	}
}

func TestALagLastsUntilClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewPedanticRegistry()
		h := start(t, hub.Options{Shards: 1, Metrics: hub.NewMetrics(reg)})
		p := attach(t, h)
		var sub hub.Subscription
		follow := func(after uint64) {
			t.Helper()
			p.Follow(&sub, new(topic("a")))
			release(t, &sub, at(after))
		}
		follow(0)
		p.congest(true)
		changes(h, "a", 1, 1)
		synctest.Wait()
		p.congest(false)
		changes(h, "a", 2, 3)
		synctest.Wait()
		expectLag(t, &sub, lag(1, 3))
		if !p.IsLagging() {
			t.Error("the connection is said to have all that it should")
		}
		if len(p.asks) != 1 {
			t.Errorf("asked %d times, want once: who lags is not asked", len(p.asks))
		}
		got, _ := sub.Lag()
		clear(got.Keys) // the caller's own
		expectLag(t, &sub, lag(1, 3))
		release(t, &sub, at(9)) // means nothing
		expectLag(t, &sub, lag(1, 3))
		expectMetrics(t, reg, map[string]float64{
			"millrace_hub_lags_total": 1, "millrace_hub_lagging_subscriptions": 1, "millrace_hub_deliveries_total": 0,
		})
		p.expect(t)

		sub.Close()
		if p.IsLagging() {
			t.Error("the connection is said to lag without a subscription")
		}
		follow(3)
		changes(h, "a", 3, 4)
		synctest.Wait()
		p.expect(t, "a/4")
		expectLag(t, &sub, nil)

		p.congest(true)
		changes(h, "a", 5, 5)
		synctest.Wait()
		expectLag(t, &sub, lag(5, 5))
		p.Detach()
		expectLag(t, &sub, nil)
		expectMetrics(t, reg, map[string]float64{"millrace_hub_lags_total": 2, "millrace_hub_lagging_subscriptions": 0})
		expectLag(t, new(hub.Subscription), nil)
	})
}

func TestAConnectionIsAskedOnceInARound(t *testing.T) {
	t.Parallel()
	for _, isCongested := range []bool{false, true} {
		t.Run(fmt.Sprint("congested=", isCongested), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := hub.New(hub.Options{Codecs: codecs(), Shards: 1})
				p, channelsOnly := attach(t, h), attach(t, h)
				p.congest(isCongested)
				subs := make([]hub.Subscription, 3)
				var want []string
				for i := range subs {
					name := fmt.Sprint("view-", i)
					p.Follow(&subs[i], new(topic(name)))
					release(t, &subs[i], at(0))
					changes(h, name, 1, 5)
					want = append(want, lines(name, 1, 5)...)
				}
				for _, q := range []*peer{p, channelsOnly} {
					q.open(t, "a")
					q.open(t, "b")
				}
				p.open(t, "silent")
				receive(h, "a", 1, 2)
				receive(h, "b", 1, 1)
				run(t, h)
				synctest.Wait()

				events := append(lines("a", 1, 2), "b/1")
				size := frameBytes(want) + frameBytes(events)
				if isCongested {
					want = nil
				}
				got, writes := p.take()
				slices.Sort(got)
				if diff := cmp.Diff(append(events, want...), got); diff != "" || writes != 1 {
					t.Errorf("%d writes, want 1; frames differ (-want +got):\n%s", writes, diff)
				}
				if diff := cmp.Diff([]int{size}, p.asks); diff != "" {
					t.Errorf("asked differently (-want +got):\n%s", diff)
				}
				if len(channelsOnly.asks) > 0 {
					t.Errorf("a connection that follows nothing was asked %v", channelsOnly.asks)
				}
				for i := range subs {
					if _, lags := subs[i].Lag(); lags != isCongested {
						t.Errorf("subscription %d lags: %v, want %v", i, lags, isCongested)
					}
				}
			})
		})
	}
}

func frameBytes(payloads []string) (n int) {
	for _, p := range payloads {
		n += len(websocket.AppendFrame(nil, websocket.OpText, []byte(p)))
	}
	return n
}

// What a round has for one connection may be more than its queue can hold at all: it is then
// written in parts, and asked about each.
func TestALargeRoundIsWrittenInParts(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		frames uint64 // in each of ten topics
		data   string
	}{
		"many bytes":                {10, strings.Repeat("x", 10_000)},
		"many frames":               {100, ""},
		"a frame larger than parts": {1, strings.Repeat("x", 300_000)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := hub.New(hub.Options{Codecs: codecs(), Shards: 1, MaxInboxBytes: 1 << 30})
				p := attach(t, h)
				subs := make([]hub.Subscription, 10)
				var want []string
				for i := range subs {
					name := fmt.Sprint("topic-", i)
					p.Follow(&subs[i], new(topic(name)))
					release(t, &subs[i], at(0))
					for o := range tt.frames {
						c := change(name, o, "key")
						c.Position.Offset++
						c.Data = []byte(tt.data)
						h.Receive(c)
						want = append(want, fmt.Sprintf("%s/%d%s", name, o+1, tt.data))
					}
				}
				run(t, h)
				synctest.Wait()
				p.expectParts(t, want)
				if len(p.asks) > len(p.writes)+1 || len(p.asks) == 1 {
					t.Errorf("asked %d times for %d writes", len(p.asks), len(p.writes))
				}
			})
		})
	}
}

func TestALargeHoldIsWrittenInParts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, hub.Options{Shards: 1})
		p := attach(t, h)
		var sub hub.Subscription
		p.Follow(&sub, new(topic("a")))
		changes(h, "a", 1, 600)
		synctest.Wait()
		release(t, &sub, at(0))
		if n := len(p.writes); n != 3 {
			t.Errorf("%d writes, want 3", n)
		}
		p.expectParts(t, lines("a", 1, 600))
	})
}

// expectParts checks frames of all writes, and that no write is much larger than a round of
// one topic may be.
func (p *peer) expectParts(t *testing.T, want []string) {
	t.Helper()
	for _, w := range p.writes {
		if n := frameBytes(w); n > 320<<10 || len(w) > 300 {
			t.Errorf("one write has %d frames of %d bytes", len(w), n)
		}
	}
	got := slices.Concat(p.writes...)
	slices.Sort(got)
	slices.Sort(want)
	if !equal(got, want) {
		t.Errorf("got %d frames, want %d and the same", len(got), len(want))
	}
}

func TestSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, hub.Options{Shards: 1})
		p := attach(t, h)
		var a, b, never hub.Subscription
		p.Follow(&a, new(topic("a")))
		p.Follow(&b, new(topic("b")))
		channel := p.open(t, "c")
		expect := func(sub *hub.Subscription, want []string) {
			t.Helper()
			frames, bytes := sub.Sent()
			if frames != len(want) || bytes != frameBytes(want) {
				t.Errorf("sent %d frames of %d bytes, want %d of %d", frames, bytes, len(want), frameBytes(want))
			}
		}
		changes(h, "a", 1, 3)
		receive(h, "c", 1, 1)
		synctest.Wait()
		expect(&a, nil)
		release(t, &a, at(1))
		release(t, &b, at(0))
		expect(&a, lines("a", 2, 3))
		expect(&a, nil)

		changes(h, "a", 4, 5)
		changes(h, "b", 1, 1)
		synctest.Wait()
		p.congest(true)
		changes(h, "a", 6, 6)
		synctest.Wait()
		expect(&b, []string{"b/1"})
		a.Close()
		p.congest(false)
		p.Follow(&a, new(topic("a")))
		release(t, &a, at(6))
		changes(h, "a", 7, 7)
		synctest.Wait()
		expect(&a, []string{"a/4", "a/5", "a/7"})
		expect(channel, nil)
		expect(&never, nil)
	})
}

func TestAFollowerIsExceptedAsOthersAre(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, hub.Options{Shards: 1})
		p := attach(t, h)
		var sub hub.Subscription
		p.Follow(&sub, new(topic("a")))
		release(t, &sub, at(0))
		send := func(first, last uint64) {
			for o := first; o <= last; o++ {
				c := change("a", o, "k")
				if o%2 == 0 {
					c.Except = p.ID()
				}
				h.Receive(c)
			}
			synctest.Wait()
		}
		send(1, 4)
		p.expect(t, "a/1", "a/3")
		p.congest(true)
		send(6, 6)
		expectLag(t, &sub, nil)
		send(7, 8)
		expectLag(t, &sub, &missed.Lag{From: 70, To: 70, Keys: map[string]struct{}{"k": {}}})
	})
}

// opPeer remembers the opcodes it is sent.
type opPeer struct {
	hub.Subscriber
	ops []websocket.Opcode
}

func (*opPeer) IsCongested(int) bool { return false }

func (p *opPeer) WriteSegments(segs []bufpool.Segment) {
	for _, s := range segs {
		h, _, _ := websocket.ParseHeader(s.Bytes())
		p.ops = append(p.ops, h.Op)
	}
}

func TestTheCodecChoosesTheTypeOfMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, hub.Options{Shards: 1})
		for v, want := range map[protocol.Variant]websocket.Opcode{
			protocol.VariantPusher: websocket.OpText, protocol.VariantViews: websocket.OpBinary,
		} {
			p := new(opPeer)
			h.Attach(&p.Subscriber, p, protocol.NewSocketID(), v)
			var sub hub.Subscription
			p.Follow(&sub, new(topic("a")))
			changes(h, "a", 1, 1)
			synctest.Wait()
			release(t, &sub, at(0))
			changes(h, "a", 2, 2)
			synctest.Wait()
			if diff := cmp.Diff([]websocket.Opcode{want, want}, p.ops); diff != "" {
				t.Errorf("variant %d: opcodes of what was held and of what came later (-want +got):\n%s", v, diff)
			}
			sub.Close()
		}
	})
}

// What has passed is with every subscription, as frames or as a lag; what waits for one shard has not.
func TestPassed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Options{Codecs: codecs(), Shards: 4})
		name := topic("a")
		if got := h.Passed(name); got != math.MaxUint64 {
			t.Errorf("%d has passed without subscriptions", got)
		}
		subs := make([]*hub.Subscription, 16) // more than one in some shard, and in more than one
		for i := range subs {
			p := attach(t, h)
			p.congest(i%2 == 1)
			subs[i] = new(hub.Subscription)
			p.Follow(subs[i], &name)
			release(t, subs[i], at(0))
		}
		expect := func(when string, want uint64) {
			t.Helper()
			if got := h.Passed(name); got != want {
				t.Errorf("%s: %d has passed, want %d", when, got, want)
			}
			for i, sub := range subs {
				if got := sub.Passed(); got != want {
					t.Errorf("%s: %d has passed subscription %d, want %d", when, got, i, want)
				}
			}
		}
		changes(h, "a", 1, 1000) // more than one round
		expect("while all waits", 0)
		run(t, h)
		synctest.Wait()
		expect("when all is delivered", 10_000)
		changes(h, "a", 1001, 1001)
		synctest.Wait()
		expect("after one more", 10_010)
		subs[0].Close()
		if got := subs[0].Passed(); got != 0 {
			t.Errorf("%d has passed a closed subscription", got)
		}
	})
}
