package handover

import (
	"iter"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/protocol"
)

// Source is the topics of an owner.
type Source interface {
	// Versions are all topics, in order, with numbers that grow with each change.
	Versions() iter.Seq2[*protocol.Topic, uint64]
	// State is what there is of a topic, with its number; false: nothing.
	State(now time.Duration, t *protocol.Topic) (cluster.TopicState, uint64, bool)
	// IsLogged reports whether the log tells where the stream of a topic stands.
	IsLogged(t *protocol.Topic) bool
}

// Sender is what an owner knows of what it has sent. Its methods are called by one goroutine at a time.
type Sender struct {
	source   Source
	maxPiece int
	maxRings int
	number   uint64 // of the last piece
	rounds   int
	sent     map[protocol.Topic]sent
	rings    int // bytes of publications that the successor has

	todo   []protocol.Topic    // of the round, not sent yet
	rest   *cluster.TopicState // what was not sent of a topic
	last   *Last               // nil: this is not the last round
	isOver bool
}

// sent is what the successor has of a topic.
type sent struct {
	version uint64
	rings   int
}

// Last is what is handed over beside topics, when nothing changes any more.
type Last struct {
	Queue    []cluster.Forwarded
	Patterns []cluster.NodePattern
	Rest     cluster.HandedRest
}

// NewSender begins a hand-over with its first round. A piece has at most so many bytes, but one publication or one request always;
// the rings that are sent have so many together.
func NewSender(from Source, maxPiece, maxRings int) *Sender {
	s := &Sender{source: from, maxPiece: maxPiece, maxRings: maxRings, sent: make(map[protocol.Topic]sent)}
	s.Begin()
	return s
}

// Begin begins a round, and returns how many topics have to be sent in it.
func (s *Sender) Begin() int {
	s.rounds++
	s.todo = nil
	left := make(map[protocol.Topic]bool, len(s.sent))
	for t := range s.sent {
		left[t] = true
	}
	for t, version := range s.source.Versions() {
		delete(left, *t)
		if was, ok := s.sent[*t]; !ok || was.version != version {
			s.todo = append(s.todo, *t)
		}
	}
	for t := range left {
		s.todo = append(s.todo, t)
	}
	slices.SortFunc(s.todo, func(a, b protocol.Topic) int { return a.Compare(&b) })
	return len(s.todo)
}

// Rounds is how many rounds have begun.
func (s *Sender) Rounds() int { return s.rounds }

// Finish begins the last round, which ends with what there is beside topics. From now on nothing that is handed over may change.
func (s *Sender) Finish(l Last) {
	s.Begin()
	s.last = &l
}

// HasNext reports whether the round has another piece.
func (s *Sender) HasNext() bool {
	return s.rest != nil || len(s.todo) > 0 || s.last != nil && !s.isOver
}

// IsOver reports whether the last piece was made.
func (s *Sender) IsOver() bool { return s.isOver }

// Number is the number of the last piece that was made.
func (s *Sender) Number() uint64 { return s.number }

// Next makes the next piece of the round, which has one.
func (s *Sender) Next(now time.Duration) *cluster.Handed {
	s.number++
	m := &cluster.Handed{Number: s.number}
	room := s.maxPiece
	for room > 0 && (s.rest != nil || len(s.todo) > 0) {
		state := s.nextState(now, room)
		room -= state.Size()
		m.Topics = append(m.Topics, state)
	}
	if s.last == nil {
		return m
	}
	for ; room > 0 && len(s.last.Queue) > 0; s.last.Queue = s.last.Queue[1:] {
		room -= s.last.Queue[0].Message.Size()
		m.Queue = append(m.Queue, s.last.Queue[0])
	}
	for ; room > 0 && len(s.last.Patterns) > 0; s.last.Patterns = s.last.Patterns[1:] {
		room -= s.last.Patterns[0].Pattern.Size()
		m.Patterns = append(m.Patterns, s.last.Patterns[0])
	}
	if room > 0 { // nothing is left
		m.Rest, s.isOver = &s.last.Rest, true
	}
	return m
}

// nextState takes what is to be sent next of a topic, with at most so many bytes of its ring, but one publication always.
func (s *Sender) nextState(now time.Duration, room int) cluster.TopicState {
	var state cluster.TopicState
	if s.rest != nil {
		state, s.rest = *s.rest, nil
	} else {
		state = s.take(now, &s.todo[0])
		s.todo = s.todo[1:]
	}
	n, size := 0, 0
	for n < len(state.Ring) && (n == 0 || size < room) {
		size += cluster.SizeOf(state.Ring[n])
		n++
	}
	if n < len(state.Ring) {
		s.rest = &cluster.TopicState{Topic: state.Topic, IsMore: true, Ring: state.Ring[n:]}
		state.Ring = state.Ring[:n:n]
	}
	return state
}

// take takes the state of a topic, and notes it as sent. A ring that exceeds what is sent of rings is left out, and so is the stream
// of a topic that is not logged and has no ring now.
func (s *Sender) take(now time.Duration, t *protocol.Topic) cluster.TopicState {
	s.rings -= s.sent[*t].rings
	state, version, ok := s.source.State(now, t)
	if !ok {
		delete(s.sent, *t)
		return cluster.TopicState{Topic: t, IsGone: true}
	}
	rings := 0
	for _, p := range state.Ring {
		rings += cluster.SizeOf(p)
	}
	if s.rings+rings > s.maxRings {
		rings, state.Ring = 0, nil
		if !s.source.IsLogged(t) {
			state.StreamID, state.Delivered = "", 0
		}
	}
	s.rings += rings
	s.sent[*t] = sent{version, rings}
	return state
}
