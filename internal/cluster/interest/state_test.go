package interest_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/interest"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/room"
)

// sockets are compared as they are.
var sockets = cmp.Comparer(func(a, b protocol.SocketID) bool { return a == b })

func socket(n int) protocol.SocketID {
	id, _ := protocol.ParseSocketID(fmt.Sprintf("%d.%d", n, n))
	return id
}

// member has a connection of a node join a presence channel.
func member(s *interest.Table, t *interest.Topic, node cluster.NodeID, n int, user string, p cluster.Part) {
	t.Take(node, p)
	_, _ = t.Join(0, room.Join{Subscriber: socket(n), Member: &protocol.Member{UserID: user, Info: []byte(strconv.Itoa(n))}})
	s.Enter(t, interest.Place{Node: node, Subscriber: socket(n)})
}

// TestAStateIsRestored at another owner: what it tells there is the same.
func TestAStateIsRestored(t *testing.T) {
	t.Parallel()
	for name, fill := range map[string]func(*interest.Table){
		"a topic that keeps nothing": func(s *interest.Table) {
			tp := s.Topic(channel("plain"))
			tp.Take("b", part(7, 2))
			tp.Take("a", part(3, 1))
			_, _ = tp.Join(0, room.Join{})
		},
		"members, in the order in which they have joined": func(s *interest.Table) {
			tp := s.Topic(channel("presence-x"))
			member(s, tp, "b", 9, "u1", part(1, 1))
			member(s, tp, "a", 5, "u1", part(1, 1))
			member(s, tp, "b", 1, "u2", part(2, 2))
		},
		"more members than are searched one by one": func(s *interest.Table) {
			tp := s.Topic(channel("presence-x"))
			for i := range 20 {
				member(s, tp, "a", 20-i, fmt.Sprint("u", i%12), part(uint64(i)+1, uint32(i)+1))
			}
		},
		"a ring": func(s *interest.Table) {
			tp := s.Topic(channel("ring"))
			for range 5 {
				p := new(cluster.Publication)
				tp.Stream().Place(p)
				s.Deliver(tp, []*cluster.Publication{p})
			}
		},
		"a publication that is retained": func(s *interest.Table) {
			s.Topic(channel("cache-x")).Retain(0, &cluster.Publication{Event: "e", Data: []byte("d"), Serial: 4}, time.Minute)
		},
		"a stream of the log": func(s *interest.Table) {
			s.Load(channel("log"))
			s.Loaded(channel("log"), log.Stream{ID: "x", Next: 12})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := newTable(3), newTable(4)
			fill(from)
			for _, tp := range from.Topics() {
				state := tp.State(0)
				restored := to.Restore(0, &state)
				if diff := cmp.Diff(state, restored.State(0), sockets); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(tp.Members(), restored.Members()); diff != "" {
					t.Errorf("members (-want +got):\n%s", diff)
				}
				if got, want := restored.Subscriptions(), tp.Subscriptions(); got != want {
					t.Errorf("%d subscriptions, want %d", got, want)
				}
			}
		})
	}
}

// TestAStreamThatIsNotHandedOver begins again under another identity.
func TestAStreamThatIsNotHandedOver(t *testing.T) {
	t.Parallel()
	from, to := newTable(3), newTable(4)
	tp := from.Topic(channel("ring"))
	state := tp.State(0)
	state.StreamID = ""
	if id := to.Restore(0, &state).Stream().ID(); id == "" || id == tp.Stream().ID() {
		t.Errorf("the stream has the identity %q, and had %q before", id, tp.Stream().ID())
	}
}

// TestVersionsGrow with each change that another owner must know, also of a topic that was forgotten in between.
func TestVersionsGrow(t *testing.T) {
	t.Parallel()
	s := newTable(1)
	find := func() *interest.Topic { return s.Topic(channel("presence-x")) }
	last := find().Version()
	for _, change := range []struct {
		name string
		do   func(*interest.Topic)
	}{
		{"a part", func(tp *interest.Topic) { tp.Take("a", part(1, 1)) }},
		{"a member", func(tp *interest.Topic) { member(s, tp, "a", 1, "u", part(2, 2)) }},
		{"a publication", func(tp *interest.Topic) { s.Deliver(tp, []*cluster.Publication{{Serial: 1}}) }},
		{"a stream", func(*interest.Topic) {
			s.Load(channel("presence-x"))
			s.Loaded(channel("presence-x"), log.Stream{ID: "x", Next: 1})
		}},
		{"an end", func(tp *interest.Topic) {
			tp.End("a")
			ps := tp.PlacesOf("a")
			tp.Remove(ps)
			tp.Leave(ps)
		}},
	} {
		change.do(find())
		if now := find().Version(); now <= last {
			t.Errorf("%s: the version is %d, and was %d", change.name, now, last)
		} else {
			last = now
		}
	}
	tp := s.Topic(channel("plain"))
	tp.Take("a", part(1, 0))
	last = tp.Version()
	tp.Remove(nil)
	s.RemoveIfEmpty(tp)
	if now := s.Topic(channel("plain")).Version(); now <= last {
		t.Errorf("the version of a topic that was forgotten is %d, and was %d", now, last)
	}
}

// TestLeavesThatWereLost: what a node has in a topic ends with its last subscription.
func TestLeavesThatWereLost(t *testing.T) {
	t.Parallel()
	first, second := interest.Place{Node: "a", Subscriber: socket(1)}, interest.Place{Node: "a", Subscriber: socket(2)}
	for name, test := range map[string]struct {
		left cluster.Part
		want []interest.Place
	}{
		"a subscription is left": {part(4, 1), []interest.Place{second}},
		"none is left":           {part(4, 0), []interest.Place{first, second}},
		"none was left before":   {part(2, 0), []interest.Place{second}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newTable(1)
			tp := s.Topic(channel("presence-x"))
			member(s, tp, "b", 3, "u", part(1, 1))
			member(s, tp, "a", 1, "u", part(1, 1))
			member(s, tp, "a", 2, "u", part(3, 2))
			tp.Take("a", test.left)
			if diff := cmp.Diff(test.want, tp.EndsWith(second), sockets); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
