// Package bustest is the conformance suite of bus.Bus: what an adapter must do to be one.
// An adapter's test opens its bus and calls [Run] and [RunExpiry]. The suite waits for
// deliveries, so a bus whose deliveries take a while passes too.
//
// It knows the contract only. Its goroutines are publishers, joined by their test.
package bustest

import (
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/protocol"
)

// Open makes a bus that delivers to r, empty or at least without a trace of the topics of an
// earlier call, and closes it with t.
type Open func(t *testing.T, r bus.Receiver) bus.Bus

// Run checks everything but expiry.
func Run(t *testing.T, open Open) {
	for name, test := range map[string]func(t *testing.T, n node){
		"a publication arrives as it was published":                  arrivesUnchanged,
		"positions are assigned in order and delivered in order":     deliversInOrder,
		"concurrent publishers of one topic are put in one order":    ordersConcurrentPublishers,
		"a topic without subscription is not received":               ignoresOtherTopics,
		"everything after the position of Subscribe is received":     subscribesAtPosition,
		"nothing published after Unsubscribe is received":            unsubscribes,
		"offsets grow while nobody is subscribed":                    growsUnsubscribed,
		"a topic without retained value has none":                    retainsNothing,
		"the last retained publication is kept":                      retainsTheLast,
		"a publication without retention leaves the retained value":  keepsRetained,
		"a retained value survives the last subscription":            retainsAcrossUnsubscribe,
		"a retained value and its position are read in one step":     retainsInOneStep,
		"who reads a retained value while subscribed misses nothing": handsOver,
		"topics of the same name in different apps are different":    separatesApps,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newNode(t, open))
		})
	}
}

// node is a bus and what it delivers.
type node struct {
	bus.Bus
	*recorder
}

func newNode(t *testing.T, open Open) node {
	r := newRecorder()
	return node{open(t, r), r}
}

func topic(name string) protocol.Topic { return protocol.Topic{App: "bustest", Name: name} }

// publish publishes an event whose name is text.
func (n node) publish(t *testing.T, topic protocol.Topic, text string, ttl time.Duration) protocol.Position {
	t.Helper()
	at, err := n.Publish(t.Context(), &protocol.Publication{Topic: topic, Event: text}, bus.Retention{TTL: ttl})
	if err != nil {
		t.Errorf("Publish: %v", err)
	}
	return at
}

func (n node) subscribe(t *testing.T, topic protocol.Topic) protocol.Position {
	t.Helper()
	at, err := n.Subscribe(t.Context(), &topic)
	if err != nil {
		t.Fatalf("Subscribe: %v", err)
	}
	return at
}

func (n node) position(t *testing.T, topic protocol.Topic) protocol.Position {
	t.Helper()
	at, err := n.Position(t.Context(), topic)
	if err != nil {
		t.Fatalf("Position: %v", err)
	}
	return at
}

func (n node) retained(t *testing.T, topic protocol.Topic) (*bus.Retained, protocol.Position) {
	t.Helper()
	r, at, err := n.Retained(t.Context(), topic)
	if err != nil {
		t.Fatalf("Retained: %v", err)
	}
	return r, at
}

// expectRetained checks the event name of the retained value; empty for none.
func (n node) expectRetained(t *testing.T, topic protocol.Topic, want string) {
	t.Helper()
	got := ""
	if r, _ := n.retained(t, topic); r != nil {
		got = r.Publication.Event
	}
	if got != want {
		t.Errorf("retained value is %q, want %q", got, want)
	}
}

// isAfter reports whether b comes after a in one epoch.
func isAfter(a, b protocol.Position) bool { return a.Epoch == b.Epoch && a.Offset < b.Offset }

func arrivesUnchanged(t *testing.T, n node) {
	want := &protocol.Publication{
		Topic: topic("a"), Kind: protocol.KindEvent, Event: "tick", Data: []byte(`"{\"p\":1}"`),
		UserID: "1", HasNumericID: true, Count: 3, Except: protocol.NewSocketID(),
	}
	n.subscribe(t, topic("a"))
	published := *want
	at, err := n.Publish(t.Context(), &published, bus.Retention{TTL: time.Minute})
	if err != nil {
		t.Fatalf("Publish: %v", err)
	}
	want.Position = at
	received := n.await(t, topic("a"), at)
	kept, _ := n.retained(t, topic("a"))
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

func deliversInOrder(t *testing.T, n node) {
	last := n.subscribe(t, topic("a"))
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
		if got := n.position(t, topic("a")); got != at {
			t.Errorf("Position = %v, want %v", got, at)
		}
		last, want = at, append(want, text)
	}
	if diff := cmp.Diff(want, events(n.await(t, topic("a"), last))); diff != "" {
		t.Errorf("events differ (-want +got):\n%s", diff)
	}
}

func events(pubs []*protocol.Publication) []string {
	var all []string
	for _, p := range pubs {
		all = append(all, p.Event)
	}
	return all
}

// concurrently publishes count events on each topic from each of several publishers, every
// other one retained, and returns the positions by event, and the last of each topic.
func (n node) concurrently(t *testing.T, topics []protocol.Topic, publishers, count int) (at map[string]protocol.Position, last map[protocol.Topic]protocol.Position) {
	t.Helper()
	at, last = map[string]protocol.Position{}, map[protocol.Topic]protocol.Position{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range publishers {
		wg.Go(func() {
			for j := range count {
				for _, topic := range topics {
					text := fmt.Sprintf("%s-%d-%d", topic.Name, i, j)
					got := n.publish(t, topic, text, time.Duration(j%2)*time.Minute)
					mu.Lock()
					at[text] = got
					if last[topic].Offset < got.Offset {
						last[topic] = got
					}
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return at, last
}

func ordersConcurrentPublishers(t *testing.T, n node) {
	topics := []protocol.Topic{topic("a"), topic("b"), topic("c")}
	for _, topic := range topics {
		n.subscribe(t, topic)
	}
	const publishers, count = 8, 100
	at, last := n.concurrently(t, topics, publishers, count)
	for _, topic := range topics {
		got := n.await(t, topic, last[topic])
		if len(got) != publishers*count {
			t.Errorf("%s: %d publications received, want %d", topic.Name, len(got), publishers*count)
		}
		for i, p := range got {
			if i > 0 && !isAfter(got[i-1].Position, p.Position) {
				t.Fatalf("%s: received %v after %v", topic.Name, p.Position, got[i-1].Position)
			}
			if at[p.Event] != p.Position {
				t.Errorf("%s was published at %v and received at %v", p.Event, at[p.Event], p.Position)
			}
		}
	}
}

func ignoresOtherTopics(t *testing.T, n node) {
	n.subscribe(t, topic("a"))
	n.publish(t, topic("b"), "unheard", 0)
	n.publish(t, topic("c"), "unheard", time.Minute)
	at := n.publish(t, topic("a"), "heard", 0)
	n.await(t, topic("a"), at)
	for _, name := range []string{"b", "c"} {
		if got := n.received(t, topic(name)); len(got) != 0 {
			t.Errorf("received %v of %s without a subscription", events(got), name)
		}
	}
}

func subscribesAtPosition(t *testing.T, n node) {
	before := n.publish(t, topic("a"), "before", 0)
	at := n.subscribe(t, topic("a"))
	if !at.Covers(before) {
		t.Errorf("subscribed at %v, which does not cover %v", at, before)
	}
	last := n.publish(t, topic("a"), "after", 0)
	if !isAfter(at, last) {
		t.Errorf("published at %v after a subscription at %v", last, at)
	}
	n.await(t, topic("a"), last)
}

func unsubscribes(t *testing.T, n node) {
	n.subscribe(t, topic("a"))
	n.subscribe(t, topic("b"))
	n.await(t, topic("a"), n.publish(t, topic("a"), "one", 0))
	n.Unsubscribe(topic("a"))
	n.Unsubscribe(topic("never subscribed"))
	n.publish(t, topic("a"), "two", 0)
	n.await(t, topic("b"), n.publish(t, topic("b"), "three", 0))
	if diff := cmp.Diff([]string{"one"}, events(n.received(t, topic("a")))); diff != "" {
		t.Errorf("received events differ (-want +got):\n%s", diff)
	}
	n.subscribe(t, topic("a"))
	got := n.await(t, topic("a"), n.publish(t, topic("a"), "four", 0))
	if diff := cmp.Diff([]string{"one", "four"}, events(got)); diff != "" {
		t.Errorf("received events differ after subscribing again (-want +got):\n%s", diff)
	}
}

func growsUnsubscribed(t *testing.T, n node) {
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
		if at := n.subscribe(t, topic("a")); !at.Covers(last) {
			t.Errorf("subscribed at %v, before %v", at, last)
		}
		for range 20 {
			check("published with subscription", n.publish(t, topic("a"), "x", 0))
		}
		n.Unsubscribe(topic("a"))
		if at := n.position(t, topic("a")); !at.Covers(last) {
			t.Errorf("position %v after Unsubscribe, before %v", at, last)
		}
	}
}

func separatesApps(t *testing.T, n node) {
	mine, other := topic("a"), protocol.Topic{App: "another", Name: "a"}
	n.subscribe(t, mine)
	n.publish(t, other, "other", time.Minute)
	n.await(t, mine, n.publish(t, mine, "mine", 0))
	n.expectRetained(t, mine, "")
	n.expectRetained(t, other, "other")
	if got := n.received(t, other); len(got) != 0 {
		t.Errorf("received %v of another app", events(got))
	}
}
