package channel_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/bus/local"
	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/protocol"
)

func TestSubscribeThenPublish(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		a, b := n.connect(), n.connect()
		n.publish("prices", "tick", "before")
		a.mustJoin("prices", "")
		b.mustJoin("prices", "")
		n.publish("prices", "tick", "1")
		n.publish("other", "tick", "2")
		a.expect("subscription_succeeded prices {}", "tick prices 1")
		b.expect("subscription_succeeded prices {}", "tick prices 1")

		a.unsubscribe("prices")
		n.publish("prices", "tick", "3")
		a.expect()
		b.expect("tick prices 3")
		b.close()
		n.expectEmpty()
	})
}

func TestPublishExcept(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		a, b := n.connect(), n.connect()
		a.mustJoin("x", "")
		b.mustJoin("x", "")
		a.mustJoin("y", "")
		events := []channel.Event{
			{Channel: "x", Name: "tick", Data: []byte(`"1"`), Except: a.ID()},
			{Channel: "y", Name: "tick", Data: []byte(`"2"`), Except: b.ID()},
			{Channel: "#server-to-user-u-9", Name: "tick", Data: []byte(`"3"`)},
		}
		if err := n.Publish(context.Background(), n.app, events); err != nil {
			t.Fatal(err)
		}
		a.expect("subscription_succeeded x {}", "subscription_succeeded y {}", "tick y 2")
		b.expect("subscription_succeeded x {}", "tick x 1")
	})
}

func TestPublishWaitsForRoomBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Options{
			Codecs: [protocol.NumVariants]protocol.Codec{}, MaxInboxBytes: 100,
		}) // does not run, so nothing drains
		n := &node{t: t, hub: h, app: testApp()}
		n.local = local.New(h, local.Options{})
		n.Engine = channel.New(h, n.local, channel.Options{})
		a := n.connect()
		a.mustJoin("cache-x", "")
		n.publish("cache-x", "tick", "1") // fills the room
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		err := n.Publish(ctx, n.app, []channel.Event{{Channel: "cache-x", Name: "tick", Data: []byte(`"2"`)}})
		if got := fmt.Sprint(err); err == nil || got != "channel: publish: "+bus.ErrBackpressure.Error() {
			t.Errorf("got %v", err)
		}
		if kept, _ := n.Cached(context.Background(), n.app, "cache-x"); kept == nil || string(kept.Publication.Data) != `"1"` {
			t.Errorf("cache holds %+v", kept)
		}
		if perr := n.Subscribe(ctx, &n.connect().Connection, "presence-x", protocol.Member{UserID: "u"}, nil); perr == nil || perr.Type != protocol.TypeServer {
			t.Errorf("got %v", perr)
		}
	})
}

func TestUnsubscribeWithoutSubscriptionDoesNothing(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		n.app.Features.SubscriptionCount = true
		a, b, c := n.connect(), n.connect(), n.connect()
		b.mustJoin("prices", "")
		b.mustJoin("presence-x", "u-9")
		c.mustJoin("presence-x", "u-3")
		b.take()
		c.take()
		a.unsubscribe("prices")
		a.unsubscribe("presence-x")
		a.unsubscribe("nobody here")
		a.expect()
		b.expect()
		c.expect()
		n.publish("prices", "tick", "1")
		b.expect("tick prices 1")
	})
}

func TestSubscribeAgainOnlyReplies(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		n.app.Features.SubscriptionCount = true
		a, b := n.connect(), n.connect()
		a.mustJoin("prices", "")
		a.mustJoin("presence-x", "u-9")
		b.mustJoin("presence-x", "u-3")
		a.take()
		b.take()
		a.mustJoin("prices", "")
		a.mustJoin("presence-x", "u-1")
		n.publish("prices", "tick", "1")
		got := a.take()
		if len(got) != 3 || got[0].String() != "subscription_succeeded prices {}" || got[2].String() != "tick prices 1" {
			t.Errorf("got %v", got)
		}
		var v view
		if err := v.apply(got[1]); err != nil || !cmp.Equal(v.ids(), []string{"u-3", "u-9"}) {
			t.Errorf("got members %v, %v", v.ids(), err)
		}
		b.expect()
		if s := n.Channel(n.app, "prices"); s.Subscriptions != 1 || a.Subscriptions() != 2 {
			t.Errorf("got %+v and %d", s, a.Subscriptions())
		}
		a.close()
		b.expect(`member_removed presence-x {"user_id":"u-9"}`)
	})
}

// TestPublishingWhileSubscribing is C15, once for a plain and once for a cache channel.
func TestPublishingWhileSubscribing(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"prices", "cache-prices"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 50 {
				inNode(t, func(t *testing.T, n *node) {
					a := n.connect()
					start := make(chan struct{})
					done := make(chan struct{})
					go func() { // ends after 100 publishes
						defer close(done)
						for i := range 100 {
							if i == 20 {
								close(start)
							}
							n.publish(name, "tick", fmt.Sprintf("%03d", i))
						}
					}()
					<-start
					a.mustJoin(name, "")
					<-done
					expectRun(t, a.take())
				})
			}
		})
	}
}

// expectRun fails unless frames are success and then ticks in order without gap up to 99.
func expectRun(t *testing.T, frames []frame) {
	t.Helper()
	if len(frames) == 0 || frames[0].Event != "pusher_internal:subscription_succeeded" {
		t.Fatalf("got %v, want success first", frames)
	}
	last := 99
	for i := len(frames) - 1; i > 0; i-- {
		if want := fmt.Sprintf("%03d", last); frames[i].Data != want {
			t.Fatalf("got %v, want %s in place %d", frames, want, i)
		}
		last--
	}
}

func TestNothingOvertakesSuccess(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		n.app.Features.SubscriptionCount = true
		a := n.connect()
		n.publish("cache-x", "tick", "old")
		a.onReply = func(m *protocol.Message) { // between the reply and going live
			n.publish("cache-x", "tick", "new")
			synctest.Wait()
		}
		a.mustJoin("cache-x", "")
		a.expect(
			"subscription_succeeded cache-x {}", "tick cache-x old",
			`subscription_count cache-x {"subscription_count":1}`, "tick cache-x new",
		)
	})
}

func TestHeldOverflowStartsOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, hub.Options{MaxHeld: 2})
		a, b := n.connect(), n.connect()
		b.mustJoin("cache-x", "")
		b.take()
		a.onReply = func(*protocol.Message) {
			a.onReply = nil
			for i := range 3 {
				n.publish("cache-x", "tick", strconv.Itoa(i))
			}
			synctest.Wait()
		}
		a.mustJoin("cache-x", "")
		n.publish("cache-x", "tick", "3")
		a.expect(
			"subscription_succeeded cache-x {}", "pusher:cache_miss cache-x ",
			"subscription_succeeded cache-x {}", "tick cache-x 2", "tick cache-x 3",
		)
		b.expect("tick cache-x 0", "tick cache-x 1", "tick cache-x 2", "tick cache-x 3")
		if got := n.Channel(n.app, "cache-x").Subscriptions; got != 2 {
			t.Errorf("got %d subscriptions", got)
		}
	})
}

func TestHeldOverflowWithoutEndLeavesTheChannel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, hub.Options{MaxHeld: 2})
		a, b := n.connect(), n.connect()
		b.mustJoin("presence-x", "u-3")
		b.take()
		a.onReply = func(*protocol.Message) {
			for range 3 {
				n.publish("presence-x", "tick", "1")
			}
			synctest.Wait()
		}
		if err := a.join("presence-x", "u-9", ""); err == nil || err.Type != protocol.TypeServer {
			t.Fatalf("got %v", err)
		}
		if a.Subscriptions() != 0 || n.Channel(n.app, "presence-x").Subscriptions != 1 {
			t.Error("the subscription is still there")
		}
		got := b.take()
		if len(got) < 2 || got[0].String() != added9 || got[len(got)-1].String() != removed9 {
			t.Errorf("got %v, want added first and removed last", got)
		}
		a.take()
		n.publish("presence-x", "tick", "2")
		a.expect()
		a.onReply = nil
		a.mustJoin("presence-x", "u-9")
	})
}

func TestFailedSubscribeChangesNothing(t *testing.T) {
	t.Parallel()
	tests := []struct {
		title, channel string
		sabotage       func(*faultyBus, bool)
	}{
		{"the owner of a plain channel is out of reach", "prices", func(b *faultyBus, on bool) { b.join.Store(on) }},
		{"the owner of a plain channel does not answer", "prices", func(b *faultyBus, on bool) { b.late.Store(on) }},
		{"the owner of a presence channel is out of reach", "presence-x", func(b *faultyBus, on bool) { b.join.Store(on) }},
		{"the owner of a presence channel does not answer", "presence-x", func(b *faultyBus, on bool) { b.late.Store(on) }},
	}
	for _, test := range tests {
		t.Run(test.title, func(t *testing.T) {
			t.Parallel()
			inNode(t, func(t *testing.T, n *node) {
				n.app.Features.SubscriptionCount = true
				a := n.connect()
				test.sabotage(n.bus, true)
				if err := a.join(test.channel, "u-9", ""); err == nil || err.Type != protocol.TypeServer {
					t.Fatalf("got %v", err)
				}
				test.sabotage(n.bus, false)
				a.expect()
				if a.IsSubscribed(test.channel) || a.Subscriptions() != 0 {
					t.Error("the connection is subscribed")
				}
				n.expectEmpty()
				n.publish(test.channel, "tick", "1")
				a.expect()
				a.mustJoin(test.channel, "u-9")
				n.publish(test.channel, "tick", "2")
				if got := a.take(); len(got) < 2 || got[len(got)-1].Data != "2" {
					t.Errorf("got %v", got)
				}
			})
		})
	}
}

func TestFailedJoinIsTakenBackForTheOthers(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		a, b := n.connect(), n.connect()
		a.mustJoin("presence-x", "u-9")
		a.take()
		n.bus.late.Store(true)
		if err := b.join("presence-x", "u-3", ""); err == nil || err.Type != protocol.TypeServer {
			t.Fatalf("got %v", err)
		}
		a.expect(`member_added presence-x {"user_id":"u-3","user_info":{}}`, `member_removed presence-x {"user_id":"u-3"}`)
		b.expect()
	})
}

func TestUnannouncedMemberIsNotAnnouncedAsGone(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		a, b := n.connect(), n.connect()
		a.mustJoin("presence-x", "u-9")
		a.take()
		n.bus.join.Store(true)
		if err := b.join("presence-x", "u-3", ""); err == nil {
			t.Fatal("got no error")
		}
		a.expect()
		if got := n.userIDs("presence-x"); !cmp.Equal(got, []string{"u-9"}) {
			t.Errorf("got members %v", got)
		}
	})
}

func TestSubscribeAgainSurvivesAFailingBus(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		a := n.connect()
		a.mustJoin("cache-x", "")
		a.take()
		n.bus.state.Store(true)
		if err := a.subscribe("cache-x"); err == nil || err.Type != protocol.TypeServer {
			t.Fatalf("got %v", err)
		}
		n.publish("cache-x", "tick", "1")
		a.expect("tick cache-x 1")
	})
}

func TestUserChannelsAreNotJoined(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		if err := n.connect().subscribe("#server-to-user-u-9"); err == nil || err.Type != protocol.TypeAuth {
			t.Errorf("got %v", err)
		}
		n.expectEmpty()
	})
}

func TestLeaveIsIdempotentAndFinal(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		a := n.connect()
		a.mustJoin("prices", "")
		a.close()
		a.close()
		if err := a.subscribe("prices"); err == nil {
			t.Error("a connection that has left joined")
		}
		n.expectEmpty()
	})
}

func TestManySubscriptionsOfOneConnection(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		a := n.connect()
		name := func(i int) string { return fmt.Sprintf("c-%d", i) }
		check := func(from, to int) {
			t.Helper()
			if got := a.Subscriptions(); got != to-from {
				t.Fatalf("got %d subscriptions, want %d", got, to-from)
			}
			for i := range 40 {
				if got, want := a.IsSubscribed(name(i)), from <= i && i < to; got != want {
					t.Fatalf("got %v for %s with %d to %d", got, name(i), from, to)
				}
			}
			if got := len(n.Channels(n.app, "c-")); got != to-from {
				t.Fatalf("got %d channels, want %d", got, to-from)
			}
		}
		for i := range 40 {
			check(0, i)
			a.mustJoin(name(i), "")
		}
		for i := range 40 {
			check(i, 40)
			a.unsubscribe(name(i))
		}
		check(0, 0)
		for i := range 20 {
			a.mustJoin(name(i), "")
		}
		check(0, 20)
		a.close()
		check(0, 0)
	})
}
