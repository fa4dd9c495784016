package model

import (
	"slices"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// Keeping says what a topic keeps.
type Keeping uint8

// What a topic may keep.
const (
	KeepsNothing Keeping = iota
	KeepsRing            // a replay ring in the memory of its owner
	KeepsLog
)

// maxNodes is how many nodes History tells apart.
const maxNodes = 64

// History checks that publications are stored, answered and delivered as promised.
//
// A publication is known by an id, which the simulator finds in it wherever it appears. A second try has the id of the
// first. What an owner publishes itself, as the edges of members, has an id of its own, and is observed as such.
//
// What nodes receive is judged by node: from its first join of a topic until its last leave there. How a node passes on
// to its connections what it has received is not in it. A node may leave out what an owner has published itself: Presence judges that.
type History struct {
	report

	// Ring is how many publications a replay ring keeps at least: none of these may be lost within a stream. Zero: not judged.
	Ring uint64

	// Flight is how long a publication may be on its way to a node that is in reach.
	Flight time.Duration

	nodes     *Nodes
	index     map[cluster.NodeID]int
	names     []cluster.NodeID
	topics    map[protocol.Topic]*story
	known     map[string]*message
	unsettled []*message // whose delivery no quiet moment has confirmed
	parts     map[uint64]*part
	partOrder []*part
	takeOvers []time.Duration
}

// story is what has happened to one topic.
type story struct {
	topic    protocol.Topic
	keeping  Keeping
	streams  map[string]*stream
	present  *stream // of a topic that is logged: which its last record is of
	follows  []*follow
	acked    *stream // of the last publication that was acknowledged
	ackedMax uint64  // the highest serial that was acknowledged in it
}

// stream has the publications of one stream by serial.
type stream struct {
	id       string
	messages []*message // by serial less one; nil where none is known
	hasBegun bool       // by a record of the log
	oldest   uint64     // the first serial that the log keeps; zero: all
	term     log.Term   // of the owner that sends it, if the topic is not logged; zero: none yet
}

// message is one publication.
type message struct {
	id     string
	story  *story
	part   *part
	isOwn  bool // the owner's
	node   int  // of the first try
	first  time.Duration
	acked  time.Duration // never: not yet
	tries  int
	open   int // tries without an answer
	maybe  int // tries whose answer left it open
	place  cluster.Position
	stream *stream // in which it has appeared last
	serial uint64

	hasAppeared, isCommitted, isAlone, isReported bool

	owed, got    uint64 // nodes, as bits: which followed the topic at the first try; which have received it
	floor        uint64 // the highest serial that was acknowledged at the first try, in floorOf
	floorOf      *stream
	acknowledged int // tries that were answered Done
}

// part is the items of one request in one partition that are logged.
type part struct {
	number           uint64
	items, committed int
}

// NewHistory makes the history of a cluster in which nothing was published yet.
func NewHistory(nodes *Nodes) *History {
	return &History{
		report: report{name: "history"}, Flight: 5 * time.Second, nodes: nodes, index: map[cluster.NodeID]int{},
		topics: map[protocol.Topic]*story{}, known: map[string]*message{}, parts: map[uint64]*part{},
	}
}

// ObserveTopic notes what a topic keeps. Topics of which it was not told keep nothing.
func (h *History) ObserveTopic(t protocol.Topic, k Keeping) { h.story(t).keeping = k }

// ObserveTakeOver notes that an owner has lost its term, by its death or by a cut. What it had on the way is lost; of topics that keep
// nothing without a word.
func (h *History) ObserveTakeOver(now time.Duration) { h.takeOvers = append(h.takeOvers, now) }

// hasTakenOver reports whether an owner has lost its term between two moments.
func (h *History) hasTakenOver(from, to time.Duration) bool {
	i, _ := slices.BinarySearch(h.takeOvers, from)
	return i < len(h.takeOvers) && h.takeOvers[i] <= to
}

func (h *History) story(t protocol.Topic) *story {
	s := h.topics[t]
	if s == nil {
		s = &story{topic: t, streams: map[string]*stream{}}
		h.topics[t] = s
	}
	return s
}

func (h *History) node(node cluster.NodeID) int {
	i, ok := h.index[node]
	if !ok {
		if i = len(h.names); i == maxNodes {
			panic("model: more than 64 nodes")
		}
		h.index[node] = i
		h.names = append(h.names, node)
	}
	return i
}

func (s *story) stream(id string) *stream {
	x := s.streams[id]
	if x == nil {
		x = &stream{id: id}
		s.streams[id] = x
	}
	return x
}

// at is the publication at a serial, nil if none is known.
func (x *stream) at(serial uint64) *message {
	if serial == 0 || serial > uint64(len(x.messages)) {
		return nil
	}
	return x.messages[serial-1]
}

func (x *stream) end() uint64 { return uint64(len(x.messages)) }

// ObserveAttempt notes that a node begins to publish. The items of one request in one partition that must be stored together have
// the same part, which is not zero.
func (h *History) ObserveAttempt(now time.Duration, node cluster.NodeID, t protocol.Topic, id string, partNumber uint64) {
	s, m := h.story(t), h.known[id]
	if m == nil {
		m = h.add(id, s)
		m.node, m.first = h.node(node), now
		m.floorOf, m.floor = s.acked, s.ackedMax
		for i, f := range s.follows {
			if f != nil && f.isActive {
				m.owed |= 1 << i
			}
		}
		if partNumber != 0 && s.keeping == KeepsLog {
			m.part = h.part(partNumber)
			m.part.items++
		}
	}
	if m.story != s {
		h.violated(now, "%s is published to %q and to %q: an id is of one topic", id, m.story.topic.Name, t.Name)
	}
	m.tries++
	m.open++
}

func (h *History) add(id string, s *story) *message {
	m := &message{id: id, story: s, acked: never}
	h.known[id] = m
	h.unsettled = append(h.unsettled, m)
	return m
}

func (h *History) part(number uint64) *part {
	p := h.parts[number]
	if p == nil {
		p = &part{number: number}
		h.parts[number] = p
		h.partOrder = append(h.partOrder, p)
	}
	return p
}

// ObserveResult notes the answer to a try that a node has begun. A try whose node dies has none.
func (h *History) ObserveResult(now time.Duration, node cluster.NodeID, id string, result cluster.Result, at cluster.Position) {
	m := h.known[id]
	if m == nil || m.open == 0 {
		h.violated(now, "%s is answered, but was not asked for", id)
		return
	}
	m.open--
	switch result {
	case cluster.Done:
		h.acknowledge(now, node, m, at)
	case cluster.Uncertain:
		m.maybe++
	default:
		if m.hasAppeared && m.isRefused() {
			h.refused(now, m)
		}
	}
}

// isRefused reports whether every try was answered with the promise that nothing has happened.
func (m *message) isRefused() bool {
	return !m.isOwn && m.open == 0 && m.maybe == 0 && m.acknowledged == 0
}

func (h *History) refused(now time.Duration, m *message) {
	if !m.isReported {
		m.isReported = true
		h.violated(now, "%s was refused, and is in %q", m.id, m.story.topic.Name)
	}
}

func (h *History) acknowledge(now time.Duration, node cluster.NodeID, m *message, at cluster.Position) {
	s := m.story
	if h.nodes.wasIsolated(node, m.first) {
		m.isAlone = true
	}
	if m.acknowledged++; m.acknowledged > 1 {
		if s.keeping != KeepsNothing && at != m.place {
			h.violated(now, "%s is acknowledged at %s and at %s", m.id, show(m.place), show(at))
		}
		return
	}
	m.acked, m.place = now, at
	if s.keeping == KeepsNothing {
		return
	}
	x := s.stream(at.StreamID)
	if s.keeping == KeepsLog {
		if x.at(at.Serial) != m {
			h.violated(now, "%s is acknowledged at %s, where the log does not have it", m.id, show(at))
			return
		}
	} else if !h.put(now, m, at) {
		return
	}
	if x == m.floorOf && at.Serial <= m.floor {
		h.violated(now, "%s is at %s, but serial %d was acknowledged before it was published", m.id, show(at), m.floor)
	}
	if m.isAlone {
		return // in a stream of one node
	}
	if x != s.acked {
		s.acked, s.ackedMax = x, 0
	}
	s.ackedMax = max(s.ackedMax, at.Serial)
}
