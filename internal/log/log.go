package log

import (
	"context"
	"errors"

	"github.com/millrace/millrace/internal/protocol"
)

var (
	// ErrFenced: the tenure is over. The group is not stored and never will be.
	ErrFenced = errors.New("log: another term has begun; ask its owner")
	// ErrFull: too much waits to be stored or to be folded. The group is not stored.
	ErrFull = errors.New("log: too much waits to be stored; try again later")
	// ErrNotStored: the group is not stored. The store's error is beside it.
	ErrNotStored = errors.New("log: the records cannot be stored")
	// ErrUncertain: the group may be stored. Reading on, or the next start, settles it.
	ErrUncertain = errors.New("log: it is not known whether the records were stored; the same ids again are safe")
	// ErrTooLarge: the group exceeds MaxGroup. It is not stored.
	ErrTooLarge = errors.New("log: the records are too large together; publish less at a time")
	// ErrInvalid: a record breaks the contract. The group is not stored.
	ErrInvalid = errors.New("log: invalid record")
	// ErrNewer: a newer Millrace has written a group.
	ErrNewer = errors.New("log: written by a newer version of Millrace; run that version")
	// ErrDamaged: what is stored is not a group, or no longer a whole one.
	ErrDamaged = errors.New("log: a stored group is damaged; restore a backup")
	// ErrClosed: the log has ended. The group is not stored.
	ErrClosed = errors.New("log: closed")
	// ErrTrimmed: entries that were asked for are gone. Their records are in the fold.
	ErrTrimmed = errors.New("log: the entries were trimmed; read the fold")
	// ErrNotFolded: what is to be trimmed is not in the fold yet.
	ErrNotFolded = errors.New("log: the entries are not in the fold yet")
	// ErrNoNode: the node that is to own the log is none of its nodes.
	ErrNoNode = errors.New("log: no such node")
)

// MaxGroup is how many bytes a group has at most.
const MaxGroup = 4 << 20

// NodeID names a node.
type NodeID string

// Term is the number of an ownership; a later one is greater. Zero is before all.
type Term uint64

// Index is the place of an entry. The first is 1, and they are dense.
type Index uint64

// Log is one partition's entries. Its methods are safe for concurrent use.
type Log interface {
	// Tenure is not nil while this node owns the partition and has applied everything before.
	// changed is closed at the next change.
	Tenure() (t *Tenure, changed <-chan struct{})
	// Owner is the owner as far as this node knows. It is not known while no majority is heard.
	Owner() (node NodeID, term Term, isKnown bool)
	// Append stores a group, in the order of calls, whole or not at all, and returns when it is
	// durable. It may keep the group, which must not change any more. Groups that are appended
	// at the same time may share an index.
	//
	// ErrFenced, ErrFull, ErrNotStored, ErrTooLarge, ErrInvalid, ErrClosed, and ctx's error by
	// itself: it is not stored. ErrUncertain, alone or beside another: it may be.
	Append(ctx context.Context, t *Tenure, group []Record) (Index, error)
	// Committed is the index of the last entry, zero if there is none. changed is closed when there
	// is a later one.
	Committed() (last Index, changed <-chan struct{})
	// Read calls fn with every committed entry from an index on, in order, until fn fails or there is
	// none. ErrTrimmed: the first of them is gone. The records are fn's.
	Read(ctx context.Context, from Index, fn func(Index, Term, []Record) error) error
	// Trim removes the entries below an index. ErrNotFolded: not all of them are in the fold,
	// and none was removed.
	Trim(ctx context.Context, before Index) error
	// HandOver ends the tenure and gives the partition to a node. What was appended by then is stored
	// or refused when it returns.
	HandOver(ctx context.Context, to NodeID) error
}

// History reads topics, as of all that was acknowledged when it was called. Its methods are
// safe for concurrent use.
type History interface {
	// Stream is the state of a topic's stream, the zero Stream if the topic has none.
	Stream(ctx context.Context, t protocol.Topic) (Stream, error)
	// Page reads a part of a topic. A topic without a stream is empty.
	Page(ctx context.Context, t protocol.Topic, q Query) (Page, error)
}

// Streams says where streams go on, for an owner that is to decide the next serials. Its methods are safe
// for concurrent use.
type Streams interface {
	// End is where a topic's stream goes on, the zero End if the topic has none.
	End(ctx context.Context, t protocol.Topic) (End, error)
	// Keep makes these the apps whose topics are kept, and is durable when it returns. since says
	// behind which entry each has been kept: an app that was kept before Keep goes on, another one
	// begins behind the last entry. A stream whose End is not behind it has ended: what was
	// published while the app was not kept is missing in it.
	Keep(ctx context.Context, apps []string) (since map[string]Index, err error)
}

// End is where a stream goes on.
type End struct {
	StreamID string
	Next     uint64 // the serial of the next publication
	Last     Index  // the last entry with a publication, a purge or a reset of the topic
}

// Usage is about what is kept of one app. It may have what is beyond retention and not removed yet, and
// twice what is being folded.
type Usage struct {
	App            string
	Topics         int // of which something is kept
	Publications   uint64
	Bytes          int64 // of envelopes
	Oldest, Newest int64 // Unix milliseconds
}

// Stream is what is kept of one topic.
type Stream struct {
	ID     string // identity of the serials; it changes with a KindReset only
	Oldest uint64 // the first serial that is kept; Next if none is
	Next   uint64 // the serial of the next publication: 1 at first
	Bytes  int64  // of the envelopes that are kept

	OldestTime, NewestTime int64 // Unix milliseconds; zero if nothing is kept
}

// Count is how many publications are kept.
func (s Stream) Count() uint64 { return s.Next - s.Oldest }

// Query says which publications of a topic. Zero fields do not restrict.
type Query struct {
	After, Before uint64 // serials between these, both exclusive
	Since, Until  int64  // decided between these, both inclusive, in Unix milliseconds
	NewestFirst   bool   // from which end Limit and MaxBytes count, and the order of the page
	Limit         int    // publications; zero: 100
	MaxBytes      int    // of envelopes, but one publication always; zero: 1 MiB
	WithState     bool   // Page.Stream has Bytes and times, which takes longer
}

// Page is an answer. Stream is the state at the moment at which the publications were read, without
// Bytes and times unless the query asks for them.
type Page struct {
	Stream       Stream
	Publications []Publication
	HasMore      bool // there are more in the direction of the query
}

// Purge says what of a topic is to go: what comes before both bounds. Zero does not bound.
type Purge struct {
	BeforeSerial uint64
	BeforeTime   int64 // Unix milliseconds
}

// Removal is a stream before and after a reset or a purge.
type Removal struct{ Was, Is Stream }

// Retention bounds what is kept of a topic. What is zero does not bound. The oldest goes first.
type Retention struct {
	Count uint64
	Bytes int64 // of envelopes
	Age   int64 // milliseconds since the publication was decided
}
