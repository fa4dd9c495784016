package interest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/interest"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/room"
)

// newTable is a table in which channels that begin with ring keep three publications.
func newTable(term log.Term) *interest.Table {
	s := interest.New(interest.Options{
		Term: term, RingCount: 3, HasRing: func(t *protocol.Topic) bool { return strings.HasPrefix(t.Name, "ring") },
	})
	return &s
}

func channel(name string) *protocol.Topic { return &protocol.Topic{App: "app", Name: name} }

func part(version uint64, subscriptions uint32) cluster.Part {
	return cluster.Part{Version: version, Subscriptions: subscriptions}
}

func report(text string, p cluster.Part) cluster.PatternReport {
	return cluster.PatternReport{Pattern: cluster.Pattern{App: "app", Text: text}, Part: p}
}

func TestReceivers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		act  func(*interest.Table, *interest.Topic)
		want []cluster.NodeID
	}{
		"none": {func(*interest.Table, *interest.Topic) {}, nil},
		"nodes with parts, in order": {func(_ *interest.Table, tp *interest.Topic) {
			tp.Take("b", part(1, 1))
			tp.Take("a", part(1, 1))
		}, []cluster.NodeID{"a", "b"}},
		"a node of which it is not known what it wants": {func(s *interest.Table, _ *interest.Topic) { s.Await("a") }, []cluster.NodeID{"a"}},
		"not a node that wants nothing":                 {func(s *interest.Table, _ *interest.Topic) { s.Await("a"); s.Settle("a") }, nil},
		"nodes with patterns that match": {func(s *interest.Table, _ *interest.Topic) {
			s.TakePattern("a", report("ch*", part(1, 1)))
			s.TakePattern("b", report("other*", part(1, 1)))
		}, []cluster.NodeID{"a"}},
		"each node once": {func(s *interest.Table, tp *interest.Topic) {
			tp.Take("a", part(1, 1))
			s.Await("a")
			s.TakePattern("a", report("*", part(1, 1)))
			s.TakePattern("a", report("ch*", part(1, 1)))
		}, []cluster.NodeID{"a"}},
		"not a node that has left": {func(_ *interest.Table, tp *interest.Topic) {
			tp.Take("a", part(1, 1))
			tp.End("a")
			tp.Remove(nil)
		}, nil},
		"a node whose end is older than what is known": {func(_ *interest.Table, tp *interest.Topic) {
			tp.Take("a", part(2, 1))
			tp.Take("a", part(1, 0))
			tp.Remove(nil)
		}, []cluster.NodeID{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newTable(1)
			tp := s.Topic(channel("channel"))
			c.act(s, tp)
			got := s.Deliver(tp, []*cluster.Publication{{Serial: 1}})
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		act  func(*interest.Table)
		want bool
	}{
		"none":                        {func(*interest.Table) {}, false},
		"one that a node has":         {func(s *interest.Table) { s.TakePattern("a", report("x*", part(1, 1))) }, true},
		"without subscriptions, none": {func(s *interest.Table) { s.TakePattern("a", report("x*", part(1, 0))) }, false},
		"an old version changes nothing": {func(s *interest.Table) {
			s.TakePattern("a", report("x*", part(2, 1)))
			s.TakePattern("a", report("x*", part(1, 0)))
		}, true},
		"a later version does": {func(s *interest.Table) {
			s.TakePattern("a", report("x*", part(1, 1)))
			s.TakePattern("a", report("x*", part(2, 0)))
		}, false},
		"the part of another node stays": {func(s *interest.Table) {
			s.TakePattern("a", report("x*", part(1, 1)))
			s.TakePattern("b", report("x*", part(1, 1)))
			s.DropPatterns("a", nil)
		}, true},
		"what was reported stays": {func(s *interest.Table) {
			s.TakePattern("a", report("x*", part(1, 1)))
			s.DropPatterns("a", []cluster.PatternReport{report("x*", part(1, 1))})
		}, true},
		"what was not reported goes": {func(s *interest.Table) {
			s.TakePattern("a", report("x*", part(1, 1)))
			s.DropPatterns("a", []cluster.PatternReport{report("y*", part(1, 1))})
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newTable(1)
			c.act(s)
			if got := s.HasPattern(cluster.Pattern{App: "app", Text: "x*"}); got != c.want {
				t.Errorf("it is there: %v, want %v", got, c.want)
			}
			got := s.Deliver(s.Topic(channel("xy")), []*cluster.Publication{{Serial: 1}})
			if (len(got) > 0) != c.want {
				t.Errorf("what matches is sent to %v", got)
			}
		})
	}
}

// TestARingHasTheLastPublications: at most RingCount of those that were delivered, whatever the sizes of deliveries.
func TestARingHasTheLastPublications(t *testing.T) {
	t.Parallel()
	s := newTable(1)
	tp := s.Topic(channel("ring"))
	st := tp.Stream()
	for _, n := range []int{1, 1, 2, 5, 1} {
		ps := make([]*cluster.Publication, n)
		for i := range ps {
			ps[i] = new(cluster.Publication)
			st.Place(ps[i])
		}
		if s.Deliver(tp, ps); st.Delivered() != ps[n-1].Serial {
			t.Fatalf("delivered %d, want %d", st.Delivered(), ps[n-1].Serial)
		}
		oldest := max(int(ps[n-1].Serial)-3, 0) //nolint:gosec // small
		if st.Has(uint64(oldest)) {             //nolint:gosec // small
			t.Errorf("%d is in the ring, after %d", oldest, st.Delivered())
		}
		for _, p := range st.After(uint64(oldest)) { //nolint:gosec // small
			if oldest++; p.Serial != uint64(oldest) || !st.Has(p.Serial) { //nolint:gosec // small
				t.Errorf("the ring has %d, want %d", p.Serial, oldest)
			}
		}
		if uint64(oldest) != st.Delivered() { //nolint:gosec // small
			t.Errorf("the ring ends with %d, want %d", oldest, st.Delivered())
		}
	}
}

// TestPlacesThatAreTakenBack: the next publication gets the first of them.
func TestPlacesThatAreTakenBack(t *testing.T) {
	t.Parallel()
	st := newTable(1).Topic(channel("ring")).Stream()
	var ps [3]cluster.Publication
	for i := range ps {
		st.Place(&ps[i])
	}
	st.TakeBack(&ps[1])
	st.TakeBack(&ps[2])
	var next cluster.Publication
	if st.Place(&next); next.Serial != 2 || next.StreamID != st.ID() {
		t.Errorf("the next place is %s/%d, want %s/2", next.StreamID, next.Serial, st.ID())
	}
}

// TestIdentitiesOfStreams: no two streams have the same, neither in a term nor in two.
func TestIdentitiesOfStreams(t *testing.T) {
	t.Parallel()
	had := make(map[string]string)
	for term := range log.Term(3) {
		s := newTable(term)
		for i := range 3 {
			for try := range 2 {
				tp := s.Topic(channel(fmt.Sprintf("ring-%d", i)))
				id, what := tp.Stream().ID(), fmt.Sprintf("term %d, topic %d, try %d", term, i, try)
				if other, ok := had[id]; ok && try == 0 {
					t.Errorf("%s has the identity of %s", what, other)
				} else if !ok && try > 0 {
					t.Errorf("%s has another identity, and is the same stream", what)
				}
				had[id] = what
			}
		}
	}
}

// TestALoggedStream stands where the log says, from the first publication after that.
func TestALoggedStream(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		log  log.Stream
		want cluster.Position // of what was delivered
	}{
		"that has publications": {log.Stream{ID: "s", Next: 5}, cluster.Position{StreamID: "s", Serial: 4}},
		"that has none":         {log.Stream{}, cluster.Position{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, topic := newTable(1), channel("logged")
			if s.Loaded(topic, c.log) {
				t.Error("it was loaded, and nothing had asked the log")
			}
			if !s.Load(topic) || s.Load(topic) || !s.IsLoading(topic) {
				t.Error("the log is not asked once")
			}
			if !s.Loaded(topic, c.log) || s.IsLoading(topic) {
				t.Error("it is not loaded")
			}
			got := s.Position(s.Find(topic))
			if c.want.StreamID == "" {
				c.want.StreamID = s.Find(topic).Stream().ID()
			}
			if got != c.want || got.StreamID == "" {
				t.Errorf("it stands at %v, want %v", got, c.want)
			}
		})
	}
}

func TestATopicIsKeptWhileSomethingIsKnownOfIt(t *testing.T) {
	t.Parallel()
	name := channel("presence-x")
	member := place("a", "1.1")
	for what, c := range map[string]struct {
		act, undo func(*interest.Table, *interest.Topic)
	}{
		"a part": {
			func(_ *interest.Table, tp *interest.Topic) { tp.Take("a", part(1, 1)) },
			func(_ *interest.Table, tp *interest.Topic) { tp.Drop("a") },
		},
		"what waits": {
			func(_ *interest.Table, tp *interest.Topic) { tp.Hold() },
			func(_ *interest.Table, tp *interest.Topic) { tp.Release() },
		},
		"a member": {
			func(s *interest.Table, tp *interest.Topic) {
				s.Enter(tp, member)
				_, _ = tp.Join(0, room.Join{Subscriber: member.Subscriber, Member: &protocol.Member{UserID: "u"}})
			},
			func(_ *interest.Table, tp *interest.Topic) {
				gone := tp.PlacesOf("a")
				tp.Remove(gone)
				tp.Leave(gone)
			},
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := newTable(1)
			tp := s.Topic(name)
			c.act(s, tp)
			if s.RemoveIfEmpty(tp); s.Find(name) != tp {
				t.Error("it was removed")
			}
			c.undo(s, tp)
			if s.RemoveIfEmpty(tp); s.Find(name) != nil {
				t.Error("it was not removed")
			}
		})
	}
}

// TestTheRoomHasTheSumOfAllParts, of which it learns with what comes and goes.
func TestTheRoomHasTheSumOfAllParts(t *testing.T) {
	t.Parallel()
	tp := newTable(1).Topic(channel("channel"))
	expect := func(want int) {
		t.Helper()
		if got := tp.Subscriptions(); got != want {
			t.Errorf("there are %d subscriptions, want %d", got, want)
		}
	}
	tp.Take("a", part(1, 2))
	tp.Take("b", part(7, 3))
	_, _ = tp.Join(0, room.Join{})
	expect(5)
	tp.End("b")
	tp.Remove(nil)
	tp.Leave(nil)
	expect(2)
	tp.Take("a", part(2, 0))
	tp.Remove(nil)
	if events := tp.Leave(nil); len(events) != 1 || events[0].Kind != room.ChannelVacated {
		t.Errorf("the last subscription has gone, and the room has decided %v", events)
	}
}

// TestMembersOfANode are its connections, in order; a later join has a greater number.
func TestMembersOfANode(t *testing.T) {
	t.Parallel()
	s := newTable(2)
	tp := s.Topic(channel("presence-x"))
	var last uint64
	for _, p := range []interest.Place{place("a", "1.2"), place("b", "1.3"), place("a", "1.1")} {
		order := s.Enter(tp, p)
		if order <= last {
			t.Errorf("the join of %v is number %d, after %d", p, order, last)
		}
		last = order
	}
	want := []interest.Place{place("a", "1.1"), place("a", "1.2")}
	if got := tp.PlacesOf("a"); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if inNextTerm := newTable(3); inNextTerm.Enter(inNextTerm.Topic(channel("presence-x")), want[0]) <= last {
		t.Error("a join of a later term has a smaller number")
	}
}

func place(id cluster.NodeID, socket string) interest.Place {
	s, ok := protocol.ParseSocketID(socket)
	if !ok {
		panic("no socket id: " + socket)
	}
	return interest.Place{Node: id, Subscriber: s}
}

func TestTopicsAreListedInOrder(t *testing.T) {
	t.Parallel()
	s := newTable(1)
	for _, name := range []string{"c", "a", "b"} {
		if tp := s.Topic(channel(name)); name != "b" {
			tp.Take("n", part(1, 1))
		}
	}
	names := func(ts []*interest.Topic) (got []string) {
		for _, tp := range ts {
			got = append(got, tp.Topic().Name)
		}
		return got
	}
	if d := cmp.Diff([]string{"a", "b", "c"}, names(s.Topics())); d != "" {
		t.Errorf("all topics: %s", d)
	}
	if d := cmp.Diff([]string{"a", "c"}, names(s.TopicsOf("n"))); d != "" {
		t.Errorf("topics of the node: %s", d)
	}
}
