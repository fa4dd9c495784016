package protobuf

import (
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/protocol/v2"
)

// Decode reads an Envelope. Fields that it does not know are passed over. It is false for what is no
// message, and where a field has a form that it cannot have. The data shares the memory of b.
func Decode(b []byte) (e v2.Envelope, ok bool) {
	r := reader{rest: b}
	for r.next() {
		switch r.field {
		case fieldEvent:
			e.Event = r.text()
		case fieldChannel:
			e.Channel = r.text()
		case fieldData:
			e.Data, e.Text, e.HasText = nil, nil, false
			r.within(r.bytes(), func(in *reader) { in.data(&e) })
		case fieldUserID:
			e.UserID = r.text()
		case fieldTags:
			e.Tags = append(e.Tags, r.tag())
		case fieldMessageID:
			e.MessageID = r.text()
		case fieldStreamID:
			e.StreamID = r.text()
		case fieldSerial:
			e.Serial = r.uint()
		case fieldExtras:
			e.Extras = r.extras()
		default:
			r.skip()
		}
	}
	e.Tags = v2.SortTags(e.Tags)
	return e, !r.failed
}

// data reads one kind of data. The last one counts.
func (r *reader) data(e *v2.Envelope) {
	for r.next() {
		e.Data, e.Text, e.HasText = nil, nil, false
		switch r.field {
		case dataText:
			e.Text, e.HasText = r.utf8(), true
		case dataJSON:
			e.SetJSON(r.utf8())
		case dataStructured:
			e.Data = r.structured()
		default:
			r.failed = true // binary is not carried yet
		}
	}
}

// structured reads what the original makes of an object with one of three texts. It is an object again.
func (r *reader) structured() jsonscan.Value {
	object := []byte{'{'}
	add := func(name string, value []byte) {
		if len(object) > 1 {
			object = append(object, ',')
		}
		object = append(append(jsonscan.AppendString(object, name), ':'), value...)
	}
	r.within(r.bytes(), func(in *reader) {
		for in.next() {
			switch in.field {
			case structuredChannelData:
				add("channel_data", jsonscan.AppendString(nil, in.utf8()))
			case structuredChannel:
				add("channel", jsonscan.AppendString(nil, in.utf8()))
			case structuredUserData:
				add("user_data", jsonscan.AppendString(nil, in.utf8()))
			case structuredExtra:
				name, value := in.entry()
				text, ok := jsonscan.Parse(value)
				in.failed = in.failed || !ok
				add(name, text)
			default:
				in.skip()
			}
		}
	})
	return append(object, '}')
}

func (r *reader) tag() protocol.Tag {
	key, value := r.entry()
	if !utf8.Valid(value) {
		r.failed = true
	}
	return protocol.Tag{Key: key, Value: string(value)}
}

// entry reads an entry of a map.
func (r *reader) entry() (key string, value []byte) {
	r.within(r.bytes(), func(in *reader) {
		for in.next() {
			switch in.field {
			case entryKey:
				key = in.text()
			case entryValue:
				value = in.bytes()
			default:
				in.skip()
			}
		}
	})
	return key, value
}

func (r *reader) extras() *protocol.Extras {
	var x protocol.Extras
	r.within(r.bytes(), func(in *reader) {
		for in.next() {
			switch in.field {
			case extraHeaders:
				x.Headers = append(x.Headers, in.header())
			case extraEphemeral:
				x.IsEphemeral = in.uint() != 0
			case extraIdempotencyKey:
				x.IdempotencyKey = in.text()
			case extraEcho:
				x.HasEcho, x.Echo = true, in.uint() != 0
			default:
				in.skip()
			}
		}
	})
	x.Headers = v2.SortHeaders(x.Headers)
	return v2.NewExtras(&x)
}

// header reads an entry of headers. A value of no kind is the empty text.
func (r *reader) header() (h protocol.Header) {
	var value []byte
	h.Name, value = r.entry()
	r.within(value, func(in *reader) {
		for in.next() {
			switch in.field {
			case headerText:
				h.Kind, h.Text = protocol.HeaderText, in.text()
			case headerNumber:
				h.Kind, h.Number = protocol.HeaderNumber, in.number()
			case headerBool:
				h.Kind, h.Bool = protocol.HeaderBool, in.uint() != 0
			default:
				in.skip()
			}
		}
	})
	switch h.Kind { // the last one counts
	case protocol.HeaderNumber:
		h.Text, h.Bool = "", false
	case protocol.HeaderBool:
		h.Text, h.Number = "", 0
	default:
		h.Number, h.Bool = 0, false
	}
	return h
}

// reader reads the fields of a message one after the other. After one that is not what was asked for,
// it has failed and reads nothing more.
type reader struct {
	rest   []byte
	field  protowire.Number
	kind   protowire.Type
	failed bool
}

// next moves to the next field, if there is one.
func (r *reader) next() bool {
	if r.failed || len(r.rest) == 0 {
		return false
	}
	var n int
	r.field, r.kind, n = protowire.ConsumeTag(r.rest)
	return r.advance(n)
}

// advance moves n bytes on, which protowire has read, or fails where n is its error.
func (r *reader) advance(n int) bool {
	if n < 0 {
		r.failed = true
		return false
	}
	r.rest = r.rest[n:]
	return true
}

// within reads a message in this one.
func (r *reader) within(message []byte, read func(in *reader)) {
	in := reader{rest: message, failed: r.failed}
	read(&in)
	r.failed = in.failed
}

// bytes is the field, of the type bytes, as a part of what is read.
func (r *reader) bytes() []byte {
	if r.kind != protowire.BytesType {
		r.failed = true
		return nil
	}
	b, n := protowire.ConsumeBytes(r.rest)
	r.advance(n)
	return b
}

// utf8 is a string as a part of what is read.
func (r *reader) utf8() []byte {
	b := r.bytes()
	if !utf8.Valid(b) {
		r.failed = true
	}
	return b
}

func (r *reader) text() string { return string(r.utf8()) }

func (r *reader) uint() uint64 {
	if r.kind != protowire.VarintType {
		r.failed = true
		return 0
	}
	u, n := protowire.ConsumeVarint(r.rest)
	r.advance(n)
	return u
}

// number is a finite number.
func (r *reader) number() float64 {
	if r.kind != protowire.Fixed64Type {
		r.failed = true
		return 0
	}
	bits, n := protowire.ConsumeFixed64(r.rest)
	f := math.Float64frombits(bits)
	if r.advance(n); math.IsNaN(f) || math.IsInf(f, 0) {
		r.failed = true
	}
	return f
}

// skip passes over a field that means nothing here.
func (r *reader) skip() { r.advance(protowire.ConsumeFieldValue(r.field, r.kind, r.rest)) }
