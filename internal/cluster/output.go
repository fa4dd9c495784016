package cluster

import (
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// Output is what machines want done, in order. Machines of one node share one; its caller empties it after each input.
type Output struct {
	Effects []Effect
}

// Add appends an effect.
func (o *Output) Add(e Effect) { o.Effects = append(o.Effects, e) }

// Take returns the effects and forgets them.
func (o *Output) Take() []Effect {
	es := o.Effects
	o.Effects = nil
	return es
}

// Effect is one thing that is to be done. It is one of the types below.
type Effect interface{ isEffect() }

type (
	// Send sends a message to a node, which may be the node itself. A node gives it to the link.
	Send struct {
		To      NodeID
		Message Message
	}
	// Append has the log append a group in a term, and tell the owner how that ended. An empty group renews the lease.
	Append struct {
		Partition Partition
		Term      log.Term
		Number    uint64 // of the append, in the term
		Group     []log.Record
	}
	// GiveUp has the log end a term in which an owner does not know what is stored.
	GiveUp struct {
		Partition Partition
		Term      log.Term
	}
	// HandOver has the log give a term's partition to another node. The owner has ended its lease for ever.
	HandOver struct {
		Partition Partition
		Term      log.Term
		To        NodeID
	}
	// Load has the owner told the stream of a topic that is logged, as of all that is committed.
	Load struct {
		Partition Partition
		Topic     protocol.Topic
	}
	// ReadBack has the owner told a page of a topic that is logged.
	ReadBack struct {
		Partition Partition
		Topic     protocol.Topic
		After     uint64
		Until     uint64 // what was delivered: the log has publications up to it
		MaxBytes  int
	}
	// Receive hands publications of one topic to the connections of this node. Silent ones have a place in the topic, but tell
	// connections what they know.
	Receive struct {
		Topic        protocol.Topic
		Term         log.Term // of the owner that has sent them
		Publications []*Publication
		IsSilent     []bool // by publication; nil: none is
	}
	// Lost tells the connections of this node that publications of a topic up to a position do not come. Another
	// stream than before begins with the position.
	Lost struct {
		Topic    protocol.Topic
		From, To Position
	}
	// ReceiveMatching hands events of a channel to the connections of this node that have one of some patterns.
	ReceiveMatching struct {
		Patterns     []string // of the app; all that match and that this node has
		Topic        protocol.Topic
		Publications []*Publication
	}
	// LostMatching tells the connections of this node with a pattern that some of what was published to matching
	// channels may not come.
	LostMatching struct{ Pattern Pattern }
	// Reborn tells that the node has begun another life.
	Reborn struct{ Incarnation Incarnation }
	// Died tells that an owner of this node takes another node for dead.
	Died struct{ Peer Peer }
	// Answer ends a request of a caller of this node.
	Answer struct {
		Request RequestID
		Message Message // Published, Joined, or the pieces of Replayed; nil: Result says why
		Result  Result
	}
)

func (Send) isEffect()            {}
func (Append) isEffect()          {}
func (GiveUp) isEffect()          {}
func (HandOver) isEffect()        {}
func (Load) isEffect()            {}
func (ReadBack) isEffect()        {}
func (Receive) isEffect()         {}
func (Lost) isEffect()            {}
func (ReceiveMatching) isEffect() {}
func (LostMatching) isEffect()    {}
func (Reborn) isEffect()          {}
func (Died) isEffect()            {}
func (Answer) isEffect()          {}
