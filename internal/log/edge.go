package log

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"slices"

	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/varint"
)

// EdgeKind says what has come or gone.
type EdgeKind uint8

// Kinds of edges. The numbers are stored.
const (
	// EdgeTopic: the topic has its first subscription, or has lost its last one: of a channel, it is occupied or vacated; of a
	// user, the user is online or offline.
	EdgeTopic EdgeKind = 1 + iota
	// EdgeMember: the first connection of a user has joined the topic, or the last one has left it.
	EdgeMember

	lastEdge = EdgeMember
)

// Cause says why something is gone.
type Cause uint8

// Causes. The numbers are stored.
const (
	CauseLeft     Cause = iota // a client has left, or its connection has ended
	CauseNodeDied              // the node of its connections is gone
	CauseOrphaned              // it was found to be gone when an owner compared what was told with what is

	lastCause = CauseOrphaned
)

// Edge is a coming or going that webhooks tell. It is stored before it is told.
type Edge struct {
	ID    string // of the telling: the same each time that it is told
	Kind  EdgeKind
	Is    bool   // it has come
	User  string // EdgeMember
	Info  []byte // EdgeMember that has come: its user_info
	Cause Cause  // of what is gone
	Node  NodeID // of what has come: where its first connection is
	Life  uint64 // of the node
	Time  int64  // Unix milliseconds at which it was decided
}

// Subject is what an edge is about. Of one subject, edges alternate.
type Subject struct {
	Topic protocol.Topic
	User  string // empty: the topic itself
}

// Compare orders subjects: by app, kind and name of the topic, then by user, the topic itself first.
func (s *Subject) Compare(other *Subject) int {
	return cmp.Or(s.Topic.Compare(&other.Topic), cmp.Compare(s.User, other.User))
}

// Present is a subject that webhooks were told to be there, by the edge with which it came.
type Present struct {
	Subject
	ID   string
	Node NodeID
	Life uint64
	Time int64
}

// Present is the subject of an edge of a topic as it is after the edge, which has come.
func (e *Edge) Present(t protocol.Topic) Present {
	return Present{Subject: Subject{Topic: t, User: e.User}, ID: e.ID, Node: e.Node, Life: e.Life, Time: e.Time}
}

// Told reads what webhooks were told to be there. Its methods are safe for concurrent use.
type Told interface {
	// Told lists the subjects of an app, of all apps if app is empty, whose last edge says that they have come, in the order
	// of Compare. It is the state after a whole number of groups, with all that was acknowledged when the loop
	// began. An error comes last. The loop keeps a place among the readers of the log: its body must be short and must not call the log.
	Told(ctx context.Context, app string) iter.Seq2[Present, error]
}

// problem says what is wrong with e, empty if nothing is.
func (e *Edge) problem() string {
	switch {
	case e.ID == "" || len(e.ID) > maxName:
		return fmt.Sprintf("its id is empty or longer than %d bytes", maxName)
	case e.Kind == 0 || e.Kind > lastEdge:
		return fmt.Sprintf("its kind %d of edge is unknown", e.Kind)
	case e.Cause > lastCause:
		return fmt.Sprintf("its cause %d is unknown", e.Cause)
	case (e.Kind == EdgeMember) != (e.User != "") || len(e.User) > maxName:
		return fmt.Sprintf("it has a user and is none of a member, or the reverse, or the user is longer than %d bytes", maxName)
	case e.Is && (e.Node == "" || len(e.Node) > maxName):
		return fmt.Sprintf("its node is empty or longer than %d bytes", maxName)
	case e.Is && e.Cause != 0:
		return "it has come and has a cause of going"
	case !e.Is && (e.Node != "" || e.Life != 0):
		return "it is gone and has a node"
	case len(e.Info) > 0 && !(e.Is && e.Kind == EdgeMember):
		return "it has information about a member and is no member that has come"
	case e.Time < 0:
		return "its time is before 1970"
	}
	return ""
}

// size is about how many bytes e takes when it is stored.
func (e *Edge) size() int { return len(e.ID) + len(e.User) + len(e.Info) + len(e.Node) }

// appendEdge appends the stored form: the kind, 1 for what has come and 0 for what is gone, the id, the user and the time; then
// of what has come the node, its life and the information, and of what is gone the cause.
func appendEdge(body []byte, e *Edge) []byte {
	is := byte(0)
	if e.Is {
		is = 1
	}
	body = append(body, byte(e.Kind), is)
	body = varint.Append(varint.Append(body, e.ID), e.User)
	body = binary.AppendUvarint(body, uint64(e.Time)) //nolint:gosec // problem has refused a negative one
	if !e.Is {
		return append(body, byte(e.Cause))
	}
	body = binary.AppendUvarint(varint.Append(body, string(e.Node)), e.Life)
	return varint.Append(body, e.Info)
}

// edge reads what appendEdge has appended.
func (r *groupReader) edge() *Edge {
	e := &Edge{Kind: EdgeKind(r.Byte())}
	if r.Err == nil && (e.Kind == 0 || e.Kind > lastEdge) {
		r.Err = fmt.Errorf("%w (edge of kind %d)", ErrNewer, e.Kind)
	}
	switch is := r.Byte(); {
	case is == 1:
		e.Is = true
	case is > 1:
		r.Damage("an edge that has neither come nor gone")
	}
	e.ID, e.User = r.Text(), r.Text()
	e.Time = int64(r.Uvarint()) //nolint:gosec // check refuses a negative one
	if e.Is {
		e.Node, e.Life = NodeID(r.Text()), r.Uvarint()
		e.Info = slices.Clone(r.Bytes())
		if len(e.Info) == 0 {
			e.Info = nil
		}
		return e
	}
	e.Cause = Cause(r.Byte())
	if r.Err == nil && e.Cause > lastCause {
		r.Err = fmt.Errorf("%w (cause %d of an edge)", ErrNewer, e.Cause)
	}
	return e
}
