package bustest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/protocol"
)

// RunTimes checks what time does: retained values expire, and notices of counts wait. wait lets at
// least d pass on the clock of every bus that open made, and at most a little more.
func RunTimes(t *testing.T, open Open, wait func(d time.Duration)) {
	n := newNode(t, open)
	expires(t, n, wait)
	notifies(t, n, wait)
}

func expires(t *testing.T, n *node, wait func(d time.Duration)) {
	const ttl = 100 * time.Millisecond
	n.join(t, topic("subscribed"))
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
		if got := n.state(t, a).Position; got != at {
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

// notifies checks that subscribers are told how many they are: the first at once, then once a
// second.
func notifies(t *testing.T, n *node, wait func(d time.Duration)) {
	a := topic("counted")
	var last protocol.Position
	for i := range 3 {
		st, err := n.Join(t.Context(), bus.Join{Topic: &a, Part: n.part(a, 1), HasNotices: true})
		if err != nil {
			t.Fatal(err)
		}
		if last = n.state(t, a).Position; i == 0 && !isAfter(st.Position, last) {
			t.Error("the notice of a join is not after the position of its state")
		}
	}
	told := func() (list []uint32) {
		for _, p := range n.received(t, a) {
			list = append(list, p.Count)
		}
		return list
	}
	n.await(t, a, last)
	if got := told(); len(got) != 1 || got[0] != 1 {
		t.Errorf("told of %v, want of the first", got)
	}
	wait(1100 * time.Millisecond)
	n.await(t, a, n.state(t, a).Position)
	if got := told(); len(got) != 2 || got[1] != 3 {
		t.Errorf("told of %v after a second, want of three", got)
	}
	n.leave(a)
	n.leave(a)
	n.leave(a)
	wait(2 * time.Second)
	if got := told(); len(got) != 2 {
		t.Errorf("told of %v after the last has left", got)
	}
}

// expectRetained checks the event name of the retained value; empty for none.
func (n *node) expectRetained(t *testing.T, topic protocol.Topic, want string) {
	t.Helper()
	got := ""
	if r := n.state(t, topic).Retained; r != nil {
		got = r.Publication.Event
	}
	if got != want {
		t.Errorf("retained value is %q, want %q", got, want)
	}
}

func retainsNothing(t *testing.T, n *node) {
	n.expectRetained(t, topic("a"), "")
	at := n.publish(t, topic("a"), "not kept", 0)
	if st := n.state(t, topic("a")); st.Retained != nil || !st.Position.Covers(at) {
		t.Errorf("State = %+v, want nothing retained at %v or later", st, at)
	}
}

func retainsTheLast(t *testing.T, n *node) {
	for _, text := range []string{"one", "two"} {
		at := n.publish(t, topic("a"), text, time.Minute)
		st := n.state(t, topic("a"))
		if st.Retained == nil {
			t.Fatal("nothing is retained")
		}
		if p := st.Retained.Publication; p.Event != text || p.Position != at || st.Position != at {
			t.Errorf("retained %q of %v at %v, want %q of and at %v", p.Event, p.Position, st.Position, text, at)
		}
		if r := st.Retained.Remaining; r <= 0 || r > time.Minute {
			t.Errorf("remaining time %v, want at most a minute", r)
		}
	}
	n.expectRetained(t, topic("b"), "")
}

func keepsRetained(t *testing.T, n *node) {
	kept := n.publish(t, topic("a"), "kept", time.Minute)
	at := n.publish(t, topic("a"), "not kept", 0)
	if st := n.state(t, topic("a")); st.Retained == nil || st.Retained.Publication.Position != kept || st.Position != at {
		t.Errorf("State = %+v, want the one of %v at %v", st, kept, at)
	}
}

func retainsAcrossLeave(t *testing.T, n *node) {
	n.join(t, topic("a"))
	n.publish(t, topic("a"), "kept", time.Minute)
	n.leave(topic("a"))
	n.expectRetained(t, topic("a"), "kept")
	if st := n.join(t, topic("a")); st.Retained == nil || st.Retained.Publication.Event != "kept" {
		t.Errorf("a joiner is given %+v, want what is retained", st.Retained)
	}
}

// retainsInOneStep reads while others publish: nothing retained may lie between the value
// that was read and the position it was read at.
func retainsInOneStep(t *testing.T, n *node) {
	type reading struct{ value, at protocol.Position }
	var readings []reading
	stop := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		for {
			if st, err := n.State(t.Context(), topic("a")); err != nil {
				t.Errorf("State: %v", err)
			} else if st.Retained != nil {
				readings = append(readings, reading{st.Retained.Publication.Position, st.Position})
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

// handsOver does what a cache channel does: join, read the state, and then count on everything
// later being received.
func handsOver(t *testing.T, n *node) {
	start := n.state(t, topic("a")).Position
	var publisher sync.WaitGroup
	var at map[string]protocol.Position
	publisher.Go(func() { at, _ = n.concurrently(t, []protocol.Topic{topic("a")}, 2, 300) })
	for n.state(t, topic("a")).Position == start {
		if t.Context().Err() != nil {
			return
		}
	}
	from := n.join(t, topic("a")).Position
	publisher.Wait()
	// One more, because the others may all have come before the state was read.
	last := n.publish(t, topic("a"), "last", 0)
	at["last"] = last
	n.await(t, topic("a"), last)
	n.expectComplete(t, topic("a"), from, at)
}
