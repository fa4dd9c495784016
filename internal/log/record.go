package log

import (
	"fmt"

	"github.com/millrace/millrace/internal/envelope"
	"github.com/millrace/millrace/internal/protocol"
)

// Kind says what a record does.
type Kind uint8

// Kinds of records. The numbers are stored.
const (
	// KindPublication adds a publication to its topic. Its serial is one more than the serial of
	// the publication before: 1 is the first of a stream. Another stream id than the topic's begins that stream, as
	// a KindReset before it would.
	KindPublication Kind = 1 + iota
	// KindReset removes what the topic has and begins a stream.
	KindReset
	// KindPurge removes the publications of the topic below a serial, if its stream id is the topic's.
	KindPurge
	// KindEdge notes that something has come or gone that webhooks tell. It has no serial.
	KindEdge
	// KindChanges changes entities of an app. It has no serial, and its topic no name.
	KindChanges
	// KindClaim notes a request with an idempotency key. It has no serial, and its topic has the app and the key as names.
	KindClaim
	// KindKnown notes the id of a publication of such a request. It has no serial.
	KindKnown
	// KindState is another document of an app, in the partition of its state. It has no serial, and its topic no name.
	KindState

	lastKind = KindChanges // the others have no stored form yet
)

// Publication is a publication of a log.
type Publication = envelope.Publication

// Record is one decided change of one topic.
type Record struct {
	Topic protocol.Topic
	Kind  Kind

	Publication *Publication // KindPublication
	StreamID    string       // KindReset: of the new stream; KindPurge: of the present one
	Before      uint64       // KindPurge: the first serial that stays
	Edge        *Edge        // KindEdge
	Changes     *Changes     // KindChanges
	Claim       *Claim       // KindClaim
	Known       *Known       // KindKnown
	State       *State       // KindState
}

// State is the document of an app: its settings, keys, revocations, definitions.
type State struct {
	Number uint64 // of the change that made it, dense from 1 in its partition
	ID     string // of that change: one that is asked for again is made once
	Body   []byte // nil: the app is removed
}

// Bounds of names.
const (
	maxName     = 1 << 10
	maxStreamID = 256
)

// check says what is wrong with r.
func (r *Record) check() error {
	problem := ""
	switch {
	case r.Topic.App == "" || (r.Topic.Name == "") != (r.Kind == KindChanges):
		problem = "its topic has no name, or it changes entities and has one"
	case len(r.Topic.App) > maxName || len(r.Topic.Name) > maxName:
		problem = fmt.Sprintf("the name of its topic is longer than %d bytes", maxName)
	case r.Topic.Kind >= protocol.NumTopicKinds:
		problem = fmt.Sprintf("the kind %d of its topic is unknown", r.Topic.Kind)
	case r.Kind == 0 || r.Kind > lastKind:
		problem = fmt.Sprintf("its kind %d is unknown", r.Kind)
	case (r.Kind == KindPublication) != (r.Publication != nil):
		problem = "its kind and its content contradict each other"
	case (r.Kind == KindEdge) != (r.Edge != nil), (r.Kind == KindChanges) != (r.Changes != nil),
		r.hasNoStream() && (r.StreamID != "" || r.Before != 0):
		problem = "its kind and its content contradict each other"
	case r.Kind == KindChanges:
		problem = r.Changes.problem(r.Topic.App)
	case r.Kind == KindEdge:
		problem = r.Edge.problem()
	case r.streamID() == "" || len(r.streamID()) > maxStreamID:
		problem = fmt.Sprintf("its stream id is empty or longer than %d bytes", maxStreamID)
	case r.Kind == KindPublication && r.Publication.Serial == 0:
		problem = "its serial is zero"
	case r.Kind == KindPublication:
		problem = r.Publication.Problem()
	}
	if problem == "" {
		return nil
	}
	return fmt.Errorf("%w of topic %q: %s", ErrInvalid, r.Topic.Name, problem)
}

// hasNoStream reports whether records of the kind concern no stream of publications.
func (r *Record) hasNoStream() bool { return r.Kind == KindEdge || r.Kind == KindChanges }

// streamID is the stream that the record belongs to or begins.
func (r *Record) streamID() string {
	if r.Publication != nil {
		return r.Publication.StreamID
	}
	return r.StreamID
}
