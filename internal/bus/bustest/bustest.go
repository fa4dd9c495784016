// Package bustest is the conformance suite of bus.Bus: what an implementation must do to be one.
// Its test opens its bus and calls [Run] and [RunTimes]. The suite waits for deliveries, so a bus
// whose deliveries take a while passes too. [Slow] and [Flaky] are buses that make the lives of
// callers hard. [RunViews] is the suite of view.Bus.
//
// It knows the contracts only. Its goroutines are publishers and subscribers, joined by their test.
package bustest

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/protocol"
)

// Open makes a bus that delivers to n, empty or at least without a trace of the topics of an
// earlier call, and closes it with t.
type Open func(t *testing.T, n Node) bus.Bus

// Run checks everything but what takes time.
func Run(t *testing.T, open Open) {
	for name, test := range map[string]func(t *testing.T, n *node){
		"a publication arrives as it was published":                     arrivesUnchanged,
		"positions are assigned in order and delivered in order":        deliversInOrder,
		"concurrent publishers of one topic are put in one order":       ordersConcurrentPublishers,
		"a batch is checked before any of it is published":              checksBatches,
		"a member that is no good refuses a batch wherever it stands":   refusesBatches,
		"a batch waits for room, and is refused without it":             waitsForRoom,
		"a batch that finds no room leaves nothing in any topic":        leavesNothingWithoutRoom,
		"a batch is one step in each of its topics":                     publishesInOneStep,
		"a topic without subscription is not received":                  ignoresOtherTopics,
		"everything after the position of Join is received":             joinsAtPosition,
		"nothing published after the last Leave is received":            leaves,
		"a part of an older version changes nothing":                    ignoresOldParts,
		"joins and leaves that race end as the node says":               settlesRaces,
		"offsets grow while there is no subscription":                   growsUnsubscribed,
		"a topic without retained value has none":                       retainsNothing,
		"the last retained publication is kept":                         retainsTheLast,
		"a publication without retention leaves the retained value":     keepsRetained,
		"a retained value survives the last subscription":               retainsAcrossLeave,
		"a retained value and its position are read in one step":        retainsInOneStep,
		"who reads a retained value while subscribed misses nothing":    handsOver,
		"topics of the same name in different apps are different":       separatesApps,
		"members come and go, each user once":                           tellsOfMembers,
		"a full channel refuses new users and nothing has changed":      refusesNewMembers,
		"the state of a joiner and what follows agree with the members": agreesOnMembers,
		"a client event is of the member who sends it":                  namesSenders,
		"a user is online while it has a connection":                    tellsOfUsers,
		"subscriptions and users are counted":                           counts,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newNode(t, open))
		})
	}
}

// node is a bus and what it delivers. It counts its subscriptions as a node does.
type node struct {
	bus.Bus
	*recorder

	mu      sync.Mutex
	version uint64                    // guarded by mu
	subs    map[protocol.Topic]uint32 // guarded by mu
}

func newNode(t *testing.T, open Open) *node {
	r := newRecorder()
	return &node{Bus: open(t, r), recorder: r, subs: map[protocol.Topic]uint32{}}
}

// part counts one more subscription, or one less.
func (n *node) part(t protocol.Topic, change int) bus.Part {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.version++
	n.subs[t] = uint32(int(n.subs[t]) + change)
	return bus.Part{Version: n.version, Subscriptions: n.subs[t]}
}

func topic(name string) protocol.Topic { return protocol.Topic{App: "bustest", Name: name} }

// publish publishes an event whose name is text.
func (n *node) publish(t *testing.T, topic protocol.Topic, text string, ttl time.Duration) protocol.Position {
	t.Helper()
	p := &protocol.Publication{Topic: topic, Event: text}
	n.publishAll(t, bus.Item{Publication: p, Retain: ttl})
	return p.Position
}

func (n *node) publishAll(t *testing.T, items ...bus.Item) {
	t.Helper()
	if got, err := n.Publish(t.Context(), &bus.Batch{Items: items}); err != nil || got.Outcomes != nil {
		t.Errorf("Publish = %v, %v", got, err)
	}
}

// join makes one more subscription.
func (n *node) join(t *testing.T, topic protocol.Topic) bus.State {
	t.Helper()
	st, err := n.Join(t.Context(), bus.Join{Topic: &topic, Part: n.part(topic, 1)})
	if err != nil {
		t.Fatalf("Join: %v", err)
	}
	return st
}

func (n *node) leave(topic protocol.Topic) { n.Leave(bus.Leave{Topic: topic, Part: n.part(topic, -1)}) }

func (n *node) state(t *testing.T, topic protocol.Topic) bus.State {
	t.Helper()
	st, err := n.State(t.Context(), topic)
	if err != nil {
		t.Fatalf("State: %v", err)
	}
	return st
}

func (n *node) status(t *testing.T, q bus.StatusQuery) []bus.Status {
	t.Helper()
	page, err := n.Status(t.Context(), q)
	if err != nil {
		t.Fatalf("Status: %v", err)
	}
	slices.SortFunc(page.Topics, func(a, b bus.Status) int { return compare(a.Name, b.Name) })
	return page.Topics
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// isAfter reports whether b comes after a in one epoch.
func isAfter(a, b protocol.Position) bool { return a.Epoch == b.Epoch && a.Offset < b.Offset }

func events(pubs []*protocol.Publication) []string {
	var all []string
	for _, p := range pubs {
		all = append(all, p.Event)
	}
	return all
}

func expectEvents(t *testing.T, got []*protocol.Publication, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, events(got)); diff != "" {
		t.Errorf("received events differ (-want +got):\n%s", diff)
	}
}

func socketID(n int) protocol.SocketID {
	id, _ := protocol.ParseSocketID(fmt.Sprintf("%d.1", n))
	return id
}

// concurrently publishes count events on each topic from each of several publishers, every
// other one retained, and returns the positions by event, and the last of each topic.
func (n *node) concurrently(t *testing.T, topics []protocol.Topic, publishers, count int) (at map[string]protocol.Position, last map[protocol.Topic]protocol.Position) {
	t.Helper()
	at, last = map[string]protocol.Position{}, map[protocol.Topic]protocol.Position{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range publishers {
		wg.Go(func() {
			for j := range count {
				for _, topic := range topics {
					text := fmt.Sprintf("%s-%d-%d", topic.Name, i, j)
					p := n.publish(t, topic, text, time.Duration(j%2)*time.Hour)
					mu.Lock()
					at[text] = p
					if last[topic].Offset < p.Offset {
						last[topic] = p
					}
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return at, last
}

// racing runs fn in several goroutines at once.
func racing(workers int, fn func(worker int)) {
	var wg sync.WaitGroup
	var started atomic.Int64
	for i := range workers {
		wg.Go(func() {
			for started.Add(1); started.Load() < int64(workers); {
				runtime.Gosched()
			}
			fn(i)
		})
	}
	wg.Wait()
}
