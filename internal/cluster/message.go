package cluster

import (
	"slices"
	"time"

	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// Publication is a publication as owners, logs and links have it.
type Publication = log.Publication

// Message is what one node tells another over a link, which keeps their order. Everything that a message holds is
// immutable once it is sent.
type Message interface {
	// Size is about how many bytes it takes on a link.
	Size() int
}

// RequestID is the number of a request of one node in one incarnation. They grow, and an answer carries the number.
type RequestID uint64

// RequestOf is the number of a message that an owner answers; false for other messages.
func RequestOf(m Message) (RequestID, bool) {
	switch m := m.(type) {
	case *Publish:
		return m.Request, true
	case *Claim:
		return m.Request, true
	case *Join:
		return m.Request, true
	case *Replay:
		return m.Request, true
	case *JoinPattern:
		return m.Request, true
	case *Change:
		return m.Request, true
	case *Mutate:
		return m.Request, true
	default:
		return 0, false
	}
}

// Item is a publication that a node asks the owner to publish. The owner gives it its place and time.
type Item struct {
	Topic       protocol.Topic
	Publication *Publication // without StreamID, Serial and Epoch; its MessageID, if it has one, makes a second try safe
	Retain      time.Duration
	KnownFor    time.Duration // of items that were asked for with a key: how long the log keeps the id; zero: it does not
}

// Part is how many subscriptions a node has in a topic. Of two parts of one incarnation the one of a higher version is
// the later, in whichever order the owner gets them.
type Part struct {
	Version       uint64 // above zero
	Subscriptions uint32
}

// Messages of a node to the owner of a partition.
type (
	// Publish asks for publications of one partition: all or none of them.
	Publish struct {
		Request   RequestID
		Partition Partition
		Items     []Item
		Term      log.Term // in which the owner was asked first
		IsAgain   bool     // the node has asked this owner before, and a gap of a link may have the answer; ids do not say
	}
	// Claim asks for a key, in the partition of the key.
	Claim struct {
		Request   RequestID
		Partition Partition
		Key       Key
		Digest    string
		Items     int
		TTL       time.Duration
	}
	// Settle tells the owner the answer to the request that has a key. It has no answer itself: without it a
	// later try asks for all publications again, under the same ids.
	Settle struct {
		Partition Partition
		Key       Key
		Number    uint64 // of the claim
		Answer    []Position
	}
	// Join makes a subscription known. The owner enters the node, then answers.
	Join struct {
		Request RequestID
		Topic   *protocol.Topic
		Part
		Subscriber protocol.SocketID
		Member     *protocol.Member // of topics with members
		MaxMembers int
		// WantsMembers: the answer tells who is there, since the node does not know yet.
		WantsMembers bool
	}
	// Leave makes the end of a subscription known. It has no answer.
	Leave struct {
		Topic protocol.Topic
		Part
		Subscriber protocol.SocketID
	}
	// Replay asks for what was published after a position, up to the moment of the answer.
	Replay struct {
		Request RequestID
		Topic   protocol.Topic
		After   Position
	}
	// AskMembers asks for Members.
	AskMembers struct {
		Topic protocol.Topic
	}
	// Report is a piece of all that a node has in a partition, for an owner that has begun a term.
	Report struct {
		Partition Partition
		Term      log.Term
		Topics    []TopicReport
		Patterns  []PatternReport
		IsLast    bool
	}
)

// TopicReport is what a node has in one topic.
type TopicReport struct {
	Topic *protocol.Topic
	Part
	Position Position // up to which the node has received
	Members  []MemberReport
}

// Has reports whether a connection is there: of a topic without members, any.
func (r *TopicReport) Has(id protocol.SocketID) bool {
	if r == nil || r.Subscriptions == 0 {
		return false
	}
	return len(r.Members) == 0 || slices.ContainsFunc(r.Members, func(m MemberReport) bool { return m.Subscriber == id })
}

// MemberReport is one connection of a node in a topic with members.
type MemberReport struct {
	Subscriber protocol.SocketID
	Member     *protocol.Member
	Order      uint64 // which an owner gave to the join; zero: none has answered it yet
}

// Messages of the owner of a partition to a node.
type (
	// Published answers Publish. It has an outcome for each item.
	Published struct {
		Request  RequestID
		Term     log.Term
		Outcomes []Outcome
	}
	// Claimed answers Claim.
	Claimed struct {
		Request RequestID
		Term    log.Term
		Result  Result     // Done, Unavailable, Conflict or Busy
		Number  uint64     // of the claim
		Answer  []Position // of the publications; nil: they may not have been published yet
	}
	// Joined answers Join: what is published after Position comes as Deliver.
	Joined struct {
		Request  RequestID
		Term     log.Term
		Topic    protocol.Topic
		Position Position
		Order    uint64            // of the join, in topics with members
		Members  []protocol.Member // where the Join wants them
		Retained *Publication
		Refusal  *protocol.Error // nil: it has joined
	}
	// Replayed answers Replay with one piece. The last piece reaches the position of the topic at the moment at which it
	// was sent: the next Deliver goes on there.
	Replayed struct {
		Request      RequestID
		Term         log.Term
		Topic        protocol.Topic
		After        Position // which was asked for
		Publications []*Publication
		Position     Position // after Publications
		Result       ReplayResult
		IsLast       bool // otherwise the node asks again, from Position
	}
	// Deliver has publications of a topic in which the node is interested, contiguous and in order.
	Deliver struct {
		Partition    Partition
		Term         log.Term
		Topic        protocol.Topic
		Publications []*Publication
	}
	// Stands tells the position of a topic to a node that has reported another one.
	Stands struct {
		Partition Partition
		Term      log.Term
		Topic     protocol.Topic
		Position  Position
	}
	// Members tells who is in a topic at a position, to a node that may have missed some of their coming and going.
	Members struct {
		Partition Partition
		Term      log.Term
		Topic     protocol.Topic
		Position  Position
		Members   []protocol.Member
	}
	// Moved answers any request to a node that does not own the partition.
	Moved struct {
		Request   RequestID
		Partition Partition
	}
	// Dropped tells a node that an owner has taken it for dead: it begins another incarnation.
	Dropped struct {
		Incarnation Incarnation
	}
)

// Heartbeat is what every node tells each of its peers all the time: who owns what, as far as it knows.
type Heartbeat struct {
	Owners  []Ownership
	Decides bool // the sender owns a partition, under a valid lease
}

// Outcome is what has become of an item.
type Outcome struct {
	Result   Result
	Position Position // Done
}

// Result says what has become of a request.
type Result uint8

// Results.
const (
	Done        Result = iota // it has happened
	Unavailable               // it has not happened, and may be tried again
	Uncertain                 // it may have happened; only a second try with the same ids is safe
	Invalid                   // it has not happened, and never will
	Conflict                  // another request has the key
	Busy                      // it has not happened: there is no room for more keys or patterns
	Misplaced                 // a batch with a Feed is not the next one of its topic: it may have happened
)

// ReplayResult says where a replay comes from, or why there is none.
type ReplayResult uint8

// Results of a replay.
const (
	Hot             ReplayResult = iota // from the memory of the owner
	Cold                                // from the log
	StreamReset                         // the topic has another stream; Position is of it
	PositionExpired                     // what follows the position is not kept any more; Position is the topic's
)
