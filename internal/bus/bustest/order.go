package bustest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/protocol"
)

func arrivesUnchanged(t *testing.T, n *node) {
	want := &protocol.Publication{
		Topic: topic("a"), Kind: protocol.KindEvent, Event: "tick", Data: []byte(`"{\"p\":1}"`),
		UserID: "1", HasNumericID: true, Count: 3, Except: protocol.NewSocketID(),
	}
	n.join(t, topic("a"))
	published := *want
	n.publishAll(t, bus.Item{Publication: &published, Retain: time.Minute})
	want.Position, want.Properties = published.Position, published.Properties // which the owner gives
	received := n.await(t, topic("a"), published.Position)
	kept := n.state(t, topic("a")).Retained
	if kept == nil {
		t.Fatal("nothing is retained")
	}
	sameID := cmp.Comparer(func(a, b protocol.SocketID) bool { return a == b })
	for what, got := range map[string]*protocol.Publication{"received": received[0], "retained": kept.Publication} {
		if diff := cmp.Diff(want, got, sameID); diff != "" {
			t.Errorf("%s publication differs (-want +got):\n%s", what, diff)
		}
	}
}

func deliversInOrder(t *testing.T, n *node) {
	last := n.join(t, topic("a")).Position
	if last.Epoch == 0 {
		t.Error("epoch is zero")
	}
	var want []string
	for i := range 100 {
		text := strconv.Itoa(i)
		at := n.publish(t, topic("a"), text, 0)
		if !isAfter(last, at) {
			t.Fatalf("position %v follows %v", at, last)
		}
		if got := n.state(t, topic("a")).Position; got != at {
			t.Errorf("position of the state is %v, want %v", got, at)
		}
		last, want = at, append(want, text)
	}
	expectEvents(t, n.await(t, topic("a"), last), want...)
}

func ordersConcurrentPublishers(t *testing.T, n *node) {
	topics := []protocol.Topic{topic("a"), topic("b"), topic("c")}
	var from protocol.Position
	for _, topic := range topics {
		from = n.join(t, topic).Position
		from.Offset = 0
	}
	const publishers, count = 8, 100
	at, last := n.concurrently(t, topics, publishers, count)
	for _, topic := range topics {
		got := n.await(t, topic, last[topic])
		if len(got) != publishers*count {
			t.Errorf("%s: %d publications received, want %d", topic.Name, len(got), publishers*count)
		}
		of := map[string]protocol.Position{}
		for _, p := range got {
			of[p.Event] = at[p.Event]
		}
		n.expectComplete(t, topic, from, of)
	}
}

func checksBatches(t *testing.T, n *node) {
	before := n.join(t, topic("a")).Position
	items := []bus.Item{
		{Publication: &protocol.Publication{Topic: topic("a"), Event: "one"}, Retain: time.Minute},
		{Publication: &protocol.Publication{Topic: protocol.Topic{App: "bustest"}, Event: "of no topic"}},
	}
	if _, err := n.Publish(t.Context(), &bus.Batch{Items: items}); err == nil || errors.Is(err, bus.ErrUncertain) {
		t.Errorf("Publish = %v, want a refusal", err)
	}
	if st := n.state(t, topic("a")); st.Position != before || st.Retained != nil {
		t.Errorf("after a refused batch the state is %+v, want nothing at %v", st, before)
	}
	n.publishAll(t) // nothing
	expectEvents(t, n.await(t, topic("a"), n.publish(t, topic("a"), "two", 0)), "two")
}

func waitsForRoom(t *testing.T, n *node) {
	n.join(t, topic("a"))
	n.setFull(true)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	p := &protocol.Publication{Topic: topic("a"), Event: "one"}
	if _, err := n.Publish(ctx, &bus.Batch{Items: []bus.Item{{Publication: p, Retain: time.Minute}}}); !errors.Is(err, bus.ErrBackpressure) {
		t.Errorf("Publish = %v, want ErrBackpressure", err)
	}
	if st := n.state(t, topic("a")); st.Retained != nil {
		t.Error("a refused publication is retained")
	}
	n.leave(topic("a")) // which waits for nothing
	n.setFull(false)
	n.join(t, topic("a"))
	expectEvents(t, n.await(t, topic("a"), n.publish(t, topic("a"), "two", 0)), "two")
}

// publishesInOneStep lets batches over the same topics race: in each topic the publications of one batch must
// stand together.
func publishesInOneStep(t *testing.T, n *node) {
	const publishers, rounds = 4, 50
	names := []string{"a", "b", "c", "d", "e"}
	for _, name := range names {
		n.join(t, topic(name))
	}
	racing(publishers, func(worker int) {
		for i := range rounds {
			var items []bus.Item
			for range 2 {
				for _, name := range names {
					items = append(items, bus.Item{Publication: &protocol.Publication{Topic: topic(name), Event: fmt.Sprintf("%d-%d", worker, i)}})
				}
			}
			n.publishAll(t, items...)
		}
	})
	for _, name := range names {
		got := events(n.await(t, topic(name), n.publish(t, topic(name), "end", 0)))
		got = got[:len(got)-1]
		if len(got) != 2*publishers*rounds {
			t.Errorf("%s: %d received, want %d", name, len(got), 2*publishers*rounds)
		}
		for i := 0; i+1 < len(got); i += 2 {
			if got[i] != got[i+1] {
				t.Fatalf("%s: %s came between the two of %s", name, got[i+1], got[i])
			}
		}
	}
}

func ignoresOtherTopics(t *testing.T, n *node) {
	n.join(t, topic("a"))
	n.publish(t, topic("b"), "unheard", 0)
	n.publish(t, topic("c"), "unheard", time.Minute)
	n.await(t, topic("a"), n.publish(t, topic("a"), "heard", 0))
	for _, name := range []string{"b", "c"} {
		if got := n.received(t, topic(name)); len(got) != 0 {
			t.Errorf("received %v of %s without a subscription", events(got), name)
		}
	}
}

func joinsAtPosition(t *testing.T, n *node) {
	before := n.publish(t, topic("a"), "before", 0)
	at := n.join(t, topic("a")).Position
	if !at.Covers(before) {
		t.Errorf("joined at %v, which does not cover %v", at, before)
	}
	last := n.publish(t, topic("a"), "after", 0)
	if !isAfter(at, last) {
		t.Errorf("published at %v after a join at %v", last, at)
	}
	n.await(t, topic("a"), last)
	if second := n.join(t, topic("a")).Position; !second.Covers(last) {
		t.Errorf("joined at %v, which does not cover %v", second, last)
	}
}

func leaves(t *testing.T, n *node) {
	n.join(t, topic("a"))
	n.join(t, topic("a"))
	n.join(t, topic("b"))
	n.await(t, topic("a"), n.publish(t, topic("a"), "one", 0))
	n.leave(topic("a"))
	n.await(t, topic("a"), n.publish(t, topic("a"), "two", 0))
	n.leave(topic("a"))
	n.Leave()
	n.Leave(bus.Leave{Topic: topic("never joined"), Part: bus.Part{Version: 1 << 40}})
	n.publish(t, topic("a"), "three", 0)
	n.await(t, topic("b"), n.publish(t, topic("b"), "three", 0))
	expectEvents(t, n.received(t, topic("a")), "one", "two")
	n.join(t, topic("a"))
	expectEvents(t, n.await(t, topic("a"), n.publish(t, topic("a"), "four", 0)), "one", "two", "four")
}

func ignoresOldParts(t *testing.T, n *node) {
	a := topic("a")
	join := func(version uint64, subs uint32) {
		t.Helper()
		if _, err := n.Join(t.Context(), bus.Join{Topic: &a, Part: bus.Part{Version: version, Subscriptions: subs}}); err != nil {
			t.Fatal(err)
		}
	}
	join(1, 1)
	join(3, 1) // the first has left, but this comes before that is told
	n.Leave(bus.Leave{Topic: a, Part: bus.Part{Version: 2}})
	n.await(t, a, n.publish(t, a, "one", 0))
	join(6, 3)
	join(5, 2) // has overtaken
	if got := n.status(t, bus.StatusQuery{App: a.App, Name: a.Name}); len(got) != 1 || got[0].Subscriptions != 3 {
		t.Errorf("status %+v, want 3 subscriptions", got)
	}
	n.Leave(bus.Leave{Topic: a, Part: bus.Part{Version: 9}}, bus.Leave{Topic: a, Part: bus.Part{Version: 8, Subscriptions: 1}})
	n.publish(t, a, "two", 0)
	if got := n.status(t, bus.StatusQuery{App: a.App, Name: a.Name}); len(got) > 0 && got[0].Subscriptions > 0 {
		t.Errorf("status %+v, want no subscriptions", got)
	}
	expectEvents(t, n.received(t, a), "one")
}

// settlesRaces lets first subscribers and last ones race without any order among them.
func settlesRaces(t *testing.T, n *node) {
	const workers, rounds = 6, 200
	a := topic("a")
	racing(workers, func(worker int) {
		for range rounds {
			n.join(t, a)
			at := n.publish(t, a, strconv.Itoa(worker), 0)
			n.await(t, a, at) // there is a subscription, so it must come
			n.leave(a)
		}
	})
	if got := n.status(t, bus.StatusQuery{App: a.App}); len(got) > 0 {
		t.Errorf("status %+v at the end, want nothing", got)
	}
	before := len(n.received(t, a))
	n.publish(t, a, "unheard", 0)
	n.join(t, topic("b"))
	n.await(t, topic("b"), n.publish(t, topic("b"), "heard", 0))
	if got := len(n.received(t, a)); got != before {
		t.Error("received although all have left")
	}
}

func growsUnsubscribed(t *testing.T, n *node) {
	var last protocol.Position
	check := func(what string, at protocol.Position) {
		t.Helper()
		if last != (protocol.Position{}) && !isAfter(last, at) {
			t.Errorf("%s: %v follows %v", what, at, last)
		}
		last = at
	}
	for range 3 {
		check("published without subscription", n.publish(t, topic("a"), "x", 0))
		if at := n.join(t, topic("a")).Position; !at.Covers(last) {
			t.Errorf("joined at %v, before %v", at, last)
		}
		for range 20 {
			check("published with subscription", n.publish(t, topic("a"), "x", 0))
		}
		n.leave(topic("a"))
		if at := n.state(t, topic("a")).Position; !at.Covers(last) {
			t.Errorf("position %v after the last Leave, before %v", at, last)
		}
	}
}

func separatesApps(t *testing.T, n *node) {
	mine, other := topic("a"), protocol.Topic{App: "another", Name: "a"}
	n.join(t, mine)
	n.publish(t, other, "other", time.Minute)
	n.await(t, mine, n.publish(t, mine, "mine", 0))
	n.expectRetained(t, mine, "")
	n.expectRetained(t, other, "other")
	if got := n.received(t, other); len(got) != 0 {
		t.Errorf("received %v of another app", events(got))
	}
}
