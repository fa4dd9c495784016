package channel_test

import (
	"fmt"
	"runtime"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/protocol"
)

func (c *conn) mustJoinFor(name string, events ...string) {
	c.n.t.Helper()
	if err := c.joinFor(name, "", "", events...); err != nil {
		c.n.t.Fatalf("join %s for %v: %v", name, events, err)
	}
}

func TestFilterOfSubscription(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		a, b := n.connect(), n.connect()
		b.mustJoin("private-x", "")
		a.mustJoinFor("private-x", "tick", "client-a")
		a.expect("subscription_succeeded private-x {}")
		n.publish("private-x", "tick", "1")
		n.publish("private-x", "news", "2")
		for _, event := range []string{"client-a", "client-b"} {
			if err := b.send("private-x", event, `3`); err != nil {
				t.Fatal(err)
			}
		}
		a.expect("tick private-x 1", "client-a private-x 3")
		a.mustJoinFor("private-x", "news")
		n.publish("private-x", "tick", "4")
		n.publish("private-x", "news", "5")
		a.expect("subscription_succeeded private-x {}", "news private-x 5")
		a.unsubscribe("private-x")
		a.mustJoin("private-x", "")
		n.publish("private-x", "tick", "6")
		a.expect("subscription_succeeded private-x {}", "tick private-x 6")
	})
}

// TestFilterStaysWhenItCannotBeReplaced subscribes again while the bus is down.
func TestFilterStaysWhenItCannotBeReplaced(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"presence-x", "cache-fx"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inNode(t, func(t *testing.T, n *node) {
				a := n.connect()
				a.mustJoinFor(name, "tick")
				a.take()
				n.bus.state.Store(true)
				if err := a.joinFor(name, "", "", "news"); err == nil || err.Type != protocol.TypeServer {
					t.Errorf("got %v", err)
				}
				n.publish(name, "tick", "1")
				n.publish(name, "news", "2")
				a.expect("tick " + name + " 1")
			})
		})
	}
}

func TestFilterMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, hub.Options{Shards: 1, MaxFilters: 300})
		a, b := n.connect(), n.connect()
		a.mustJoinFor("prices", "tick")
		a.take()
		refused := func(c *conn, name string) {
			t.Helper()
			if err := c.joinFor(name, "", "", "news"); err == nil || err.Code != protocol.ErrFilter.Code || err.Type != "" {
				t.Errorf("%s: got %v, want code %d without a type", name, err, protocol.ErrFilter.Code)
			}
			c.expect()
		}
		refused(a, "prices")
		refused(b, "prices")
		refused(b, "others")
		refused(b, "cache-fx")
		if got := n.Channels(n.app, ""); len(got) != 1 || b.IsSubscribed("prices") {
			t.Errorf("channels %v, want prices alone", got)
		}
		b.mustJoinFor("prices", "tick") // shares
		b.take()
		n.publish("prices", "tick", "1")
		n.publish("prices", "news", "2")
		a.expect("tick prices 1")
		b.expect("tick prices 1")
		a.close()
		b.close()
		n.expectEmpty()
	})
}

// TestFilterReplacedWhilePublishing is what a client may rely on: from the reply on it gets
// exactly what the new filter lets through.
func TestFilterReplacedWhilePublishing(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"presence-x", "cache-fx"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t, hub.Options{MaxHeld: 1 << 20}) // no second success because of an overflow
				a := n.connect()
				a.mustJoinFor(name, "e0")
				done := make(chan struct{})
				go func() { // ends by itself
					defer close(done)
					for i := range 3000 {
						n.publish(name, fmt.Sprint("e", i%2), strconv.Itoa(i))
					}
				}()
				rounds := 0
				for isDone := false; !isDone; rounds++ {
					a.mustJoinFor(name, fmt.Sprint("e", (rounds+1)%2))
					runtime.Gosched()
					select {
					case <-done:
						isDone = true
					default:
					}
				}
				n.publish(name, "e0", "3000")
				n.publish(name, "e1", "3001")
				checkReplaced(t, a.take(), rounds)
			})
		})
	}
}

// checkReplaced checks that between two successes come, without a gap, events of the filter
// that the first one confirms, then events of the one that the second will confirm.
func checkReplaced(t *testing.T, frames []frame, rounds int) {
	t.Helper()
	successes, last, received := 0, -1, 0
	var event string // of the last frame since the last success
	for _, f := range frames {
		switch f.Event {
		case "pusher_internal:subscription_succeeded":
			successes, event = successes+1, ""
			continue
		case "pusher:cache_miss":
			continue
		}
		var i int
		if _, err := fmt.Sscan(f.Data, &i); err != nil {
			t.Fatal(err)
		}
		confirmed, step := fmt.Sprint("e", (successes+1)%2), i-last
		isInOrder := step > 0
		switch {
		case event == f.Event:
			isInOrder = step == 2
		case event == confirmed:
			isInOrder = step == 1 || step == 3
		case event != "":
			isInOrder = false // back to a filter that was replaced
		case f.Event == confirmed:
			isInOrder = step >= 0 // a replay may repeat what came before
		}
		if !isInOrder {
			t.Fatalf("%v after %d and success %d, which confirmed %s", f, last, successes, confirmed)
		}
		event, last = f.Event, i
		received++
	}
	if successes != rounds+1 || received == 0 {
		t.Errorf("%d successes and %d events, want %d successes", successes, received, rounds+1)
	}
}
