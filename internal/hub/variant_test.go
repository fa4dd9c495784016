package hub_test

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/websocket"
)

// quietCodec has nothing to say of the event quiet.
type quietCodec struct{ binaryCodec }

func (c quietCodec) AppendPublication(dst []byte, p *protocol.Publication) []byte {
	if p.Event == "quiet" {
		return dst
	}
	return c.binaryCodec.AppendPublication(dst, p)
}

// opcodes notes in which kind of messages it is written to.
type opcodes struct {
	peer
	ops []websocket.Opcode
}

func (o *opcodes) WriteSegments(segs []bufpool.Segment) {
	for _, s := range segs {
		h, _, _ := websocket.ParseHeader(s.Bytes())
		o.ops = append(o.ops, h.Op)
	}
	o.peer.WriteSegments(segs)
}

// The variant is the subscription's: a connection may have several, and by default it is the one
// that was given to Attach.
func TestAConnectionSubscribesInSeveralVariants(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, hub.Options{Shards: 1})
		c := new(opcodes)
		h.Attach(&c.Subscriber, c, protocol.NewSocketID(), protocol.VariantPusher)
		for name, subscribe := range map[string]func(*hub.Subscription) error{
			"a": func(sub *hub.Subscription) error { return c.SubscribeFiltered(sub, new(topic("a")), nil) },
			"b": func(sub *hub.Subscription) error {
				return c.SubscribeAs(protocol.VariantViews, sub, new(topic("b")), nil)
			},
			"c": func(sub *hub.Subscription) error {
				return c.SubscribeAs(protocol.VariantViews, sub, new(topic("c")), only("e"))
			},
		} {
			sub := new(hub.Subscription)
			if err := subscribe(sub); err != nil {
				t.Fatal(err)
			}
			receive(h, name, 1, 1) // it is held
			synctest.Wait()
			release(t, sub, protocol.Position{})
		}
		for _, name := range []string{"a", "b", "c"} {
			receive(h, name, 2, 2)
			synctest.Wait()
		}
		got, _ := c.take()
		if slices.Sort(got[:3]); !equal(got, []string{"a/1", "b/1", "c/1", "a/2", "b/2", "c/2"}) {
			t.Errorf("got %v", got)
		}
		text, binary := websocket.OpText, websocket.OpBinary
		if slices.Sort(c.ops[:3]); !slices.Equal(c.ops, []websocket.Opcode{text, binary, binary, text, binary, binary}) {
			t.Errorf("got messages of kinds %v", c.ops)
		}
	})
}

// What a codec has nothing to say of is not sent in its variant, live, held or missed, and is in
// the others.
func TestACodecMayHaveNothingToSay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		o := hub.Options{Shards: 1, MaxHeld: 2, Metrics: hub.NewMetrics(registry)}
		o.Codecs = [protocol.NumVariants]protocol.Codec{lineCodec{}, quietCodec{}}
		h := hub.New(o)
		run(t, h)
		all, some, held, filtered, follower := attach(t, h), attach(t, h), attach(t, h), attach(t, h), new(peer)
		all.open(t, "a")
		as := func(p *peer, f *protocol.Filter) *hub.Subscription {
			sub := new(hub.Subscription)
			if err := p.SubscribeAs(protocol.VariantViews, sub, new(topic("a")), f); err != nil {
				t.Fatal(err)
			}
			return sub
		}
		release(t, as(some, nil), protocol.Position{})
		release(t, as(filtered, only("quiet", "loud")), protocol.Position{})
		kept := as(held, nil)
		h.Attach(&follower.Subscriber, follower, protocol.NewSocketID(), protocol.VariantViews)
		var followed hub.Subscription
		follower.Follow(&followed, new(topic("a")))
		release(t, &followed, protocol.Position{})
		follower.congest(true)

		for o, name := range []string{"quiet", "quiet", "quiet", "loud"} { // three would be more than is kept
			h.Receive(event("a", uint64(o+1), name))
			synctest.Wait()
			if _, isLagging := followed.Lag(); isLagging != (name == "loud") {
				t.Errorf("after %s it lags: %v", name, isLagging)
			}
		}
		h.Receive(event("a", 5, "quiet"))
		synctest.Wait()
		release(t, kept, protocol.Position{})
		all.expect(t, lines("a", 1, 5)...)
		for name, p := range map[string]*peer{"live": some, "filtered": filtered, "held": held} {
			if got, writes := p.take(); !equal(got, []string{"a/4"}) || writes != 1 {
				t.Errorf("%s: got %v in %d writes", name, got, writes)
			}
		}
		if n := counter(t, registry, "millrace_hub_writes_total"); n != 8 {
			t.Errorf("%v writes, want 8", n)
		}
	})
}
