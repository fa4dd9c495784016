package handover_test

import (
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/handover"
	"github.com/millrace/millrace/internal/protocol"
)

// source is topics whose states are a stream and a ring.
type source struct {
	states   map[string]*cluster.TopicState
	versions map[string]uint64
	changes  uint64
	isLogged bool
}

func newSource() *source {
	return &source{states: make(map[string]*cluster.TopicState), versions: make(map[string]uint64)}
}

// Versions implements handover.Source.
func (s *source) Versions() iter.Seq2[*protocol.Topic, uint64] {
	return func(yield func(*protocol.Topic, uint64) bool) {
		for _, name := range slices.Sorted(maps.Keys(s.states)) {
			if !yield(s.states[name].Topic, s.versions[name]) {
				return
			}
		}
	}
}

// State implements handover.Source.
func (s *source) State(_ time.Duration, t *protocol.Topic) (cluster.TopicState, uint64, bool) {
	state := s.states[t.Name]
	if state == nil {
		return cluster.TopicState{}, 0, false
	}
	return *state, s.versions[t.Name], true
}

// IsLogged implements handover.Source.
func (s *source) IsLogged(*protocol.Topic) bool { return s.isLogged }

// publish adds a publication to the ring of a topic, which has it from then on.
func (s *source) publish(name string, bytes int) {
	state := s.states[name]
	if state == nil {
		state = &cluster.TopicState{Topic: &protocol.Topic{App: "app", Name: name}, StreamID: "stream of " + name}
		s.states[name] = state
	}
	s.changes++
	s.versions[name] = s.changes
	next := *state
	next.Delivered++
	p := &cluster.Publication{StreamID: next.StreamID, Serial: next.Delivered, Data: make([]byte, bytes)}
	next.Ring = append(slices.Clip(next.Ring), p)
	s.states[name] = &next
}

func (s *source) remove(name string) { delete(s.states, name) }

// all are the states as a successor is to have them.
func (s *source) all() (list []*cluster.TopicState) {
	for _, name := range slices.Sorted(maps.Keys(s.states)) {
		list = append(list, s.states[name])
	}
	return list
}

var owner = cluster.Peer{Node: "a", Incarnation: 7}

// publications are the same ones.
var publications = cmp.Comparer(func(a, b *cluster.Publication) bool { return a == b })

// successor takes pieces.
type successor struct {
	*handover.Inheritance
	pieces int
}

func (x *successor) take(t *testing.T, m *cluster.Handed) {
	t.Helper()
	m.Term = 3
	in, isNext := x.Take(owner, m)
	if !isNext {
		t.Fatalf("piece %d is not taken", m.Number)
	}
	x.Inheritance = in
	x.pieces++
}

func last(requests, patterns int) handover.Last {
	var l handover.Last
	for i := range requests {
		l.Queue = append(l.Queue, cluster.Forwarded{From: owner, Message: &cluster.AskMembers{Topic: protocol.Topic{Name: strconv.Itoa(i)}}})
	}
	for i := range patterns {
		r := cluster.PatternReport{Pattern: cluster.Pattern{App: "app", Text: strconv.Itoa(i)}}
		l.Patterns = append(l.Patterns, cluster.NodePattern{Node: "b", PatternReport: r})
	}
	l.Rest.Nodes = []cluster.NodeState{{Peer: owner, IsKnown: true}}
	return l
}

// TestASuccessorHasWhatTheOwnerHas: whatever changes between pieces, and however small they are.
func TestASuccessorHasWhatTheOwnerHas(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		s := newSource()
		change := func() {
			name := strconv.Itoa(r.IntN(8))
			if r.IntN(4) == 0 {
				s.remove(name)
			} else {
				s.publish(name, r.IntN(300))
			}
		}
		for range r.IntN(20) {
			change()
		}
		sender, x := handover.NewSender(s, 1+r.IntN(1000), 1<<30), new(successor)
		for range r.IntN(40) {
			if !sender.HasNext() {
				sender.Begin()
			}
			if sender.HasNext() {
				x.take(t, sender.Next(0))
			}
			change()
		}
		want := last(r.IntN(5), r.IntN(5))
		sender.Finish(want)
		for sender.HasNext() {
			if x.Inheritance != nil && x.Rest != nil {
				t.Fatalf("seed %d: the last piece is not the last", seed)
			}
			x.take(t, sender.Next(0))
		}
		got := handover.Last{Queue: x.Queue, Patterns: x.Patterns, Rest: *x.Rest}
		if diff := cmp.Diff(want, got) + cmp.Diff(s.all(), x.Topics(), publications); diff != "" || !sender.IsOver() {
			t.Fatalf("seed %d, over %v (-want +got):\n%s", seed, sender.IsOver(), diff)
		}
	}
}

func TestPieces(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		maxPiece int
		want     int
	}{
		"as much as there is in one":         {1 << 20, 1},
		"a topic and a request each":         {60, 6},
		"a publication each, if not smaller": {1, 8},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, x := newSource(), new(successor)
			for range 3 {
				s.publish("one", 40)
			}
			s.publish("two", 40)
			sender := handover.NewSender(s, test.maxPiece, 1<<20)
			sender.Finish(last(2, 1))
			for sender.HasNext() {
				x.take(t, sender.Next(0))
			}
			if x.pieces != test.want {
				t.Errorf("%d pieces, want %d", x.pieces, test.want)
			}
		})
	}
}

// TestRoundsSendWhatHasChanged and nothing else.
func TestRoundsSendWhatHasChanged(t *testing.T) {
	t.Parallel()
	s := newSource()
	s.publish("changes", 1)
	s.publish("goes", 1)
	s.publish("stays", 1)
	sender := handover.NewSender(s, 1<<20, 1<<20)
	sender.Next(0)
	s.publish("changes", 1)
	s.publish("comes", 1)
	s.remove("goes")
	if n := sender.Begin(); n != 3 || sender.Rounds() != 2 {
		t.Fatalf("%d topics are to be sent in round %d", n, sender.Rounds())
	}
	var got []string
	for _, state := range sender.Next(0).Topics {
		got = append(got, fmt.Sprint(state.Topic.Name, " ", state.Delivered, " ", state.IsGone))
	}
	if diff := cmp.Diff([]string{"changes 2 false", "comes 1 false", "goes 0 true"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := sender.Begin(); n != 0 || sender.HasNext() {
		t.Errorf("%d topics are to be sent, and nothing has changed", n)
	}
}

// TestRingsBeyondTheBound are left out: a stream that is not logged begins again without its ring.
func TestRingsBeyondTheBound(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		isLogged bool
		want     []string
	}{
		"not logged": {false, []string{"a stream of a 1 1", "b  0 0", "c stream of c 1 1"}},
		"logged":     {true, []string{"a stream of a 1 1", "b stream of b 1 0", "c stream of c 1 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSource()
			s.isLogged = test.isLogged
			s.publish("a", 500)
			s.publish("b", 5000)
			s.publish("c", 500)
			sender := handover.NewSender(s, 1<<20, 2000)
			check := func(want ...string) {
				t.Helper()
				var got []string
				for _, x := range sender.Next(0).Topics {
					got = append(got, fmt.Sprint(x.Topic.Name, " ", x.StreamID, " ", x.Delivered, " ", len(x.Ring)))
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
			check(test.want...)
			s.remove("a") // makes room
			s.publish("d", 500)
			sender.Begin()
			check("a  0 0", "d stream of d 1 1")
		})
	}
}

func TestPiecesThatDoNotFollow(t *testing.T) {
	t.Parallel()
	first := &cluster.Handed{Term: 3, Number: 1, Rest: new(cluster.HandedRest)}
	for name, test := range map[string]struct {
		from   cluster.Peer
		piece  cluster.Handed
		isNext bool
	}{
		"the next one":                    {owner, cluster.Handed{Term: 3, Number: 2}, true},
		"a first one of a later term":     {owner, cluster.Handed{Term: 4, Number: 1}, true},
		"one with a gap before it":        {owner, cluster.Handed{Term: 3, Number: 3}, false},
		"one of another term":             {owner, cluster.Handed{Term: 4, Number: 2}, false},
		"one of another node":             {cluster.Peer{Node: "b", Incarnation: 7}, cluster.Handed{Term: 3, Number: 2}, false},
		"one of another life of the node": {cluster.Peer{Node: "a", Incarnation: 8}, cluster.Handed{Term: 3, Number: 2}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in, _ := (*handover.Inheritance)(nil).Take(owner, first)
			in, isNext := in.Take(test.from, &test.piece)
			if isNext != test.isNext || isNext == (in.Rest != nil) {
				t.Errorf("the piece is taken: %v, and the inheritance is whole: %v", isNext, in.Rest != nil)
			}
		})
	}
}
