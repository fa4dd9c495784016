package cluster

import (
	"time"

	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// Messages of a hand-over, by which the owner of a partition gives all it has to a successor.
//
// The owner sends Handed while it goes on to decide. Then it stops: it tells every node with Stopped, which is the last
// that it sends as the owner, and a node answers with Paused, which is the last that it sends to this owner. So
// the last Handed has all that nodes have sent, and nodes have all that the owner has delivered. The owner
// decides nothing more in its term, whether the hand-over succeeds or not.
type (
	// Handed is a piece of what an owner has. Pieces are numbered from 1, and one without a gap before it is answered
	// with Taken. What it says of a topic takes the place of what an earlier piece has said.
	Handed struct {
		Partition Partition
		Term      log.Term
		Number    uint64
		Topics    []TopicState
		Queue     []Forwarded // requests that were not carried out, in the order in which they came
		Patterns  []NodePattern
		Rest      *HandedRest // of the last piece
	}
	// Taken says that the successor has all pieces up to a number.
	Taken struct {
		Partition Partition
		Term      log.Term
		Number    uint64
	}
	// Stopped tells a node that an owner decides nothing more in its term.
	Stopped struct {
		Partition Partition
		Term      log.Term
	}
	// Paused answers Stopped.
	Paused struct {
		Partition Partition
		Term      log.Term
	}
	// AskReport has a node report.
	AskReport struct {
		Partition Partition
		Term      log.Term
	}
)

// TopicState is what an owner has of a topic.
type TopicState struct {
	Topic     *protocol.Topic
	IsGone    bool // it has nothing any more
	IsMore    bool // it has more of Ring than the state before, and nothing else
	Nodes     []NodePart
	Members   []PlaceState // in the order in which they have joined
	StreamID  string       // empty: the successor begins another stream, or reads it from the log
	Delivered uint64
	Ring      []*Publication
	Retained  *Publication
	RetainFor time.Duration
}

// NodePart is the part of a node in a topic.
type NodePart struct {
	Node NodeID
	Part
}

// NodePattern is the part of a node in a pattern.
type NodePattern struct {
	Node NodeID
	PatternReport
}

// PlaceState is a connection of a node that is a member.
type PlaceState struct {
	Node       NodeID
	Subscriber protocol.SocketID
	Order      uint64 // of the join
	Member     *protocol.Member
}

// HandedRest is what an owner has beside topics.
type HandedRest struct {
	Nodes   []NodeState
	Dropped []Peer
}

// NodeState is a node that is alive, as far as an owner hears.
type NodeState struct {
	Peer
	IsKnown bool // the owner has heard all that the node has in topics
}

// Forwarded is a message of a node that its owner has not carried out.
type Forwarded struct {
	From    Peer
	Message Message
}

// Size implements Message.
func (m *Handed) Size() int {
	n := sizeFixed
	for i := range m.Topics {
		n += m.Topics[i].Size()
	}
	for _, f := range m.Queue {
		n += sizeFixed + f.Message.Size()
	}
	for i := range m.Patterns {
		n += sizeFixed + m.Patterns[i].Pattern.Size()
	}
	if m.Rest != nil {
		n += sizeFixed * (len(m.Rest.Nodes) + len(m.Rest.Dropped))
	}
	return n
}

// Size is about how many bytes the state takes on a link.
func (s *TopicState) Size() int {
	n := sizeFixed + sizeOfTopic(s.Topic) + len(s.StreamID) + sizeFixed*len(s.Nodes) + sizeOfAll(s.Ring)
	for i := range s.Members {
		n += sizeOfMember(s.Members[i].Member)
	}
	if s.Retained != nil {
		n += sizeOfPublication(s.Retained)
	}
	return n
}

// SizeOf is about how many bytes a publication takes on a link.
func SizeOf(p *Publication) int { return sizeOfPublication(p) }

// Size implements Message.
func (*Taken) Size() int { return sizeFixed }

// Size implements Message.
func (*Stopped) Size() int { return sizeFixed }

// Size implements Message.
func (*Paused) Size() int { return sizeFixed }

// Size implements Message.
func (*AskReport) Size() int { return sizeFixed }

// Loss is nothing that matters: the owner gives up what is not answered.
func (*Handed) Loss() Loss { return Loss{} }

// Loss is nothing that matters: the owner gives up what is not answered.
func (*Taken) Loss() Loss { return Loss{} }

// Loss is nothing that matters: a node that was not told reports to the next owner.
func (*Stopped) Loss() Loss { return Loss{} }

// Loss is nothing that matters: the next owner asks a node for a report that has not answered.
func (*Paused) Loss() Loss { return Loss{} }

// Loss is what the owner misses without the message: the link tells it, and it asks again.
func (*AskReport) Loss() Loss { return Loss{Reports: true} }
