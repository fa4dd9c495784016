package bustest

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/protocol"
)

// OpenNodes makes the bus of each of several nodes of one cluster, in which nothing is published. Each delivers to its Node.
type OpenNodes func(t *testing.T, ns ...Node) []bus.Bus

// RunNodes checks what several nodes see of one another, through Publish, Join and Leave alone. with calls a function with an
// OpenNodes of which it makes use once.
func RunNodes(t *testing.T, with func(t *testing.T, use func(t *testing.T, open OpenNodes))) {
	for name, test := range map[string]func(t *testing.T, ns []*node){
		"all nodes receive one order":                       receivesOneOrder,
		"batches of several nodes are one step":             publishesInOneStepAcross,
		"a node that joins receives all after its position": joinsAcross,
		"members of all nodes are each told once":           tellsOfMembersAcross,
		"a full channel is full on all nodes":               refusesAcross,
		"a joiner on any node is given the retained value":  retainsAcross,
		"an older part of one node changes nothing":         ignoresOldPartsAcross,
		"joins and leaves that race end as each node says":  settlesRacesAcross,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			with(t, func(t *testing.T, open OpenNodes) { test(t, newNodes(t, open)) })
		})
	}
}

func newNodes(t *testing.T, open OpenNodes) (ns []*node) {
	var to []Node
	for range 3 {
		r := newRecorder()
		to = append(to, r)
		ns = append(ns, &node{recorder: r, subs: map[protocol.Topic]uint32{}})
	}
	for i, b := range open(t, to...) {
		ns[i].Bus = b
	}
	return ns
}

func receivesOneOrder(t *testing.T, ns []*node) {
	const count = 40
	a := topic("a")
	for _, n := range ns {
		n.join(t, a)
	}
	racing(len(ns), func(i int) {
		for j := range count {
			ns[i].publish(t, a, fmt.Sprint(i, "-", j), 0)
		}
	})
	last := ns[0].publish(t, a, "end", 0)
	first := ns[0].await(t, a, last)
	if len(first) != len(ns)*count+1 {
		t.Errorf("%d received, want %d", len(first), len(ns)*count+1)
	}
	for i, n := range ns[1:] {
		if diff := cmp.Diff(places(first), places(n.await(t, a, last))); diff != "" {
			t.Errorf("node %d receives another order (-first +this):\n%s", i+1, diff)
		}
	}
}

// places are events with their positions.
func places(ps []*protocol.Publication) (all []string) {
	for _, p := range ps {
		all = append(all, fmt.Sprint(p.Event, " at ", p.Position))
	}
	return all
}

func publishesInOneStepAcross(t *testing.T, ns []*node) {
	const rounds = 20
	a := topic("a")
	ns[0].join(t, a)
	racing(len(ns), func(i int) {
		for j := range rounds {
			var items []bus.Item
			for range 3 {
				items = append(items, bus.Item{Publication: &protocol.Publication{Topic: a, Event: fmt.Sprint(i, "-", j)}})
			}
			ns[i].publishAll(t, items...)
		}
	})
	got := events(ns[0].await(t, a, ns[0].publish(t, a, "end", 0)))
	if len(got) != 3*len(ns)*rounds+1 {
		t.Fatalf("%d received, want %d", len(got), 3*len(ns)*rounds+1)
	}
	for i := 0; i+3 < len(got); i += 3 {
		if got[i] != got[i+1] || got[i] != got[i+2] {
			t.Fatalf("something came between the three of %s: %v", got[i], got[i:i+3])
		}
	}
}

func joinsAcross(t *testing.T, ns []*node) {
	a := topic("a")
	for round := range 5 {
		at := map[string]protocol.Position{}
		var from protocol.Position
		racing(2, func(i int) {
			if i == 1 {
				from = ns[1+round%2].join(t, a).Position
				return
			}
			for j := range 60 {
				text := fmt.Sprint(round, "-", j)
				at[text] = ns[0].publish(t, a, text, 0)
			}
		})
		n := ns[1+round%2]
		last := ns[0].publish(t, a, "end", 0)
		n.await(t, a, last)
		n.expectComplete(t, a, from, at)
		n.leave(a)
	}
}

func tellsOfMembersAcross(t *testing.T, ns []*node) {
	x := topic("presence-x")
	ns[0].mustEnter(t, x, 1, "u-1")
	st := ns[1].mustEnter(t, x, 2, "u-2")
	if diff := cmp.Diff([]string{"u-1 1", "u-2 2"}, memberLines(st.Members)); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
	ns[1].mustEnter(t, x, 3, "u-1") // on another node than before
	received := func(n *node, last protocol.Position, want ...string) {
		t.Helper()
		got := noticeLines(n.await(t, x, last))
		if diff := cmp.Diff(want, got[max(0, len(got)-len(want)):]); diff != "" {
			t.Errorf("received (-want +got):\n%s", diff)
		}
	}
	received(ns[0], ns[0].publish(t, x, "one", 0), "added u-2 2", "one")
	ns[0].exit(x, 1) // u-1 is still on the other node
	ns[2].mustEnter(t, x, 4, "u-4")
	received(ns[1], ns[1].publish(t, x, "two", 0), "one", "added u-4 4", "two")
	ns[1].exit(x, 3)
	received(ns[2], ns[1].publish(t, x, "three", 0), "two", "removed u-1", "three")
	if st := ns[0].mustEnter(t, x, 5, "u-5"); len(st.Members) != 3 {
		t.Errorf("members %v, want three", memberLines(st.Members))
	}
}

func refusesAcross(t *testing.T, ns []*node) {
	x := topic("presence-x")
	ns[0].mustEnter(t, x, 1, "u-1")
	if _, err := ns[1].enter(t, x, 2, "u-2", 1); err == nil {
		t.Error("a second user joins a channel of one on another node")
	}
	ns[1].exit(x, 2)
	if _, err := ns[2].enter(t, x, 3, "u-1", 1); err != nil {
		t.Errorf("another connection of a member on another node: %v", err)
	}
}

func retainsAcross(t *testing.T, ns []*node) {
	a := topic("a")
	expect := func(n *node, want string) {
		t.Helper()
		if r := n.join(t, a).Retained; r == nil || r.Publication.Event != want {
			t.Errorf("retained is %+v, want %q", r, want)
		}
	}
	ns[0].publish(t, a, "one", time.Hour)
	expect(ns[1], "one")
	ns[2].publish(t, a, "two", time.Hour)
	ns[0].publish(t, a, "not kept", 0)
	expect(ns[0], "two")
	ns[0].leave(a)
	ns[1].leave(a)
	expect(ns[2], "two")
}

func ignoresOldPartsAcross(t *testing.T, ns []*node) {
	a := topic("a")
	join := func(n *node, version uint64, subs uint32) {
		t.Helper()
		if _, err := n.Join(t.Context(), bus.Join{Topic: &a, Part: bus.Part{Version: version, Subscriptions: subs}}); err != nil {
			t.Fatal(err)
		}
	}
	join(ns[0], 5, 2)
	join(ns[1], 1, 1)
	ns[0].Leave(bus.Leave{Topic: a, Part: bus.Part{Version: 4}}) // was overtaken
	ns[1].Leave(bus.Leave{Topic: a, Part: bus.Part{Version: 2}}) // its versions are its own
	join(ns[2], 1, 1)
	last := ns[1].publish(t, a, "one", 0)
	expectEvents(t, ns[0].await(t, a, last), "one")
	expectEvents(t, ns[2].await(t, a, last), "one")
	expectEvents(t, ns[1].received(t, a))
}

func settlesRacesAcross(t *testing.T, ns []*node) {
	const rounds = 40
	a := topic("a")
	racing(2*len(ns), func(worker int) {
		n := ns[worker%len(ns)]
		for range rounds {
			if _, err := n.Join(t.Context(), bus.Join{Topic: &a, Part: n.part(a, 1), Subscriber: socketID(worker)}); err != nil {
				t.Errorf("Join: %v", err)
				return
			}
			n.await(t, a, n.publish(t, a, strconv.Itoa(worker), 0)) // there is a subscription, so it must come
			n.exit(a, worker)
		}
	})
	ns[0].join(t, a)
	var before []int
	for _, n := range ns {
		before = append(before, len(n.received(t, a)))
	}
	ns[0].await(t, a, ns[1].publish(t, a, "end", 0))
	for i, n := range ns[1:] {
		if got := len(n.received(t, a)); got != before[i+1] {
			t.Errorf("node %d has received although it has left", i+1)
		}
	}
}
