package envelope

import (
	"errors"
	"math"
	"slices"

	"github.com/millrace/millrace/internal/protocol"
)

var (
	// ErrNewer: a newer Millrace has written it.
	ErrNewer = errors.New("envelope: written by a newer version of Millrace; run that version, on all nodes")
	// ErrDamaged: it is not an envelope, or no longer a whole one.
	ErrDamaged = errors.New("envelope: damaged")
)

// Content says what the data of a publication is.
type Content uint8

// Kinds of data.
const (
	ContentNone   Content = iota // there is no data
	ContentText                  // a string
	ContentJSON                  // one JSON value as it goes on the wire
	ContentBinary                // bytes

	numContents
)

// Action says what a publication does to a versioned message.
type Action uint8

// Actions of Version.
const (
	ActionNone Action = iota
	ActionCreate
	ActionUpdate
	ActionDelete
	ActionAppend // the data is the fragment

	numActions
)

// Publication is one change of a topic as it was decided.
type Publication struct {
	Kind protocol.PublicationKind
	Time int64 // Unix milliseconds at which it was decided

	// StreamID and Serial are its place; both are empty for a topic that keeps nothing. Epoch is of
	// the position that never reaches the wire.
	StreamID string
	Serial   uint64
	Epoch    uint64

	MessageID string
	Event     string // as clients are shown it
	Name      string // the event name of a versioned message
	Count     uint64 // of subscriptions

	Content     Content
	ContentType string // of the data, where the publisher has said it

	UserID       string            // the member or user concerned, or the sender
	HasNumericID bool              // clients are shown UserID as a number
	Except       protocol.SocketID // a connection that does not receive it
	NoDelta      bool              // it is always sent in full

	Tags    []protocol.Tag // by key, each once
	Extras  *protocol.Extras
	Version *Version

	// IdempotencyKey is the request's, and Digest is of the request's content: the record is the
	// claim of the key.
	IdempotencyKey string
	Digest         []byte

	Data []byte // immutable
}

// lastKind is the last kind of publications that have an envelope: changes of views have none.
const lastKind = protocol.KindUserOffline

// Problem says what keeps p from having an envelope; empty if nothing.
func (p *Publication) Problem() string {
	switch {
	case p.Kind > lastKind:
		return "its kind has no envelope"
	case p.Content >= numContents:
		return "the kind of its data is unknown"
	case p.Content == ContentNone && len(p.Data) > 0:
		return "it has data of no kind"
	case p.Content == ContentJSON && len(p.Data) == 0:
		return "its data is no JSON value"
	case !slices.IsSortedFunc(p.Tags, func(a, b protocol.Tag) int { return ascending(a.Key, b.Key) }):
		return "its tags are not in order, each once"
	case p.Version != nil && p.Version.Action >= numActions:
		return "its action is unknown"
	case p.Extras != nil:
		return problemOf(p.Extras)
	}
	return ""
}

// problemOf is Problem for extras.
func problemOf(e *protocol.Extras) string {
	if !slices.IsSortedFunc(e.Headers, func(a, b protocol.Header) int { return ascending(a.Name, b.Name) }) {
		return "its headers are not in order, each once"
	}
	if e.Echo && !e.HasEcho {
		return "it has an echo that means nothing"
	}
	for i := range e.Headers {
		h := &e.Headers[i]
		if h.Kind >= protocol.NumHeaderKinds || math.IsNaN(h.Number) || math.IsInf(h.Number, 0) {
			return "a header has no value"
		}
	}
	return ""
}

// ascending compares so that equal texts are not in order.
func ascending(a, b string) int {
	if a <= b {
		return -1
	}
	return 1
}

// Version is what a publication does to a versioned message.
type Version struct {
	Action        Action
	MessageSerial string // of the message; the same in all its versions
	VersionSerial string
	HistorySerial uint64 // of the publication that has created the message
	Time          int64  // Unix milliseconds
	ClientID      string // who asked for it
	CreatorID     string // who has created the message
	Description   string
	Metadata      []byte // one JSON value
	ClearsName    bool
	ClearsData    bool
	ClearsExtras  bool
}
