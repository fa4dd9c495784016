package bustest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/protocol"
)

// RunExpiry checks that retained values expire. wait lets at least d pass on the clock of
// every bus that open made.
func RunExpiry(t *testing.T, open Open, wait func(d time.Duration)) {
	const ttl = 100 * time.Millisecond
	n := newNode(t, open)
	n.subscribe(t, topic("subscribed"))
	for _, name := range []string{"subscribed", "unsubscribed"} {
		a := topic(name)
		n.publish(t, a, "lasting", time.Hour)
		n.publish(t, a, "one", ttl) // replaces the lasting one
		n.expectRetained(t, a, "one")
		wait(ttl * 2)
		n.expectRetained(t, a, "")

		n.publish(t, a, "two", ttl)
		n.publish(t, a, "three", time.Hour) // starts its own time
		at := n.publish(t, a, "not kept", 0)
		wait(ttl * 2)
		n.expectRetained(t, a, "three")
		if got := n.position(t, a); got != at {
			t.Errorf("%s: position %v, want %v", name, got, at)
		}

		at = n.publish(t, a, "four", ttl)
		wait(ttl * 2)
		n.expectRetained(t, a, "")
		if got := n.publish(t, a, "five", 0); !isAfter(at, got) {
			t.Errorf("%s: published at %v after an expired %v", name, got, at)
		}
	}
}

func retainsNothing(t *testing.T, n node) {
	n.expectRetained(t, topic("a"), "")
	at := n.publish(t, topic("a"), "not kept", 0)
	r, got := n.retained(t, topic("a"))
	if r != nil || !got.Covers(at) {
		t.Errorf("Retained = %v at %v, want none at %v or later", r, got, at)
	}
}

func retainsTheLast(t *testing.T, n node) {
	for _, text := range []string{"one", "two"} {
		at := n.publish(t, topic("a"), text, time.Minute)
		r, got := n.retained(t, topic("a"))
		if r == nil {
			t.Fatal("nothing is retained")
		}
		if r.Publication.Event != text || r.Publication.Position != at || got != at {
			t.Errorf("retained %q of %v at %v, want %q of and at %v", r.Publication.Event, r.Publication.Position, got, text, at)
		}
		if r.Remaining <= 0 || r.Remaining > time.Minute {
			t.Errorf("remaining time %v, want at most a minute", r.Remaining)
		}
	}
	n.expectRetained(t, topic("b"), "")
}

func keepsRetained(t *testing.T, n node) {
	kept := n.publish(t, topic("a"), "kept", time.Minute)
	at := n.publish(t, topic("a"), "not kept", 0)
	r, got := n.retained(t, topic("a"))
	if r == nil || r.Publication.Position != kept || got != at {
		t.Errorf("Retained = %v at %v, want the one of %v at %v", r, got, kept, at)
	}
}

func retainsAcrossUnsubscribe(t *testing.T, n node) {
	n.subscribe(t, topic("a"))
	n.publish(t, topic("a"), "kept", time.Minute)
	n.Unsubscribe(topic("a"))
	n.expectRetained(t, topic("a"), "kept")
	n.subscribe(t, topic("a"))
	n.expectRetained(t, topic("a"), "kept")
}

// retainsInOneStep reads while others publish: nothing retained may lie between the value
// that was read and the position it was read at.
func retainsInOneStep(t *testing.T, n node) {
	type reading struct{ value, at protocol.Position }
	var readings []reading
	stop := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		for {
			if r, at, err := n.Retained(t.Context(), topic("a")); err != nil {
				t.Errorf("Retained: %v", err)
			} else if r != nil {
				readings = append(readings, reading{r.Publication.Position, at})
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	const publishers, count = 4, 200
	at, _ := n.concurrently(t, []protocol.Topic{topic("a")}, publishers, count)
	close(stop)
	reader.Wait()
	isRetained := map[uint64]bool{}
	for i := range publishers {
		for j := 1; j < count; j += 2 {
			isRetained[at[fmt.Sprintf("a-%d-%d", i, j)].Offset] = true
		}
	}
	for _, r := range readings {
		for o := r.value.Offset + 1; o <= r.at.Offset; o++ {
			if isRetained[o] {
				t.Fatalf("read the value of %v at %v, but one was retained at %d", r.value, r.at, o)
			}
		}
	}
}

// handsOver does what a cache channel does: subscribe, read the state, and then count on
// everything later being received.
func handsOver(t *testing.T, n node) {
	start := n.position(t, topic("a"))
	var publisher sync.WaitGroup
	var at map[string]protocol.Position
	publisher.Go(func() { at, _ = n.concurrently(t, []protocol.Topic{topic("a")}, 2, 300) })
	for n.position(t, topic("a")) == start {
		if t.Context().Err() != nil {
			return
		}
	}
	n.subscribe(t, topic("a"))
	_, from := n.retained(t, topic("a"))
	publisher.Wait()
	// One more, because the others may all have come before the state was read.
	last := n.publish(t, topic("a"), "last", 0)
	at["last"] = last
	got := map[protocol.Position]bool{}
	for _, p := range n.await(t, topic("a"), last) {
		got[p.Position] = true
	}
	for text, p := range at {
		if isAfter(from, p) && !got[p] {
			t.Errorf("%s at %v was not received by who read the state at %v", text, p, from)
		}
	}
}
