package bustest

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/view"
)

// OpenViews makes a bus of views that delivers to r, empty or at least without a trace of the topics of an
// earlier call.
type OpenViews func(t *testing.T, r bus.Receiver) view.Bus

// RunViews checks a view.Bus. What is published is received when Publish returns: a bus of views does
// not wait, and reaches no other node.
func RunViews(t *testing.T, open OpenViews) {
	for name, test := range map[string]func(t *testing.T, n *viewNode){
		"positions grow and are delivered in order":               viewsInOrder,
		"concurrent publishers of one topic are put in one order": viewsConcurrently,
		"a topic without subscription is not received":            viewsUnsubscribed,
		"everything after the position is received":               viewsFromPosition,
		"subscriptions and publications that race keep the order": viewsRacing,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRecorder()
			test(t, &viewNode{open(t, r), r})
		})
	}
}

// viewNode is a bus of views and what it delivers.
type viewNode struct {
	view.Bus
	*recorder
}

func (n *viewNode) publish(topic protocol.Topic, event string) protocol.Position {
	p := &protocol.Publication{Topic: topic, Kind: protocol.KindChange, Event: event}
	n.Publish(p)
	return p.Position
}

// subscribe makes the node receive a topic, which the bus keeps.
func (n *viewNode) subscribe(topic protocol.Topic) { n.Subscribe(&topic) }

func viewsInOrder(t *testing.T, n *viewNode) {
	n.subscribe(topic("a"))
	last := n.Position(topic("a"))
	if last.Epoch == 0 {
		t.Error("epoch is zero")
	}
	var want []string
	for i := range 100 {
		event := strconv.Itoa(i)
		at := n.publish(topic("a"), event)
		if !isAfter(last, at) {
			t.Fatalf("position %v follows %v", at, last)
		}
		if got := n.Position(topic("a")); !got.Covers(at) {
			t.Errorf("Position is %v after a publication at %v", got, at)
		}
		last, want = at, append(want, event)
	}
	expectEvents(t, n.received(t, topic("a")), want...)
}

func viewsConcurrently(t *testing.T, n *viewNode) {
	const publishers, count = 6, 200
	topics := []protocol.Topic{topic("a"), topic("b")}
	for _, topic := range topics {
		n.subscribe(topic)
	}
	racing(publishers, func(worker int) {
		for i := range count {
			for _, topic := range topics {
				n.publish(topic, fmt.Sprint(worker, i))
			}
		}
	})
	for _, topic := range topics {
		if got := n.received(t, topic); len(got) != publishers*count {
			t.Errorf("%s: %d publications received, want %d", topic.Name, len(got), publishers*count)
		}
	}
}

func viewsUnsubscribed(t *testing.T, n *viewNode) {
	n.subscribe(topic("a"))
	n.publish(topic("a"), "one")
	n.publish(topic("b"), "unheard")
	n.publish(protocol.Topic{App: "another", Name: "a"}, "unheard")
	n.Unsubscribe(topic("a"))
	n.Unsubscribe(topic("never subscribed"))
	n.publish(topic("a"), "unheard")
	n.subscribe(topic("a"))
	n.publish(topic("a"), "two")
	expectEvents(t, n.received(t, topic("a")), "one", "two")
	if got := n.received(t, topic("b")); len(got) != 0 {
		t.Errorf("received %v of a topic without a subscription", events(got))
	}
}

func viewsFromPosition(t *testing.T, n *viewNode) {
	before := n.publish(topic("a"), "before")
	n.subscribe(topic("a"))
	at := n.Position(topic("a"))
	if !at.Covers(before) {
		t.Errorf("position %v does not cover %v", at, before)
	}
	after := n.publish(topic("a"), "after")
	if !isAfter(at, after) {
		t.Errorf("published at %v after position %v", after, at)
	}
	expectEvents(t, n.received(t, topic("a")), "after")
}

// viewsRacing lets one topic come and go while others are published to.
func viewsRacing(t *testing.T, n *viewNode) {
	const rounds = 300
	n.subscribe(topic("a"))
	racing(4, func(worker int) {
		for i := range rounds {
			if worker == 0 {
				n.subscribe(topic("b"))
				n.publish(topic("b"), strconv.Itoa(i))
				n.Unsubscribe(topic("b"))
				continue
			}
			n.publish(topic("a"), fmt.Sprint(worker, i))
		}
	})
	if got := n.received(t, topic("a")); len(got) != 3*rounds {
		t.Errorf("%d publications received, want %d", len(got), 3*rounds)
	}
	if got := n.received(t, topic("b")); len(got) != rounds {
		t.Errorf("%d publications of the topic that comes and goes received, want %d", len(got), rounds)
	}
}
