package log

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/millrace/millrace/internal/envelope"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/varint"
)

// groupForm is the version of the form of groups.
const groupForm = 1

// Part is a record in the form in which it is stored.
type Part struct {
	Topic    protocol.Topic
	Kind     Kind
	StreamID string
	Serial   uint64   // KindPublication; KindPurge: the first that stays
	Time     int64    // KindPublication
	Edge     *Edge    // KindEdge; not to be changed
	Changes  *Changes // KindChanges; not to be changed

	// envelope is the publication's, without its data if that is shared with an earlier record.
	envelope, shared []byte
}

// Size is how long the envelope is.
func (p *Part) Size() int { return len(p.envelope) + envelope.SizeOfData(p.shared) }

// Envelope is the publication's. It must not be changed.
func (p *Part) Envelope() []byte {
	if p.shared == nil {
		return p.envelope
	}
	return envelope.AppendData(slices.Clip(p.envelope), p.shared)
}

// Record decodes the part.
func (p *Part) Record() (Record, error) {
	r := Record{Topic: p.Topic, Kind: p.Kind, StreamID: p.StreamID}
	switch p.Kind {
	case KindPublication:
		publication, err := envelope.Decode(p.Envelope())
		if err != nil {
			return r, err
		}
		r.Publication, r.StreamID = publication, ""
	case KindPurge:
		r.Before = p.Serial
	case KindEdge:
		r.Edge = p.Edge
	case KindChanges:
		r.Changes = p.Changes
	case KindReset: // the stream id is all
	case KindClaim, KindKnown, KindState: // they have no stored form yet
	}
	return r, nil
}

// Encode makes the stored form of a group, and the parts that refer to it. Data that several
// records share, the same bytes in memory, is stored once.
//
// The form: one byte, the number of records, and each of them: its kind, the kind of its topic,
// the app and the name of the topic; then for a publication how many records
// before the one that has its data is, zero for none, and the envelope; for an edge what appendEdge says, for changes what appendChanges says; for the other
// kinds the stream id and, for a purge, the serial. Numbers are uvarints; what has a length has it before.
func Encode(group []Record) (body []byte, parts []Part, err error) {
	if len(group) == 0 {
		return nil, nil, fmt.Errorf("%w: the group is empty", ErrInvalid)
	}
	size := 16
	for i := range group {
		if err := group[i].check(); err != nil {
			return nil, nil, err
		}
		size += group[i].roughSize()
	}
	if size > MaxGroup {
		return nil, nil, fmt.Errorf("%w: about %d bytes, at most %d", ErrTooLarge, size, MaxGroup)
	}
	body = make([]byte, 0, size)
	body = append(body, groupForm)
	body = binary.AppendUvarint(body, uint64(len(group)))
	parts = make([]Part, len(group))
	for i := range group {
		body = appendRecord(body, group, parts, i)
	}
	return body, parts, nil
}

func (r *Record) roughSize() int {
	const fixed = 160
	size := fixed + len(r.Topic.App) + len(r.Topic.Name) + len(r.StreamID)
	if r.Edge != nil {
		size += r.Edge.size()
	}
	if r.Changes != nil {
		size += r.Changes.size()
	}
	if p := r.Publication; p != nil {
		size += len(p.StreamID) + len(p.MessageID) + len(p.Event) + len(p.Data)
	}
	return size
}

// appendRecord appends the record at i.
func appendRecord(body []byte, group []Record, parts []Part, i int) []byte {
	r, p := &group[i], &parts[i]
	*p = Part{Topic: r.Topic, Kind: r.Kind, StreamID: r.streamID(), Serial: r.Before, Edge: r.Edge, Changes: r.Changes}
	body = append(body, byte(r.Kind), byte(r.Topic.Kind))
	body = varint.Append(varint.Append(body, r.Topic.App), r.Topic.Name)
	if r.Kind == KindEdge {
		return appendEdge(body, r.Edge)
	}
	if r.Kind == KindChanges {
		return appendChanges(body, r.Changes)
	}
	if r.Kind != KindPublication {
		body = varint.Append(body, r.StreamID)
		if r.Kind == KindPurge {
			body = binary.AppendUvarint(body, r.Before)
		}
		return body
	}
	p.Serial, p.Time = r.Publication.Serial, r.Publication.Time
	back := sharedWith(group, i)
	body = binary.AppendUvarint(body, uint64(back))
	start := len(body)
	body = envelope.AppendWithoutData(body, r.Publication)
	if back == 0 {
		body = envelope.AppendData(body, r.Publication.Data)
	} else {
		p.shared = r.Publication.Data
	}
	size := len(body) - start
	body = varint.Enclose(body, start)
	p.envelope = body[len(body)-size : len(body) : len(body)]
	return body
}

// sharedWith is how many records before i the nearest one with the same data is; zero if none.
func sharedWith(group []Record, i int) int {
	const far = 16 // parts of one request follow one another
	data := group[i].Publication.Data
	if len(data) == 0 {
		return 0
	}
	for back := 1; back <= min(i, far); back++ {
		if p := group[i-back].Publication; p != nil && len(p.Data) == len(data) && &p.Data[0] == &data[0] {
			return back
		}
	}
	return 0
}
