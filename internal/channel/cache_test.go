package channel_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/bus/bustest"
	"github.com/millrace/millrace/internal/protocol"
)

const missFX = "pusher:cache_miss cache-fx "

func TestCacheIsReplayed(t *testing.T) { // K01 to K03, K06
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		a, b := n.connect(), n.connect()
		a.mustJoin("cache-fx", "")
		a.expect("subscription_succeeded cache-fx {}", missFX)
		n.publish("cache-fx", "rate", "1")
		n.publish("cache-fx", "rate", "2")
		a.expect("rate cache-fx 1", "rate cache-fx 2")
		a.close()
		n.expectEmpty()
		b.mustJoin("cache-fx", "")
		b.expect("subscription_succeeded cache-fx {}", "rate cache-fx 2")
		b.mustJoin("cache-fx", "")
		b.expect("subscription_succeeded cache-fx {}", "rate cache-fx 2")
		n.publish("cache-fx", "rate", "3")
		b.expect("rate cache-fx 3")
	})
}

func TestCacheExpires(t *testing.T) { // K05
	t.Parallel()
	bustest.SkipIfSlow(t)
	inNode(t, func(t *testing.T, n *node) {
		n.app.Limits.CacheTTL = time.Second
		n.publish("cache-fx", "rate", "1")
		kept, err := n.Cached(context.Background(), n.app, "cache-fx")
		if err != nil || kept == nil || kept.Remaining != time.Second {
			t.Errorf("got %+v, %v", kept, err)
		}
		pass(2 * time.Second)
		a := n.connect()
		a.mustJoin("cache-fx", "")
		a.expect("subscription_succeeded cache-fx {}", missFX)
	})
}

func TestCacheIgnoresClientEventsAndNotices(t *testing.T) { // K04
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		a, b := n.connect(), n.connect()
		a.mustJoin("presence-cache-x", "u-9")
		if err := a.send("presence-cache-x", "client-a", `1`); err != nil {
			t.Fatal(err)
		}
		b.mustJoin("presence-cache-x", "u-3")
		if got := b.take(); len(got) != 2 || got[1].Event != "pusher:cache_miss" {
			t.Errorf("got %v", got)
		}
	})
}

func TestPresenceCacheHasBoth(t *testing.T) { // M17
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		n.publish("presence-cache-x", "rate", "1")
		a := n.connect()
		a.mustJoin("presence-cache-x", "u-9")
		got := a.take()
		var v view
		if len(got) != 2 || v.apply(got[0]) != nil || len(v.ids()) != 1 || got[1].String() != "rate presence-cache-x 1" {
			t.Errorf("got %v", got)
		}
	})
}

func TestOtherKindsHaveNoCache(t *testing.T) { // K07
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		n.publish("my-cache-1", "rate", "1")
		a := n.connect()
		a.mustJoin("my-cache-1", "")
		a.expect("subscription_succeeded my-cache-1 {}")
		if kept, err := n.Cached(context.Background(), n.app, "my-cache-1"); kept != nil || err != nil {
			t.Errorf("got %+v, %v", kept, err)
		}
	})
}

func TestUnreadableCacheIsAMiss(t *testing.T) { // K11
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		n.publish("cache-fx", "rate", "1")
		n.bus.retained.Store(true)
		a := n.connect()
		a.mustJoin("cache-fx", "")
		a.expect("subscription_succeeded cache-fx {}", missFX)
		n.publish("cache-fx", "rate", "2")
		a.expect("rate cache-fx 2")
	})
}

// TestReplayIsNeverOvertaken joins, again and again, a cache channel that is published to
// all the time: values must only grow.
func TestReplayIsNeverOvertaken(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		done := make(chan struct{})
		go func() { // ends by itself
			defer close(done)
			for i := range 3000 {
				n.publish("cache-fx", "rate", time.Duration(1000+i).String())
			}
		}()
		a := n.connect()
		for round, isDone := 0, false; !isDone; round++ {
			a.mustJoin("cache-fx", "")
			if round%3 == 0 {
				a.unsubscribe("cache-fx")
			}
			select {
			case <-done:
				isDone = true
			default:
			}
		}
		a.mustJoin("cache-fx", "")
		synctest.Wait()
		var last time.Duration
		for _, f := range a.taken() {
			if f.Event != "rate" {
				continue
			}
			value, err := time.ParseDuration(f.Data)
			if err != nil || value < last {
				t.Fatalf("got %v after %v", f, last)
			}
			last = value
		}
		if want := time.Duration(3999); last != want {
			t.Errorf("got %v last, want %v", last, want)
		}
	})
}

func TestReplayIgnoresTheExclusion(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		a := n.connect()
		a.mustJoin("private-cache-x", "")
		a.take()
		p := protocol.Publication{Topic: protocol.Topic{App: n.app.ID, Name: "private-cache-x"}, Event: "rate", Data: []byte(`"1"`), Except: a.ID()}
		if _, err := n.bus.Publish(context.Background(), &bus.Batch{Items: []bus.Item{{Publication: &p, Retain: time.Minute}}}); err != nil {
			t.Fatal(err)
		}
		a.expect()
		a.mustJoin("private-cache-x", "")
		a.expect("subscription_succeeded private-cache-x {}", "rate private-cache-x 1")
	})
}
