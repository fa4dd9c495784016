// Package bus is the ordering authority: it gives every publication its place in its topic,
// decides who is in a topic and what is kept of it, and carries what follows to every node that
// is interested. All decisions about a topic are made at one place at a time, its owner. A single
// node is a cluster of one: a local publish goes through the bus too.
//
// It knows topics, publications and members, never connections. Order: positions of one topic
// grow, and every node receives in their order; between topics there is none. Loss: what Publish
// returned without error is received by every node that is interested and alive, or
// [Receiver.Lost] tells the node of the gap.
//
// This package is the contract; implementations are its children, and pass bustest.
package bus

import (
	"context"
	"errors"
	"time"

	"github.com/millrace/millrace/internal/protocol"
)

// Errors of a Bus. Any other error, too, means that nothing has happened.
var (
	// ErrClosed: the bus has been shut down.
	ErrClosed = errors.New("bus: closed")
	// ErrBackpressure: there was no room for what follows until the context ended. Nothing has
	// happened.
	ErrBackpressure = errors.New("bus: fan-out is behind; try again later")
	// ErrUnavailable: the owner of the topic cannot be reached. Nothing has happened.
	ErrUnavailable = errors.New("bus: the owner of the topic cannot be reached; try again later")
	// ErrNotStored: the topic is kept in a log, which cannot store it. Nothing has happened.
	ErrNotStored = errors.New("bus: what is published to the topic is kept, and cannot be stored; try again later")
	// ErrTooLarge: a batch with topics that are kept is larger than a log takes at once. Nothing has
	// happened.
	ErrTooLarge = errors.New("bus: the batch is too large to be stored at once; publish less at a time")
	// ErrUncertain: the owner has not answered. It may have acted, or not.
	ErrUncertain = errors.New("bus: the owner of the topic has not answered; it may have acted")
)

// Receiver takes what the bus delivers to this node. Calls for one topic are never concurrent. A
// receiver must not block and must not call the bus.
type Receiver interface {
	// Receive takes publications of one topic, in the order of positions and without a gap
	// between them, after the publications of the calls before. The slice is the bus's again after the
	// call.
	Receive(ps ...*protocol.Publication)
	// Lost says that publications after from, up to and including to, will not be received.
	Lost(t protocol.Topic, from, to protocol.Position)
}

// Bus decides about topics and carries publications. Implementations are safe for concurrent use.
// A caller must not hold a lock over a call, save over Leave: every other call may wait for another
// node.
type Bus interface {
	// Publish checks the whole batch first: one that is no good refuses all. Then it waits for room
	// until ctx ends. Then, for each topic's owner, it is all or nothing: the owner assigns the
	// next positions, which it writes into the publications, retains what is to be retained and
	// delivers, in one step. Where a topic is kept, the owner gives the publication a serial, a
	// stream and an id (protocol.Properties) and stores it before anything of the part is delivered.
	// Publications must not be changed afterwards. With a nil error Published
	// says of which owners the outcome differs.
	Publish(ctx context.Context, b *Batch) (Published, error)

	// Join makes a subscription known to the owner, who decides whether it may be, and reads the
	// state, in one step: the node receives everything published after State.Position, and maybe
	// some from before. A *protocol.Error is a refusal by the owner, for the client.
	//
	// After any error the caller must call Leave with a higher version: joins of others may have
	// counted the subscription. A Join that has returned is never carried out after that Leave.
	Join(ctx context.Context, j Join) (State, error)

	// Leave makes the end of subscriptions known. It cannot be refused and does not wait: it is
	// carried out in the end, whatever becomes of owners. Of one topic, what is called after it has
	// returned comes after it. A publication under way may still arrive.
	Leave(ls ...Leave)

	// State reads the state of a topic, as Join does, and changes nothing.
	State(ctx context.Context, t protocol.Topic) (State, error)

	// Read reads a part of what is kept of a topic, as of all that was published before.
	Read(ctx context.Context, t protocol.Topic, q Query) (Page, error)

	// Status counts the subscriptions and users of channels.
	Status(ctx context.Context, q StatusQuery) (StatusPage, error)
}

// Batch is what is published together, in order.
type Batch struct {
	Items []Item
}

// Item is one publication of a Batch.
type Item struct {
	Publication *protocol.Publication
	// Retain keeps the publication as the topic's retained value for that long and restarts with
	// each such publication; zero leaves the retained value as it is.
	Retain time.Duration
}

// Published is what has become of a Batch.
type Published struct {
	// Outcomes has one error for each item, nil where it was published. It is nil if all were.
	Outcomes []error
}

// Part is how many subscriptions a node has in a topic. Versions are the node's: of two parts that
// one of a higher version is the later, in whichever order the owner gets them, and the older
// changes nothing.
type Part struct {
	Version       uint64 // above zero
	Subscriptions uint32 // with the one that joins, or without the one that leaves
}

// Join is a subscription that begins.
type Join struct {
	Topic *protocol.Topic // kept while the node has a part in it, so it must not change
	Part
	Subscriber protocol.SocketID // the connection
	Member     *protocol.Member  // as whom, in topics with members; kept, so it must not change
	MaxMembers int               // users that may be members at once; 0 does not limit them
	HasNotices bool              // subscribers are told how many they are
}

// Leave is a subscription that ends.
type Leave struct {
	Topic protocol.Topic
	Part
	Subscriber protocol.SocketID
}

// State is what is true of a topic at Position: what is published later comes after it.
type State struct {
	Position protocol.Position
	Members  []protocol.Member // each user once, in no order; topics with members. It is the caller's
	Retained *Retained         // nil without

	// Stream is up to where the topic is kept at Position: of what is published later the serials follow. It says
	// nothing unless IsKept, and with StreamErr, which says why it is not known.
	Stream    protocol.StreamPosition
	IsKept    bool
	StreamErr error

	// RetainedErr says why the retained value could not be read; Retained says nothing then.
	RetainedErr error
	// IsOnline says, of a protocol.TopicWatch, whether the user is online.
	IsOnline bool
}

// Retained is the last retained publication of a topic.
type Retained struct {
	Publication *protocol.Publication
	Remaining   time.Duration // above zero
}

// StatusQuery says which channels of an app are counted: the one of the Name, or else all with
// subscriptions whose names begin with Prefix.
type StatusQuery struct {
	App    string
	Name   string
	Prefix string

	HasStream bool // with Name: Status.Stream is asked for
}

// StatusPage is the answer to a StatusQuery.
type StatusPage struct {
	Topics []Status // in no order
}

// Status is the numbers of one channel.
type Status struct {
	Name          string
	Subscriptions int
	Users         int                      // distinct ones; topics with members
	Stream        *protocol.StreamPosition // as in State; nil where the channel is not kept
}
