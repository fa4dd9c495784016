package messagepack

import (
	"math"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"

	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/protocol/v2"
)

// fields are the names of the elements of a message, where it is a map.
var fields = [...]string{ //nolint:gochecknoglobals // never changed
	"event", "channel", "data", "name", "user_id", "tags", "sequence", "conflation_key", "message_id", "stream_id",
	"serial", "idempotency_key", "extras", "delta_sequence", "delta_conflation_key",
}

// extras are the names of the elements of extras.
var extras = [...]string{extraHeaders, extraEphemeral, extraIdempotencyKey, extraEcho} //nolint:gochecknoglobals // never changed

// Names of the elements of extras.
const (
	extraHeaders        = "headers"
	extraEphemeral      = "ephemeral"
	extraIdempotencyKey = "idempotency_key"
	extraEcho           = "echo"
)

// Decode reads what a client sends: an array with all elements, or a map (v2 1.5). It is false for
// anything else, and for what follows the message. The data shares the memory of b.
func Decode(b []byte) (e v2.Envelope, ok bool) {
	r := reader{rest: b}
	r.each(fields[:], func(field string) { r.field(&e, field) })
	return e, !r.failed && len(r.rest) == 0
}

// field reads an element of a message.
func (r *reader) field(e *v2.Envelope, name string) {
	switch name {
	case "event":
		e.Event = r.text()
	case "channel":
		e.Channel = r.text()
	case "data":
		r.data(e)
	case "user_id":
		e.UserID = r.text()
	case "tags":
		e.Tags = r.tags()
	case "message_id":
		e.MessageID = r.text()
	case "stream_id":
		e.StreamID = r.text()
	case "serial":
		e.Serial = r.uint()
	case "extras":
		e.Extras = r.extras()
	default:
		r.skip()
	}
}

// data reads a kind and a value.
func (r *reader) data(e *v2.Envelope) {
	e.Data, e.Text, e.HasText = nil, nil, false
	if r.isNil() {
		return
	}
	switch r.kind() {
	case kindString:
		e.Text, e.HasText = r.bytes(), true
	case kindJSON:
		e.SetJSON(r.bytes())
	case kindStructured:
		e.Data = r.structured()
	default: // binary is not carried yet
		r.failed = true
	}
}

// structured reads what the original makes of an object with one of three texts: these and the rest,
// which is JSON by name. It is an object again.
func (r *reader) structured() jsonscan.Value {
	if r.array() != 4 {
		r.failed = true
		return nil
	}
	object := []byte{'{'}
	for _, name := range [...]string{"channel_data", "channel", "user_data"} {
		if !r.isNil() {
			object = appendKey(object, name)
			object = jsonscan.AppendString(object, r.bytes())
		}
	}
	for range r.mapLen() {
		name := r.text()
		value, ok := jsonscan.Parse(r.bytes())
		if r.failed || !ok {
			r.failed = true
			return nil
		}
		object = append(appendKey(object, name), value...)
	}
	return append(object, '}')
}

func appendKey(object []byte, name string) []byte {
	if len(object) > 1 {
		object = append(object, ',')
	}
	return append(jsonscan.AppendString(object, name), ':')
}

func (r *reader) tags() []protocol.Tag {
	var tags []protocol.Tag
	if r.isNil() {
		return nil
	}
	for range r.mapLen() {
		if tags = append(tags, protocol.Tag{Key: r.text(), Value: r.text()}); r.failed {
			return nil
		}
	}
	return v2.SortTags(tags)
}

func (r *reader) extras() *protocol.Extras {
	if r.isNil() {
		return nil
	}
	var x protocol.Extras
	r.each(extras[:], func(name string) {
		switch name {
		case extraHeaders:
			x.Headers = r.headers()
		case extraEphemeral:
			x.IsEphemeral, _ = r.bool()
		case extraIdempotencyKey, "idempotencyKey":
			x.IdempotencyKey = r.text()
		case extraEcho:
			x.Echo, x.HasEcho = r.bool()
		default:
			r.skip()
		}
	})
	return v2.NewExtras(&x)
}

func (r *reader) headers() []protocol.Header {
	if r.isNil() {
		return nil
	}
	var headers []protocol.Header
	for range r.mapLen() {
		h := protocol.Header{Name: r.text()}
		switch r.kind() {
		case kindString:
			h.Text = r.text()
		case kindNumber:
			h.Kind, h.Number = protocol.HeaderNumber, r.number()
		case kindBool:
			h.Kind = protocol.HeaderBool
			h.Bool, _ = r.bool()
		default:
			r.failed = true
		}
		if headers = append(headers, h); r.failed {
			return nil
		}
	}
	return v2.SortHeaders(headers)
}

// reader reads values from the front of rest. After one that is not what was asked for, it has failed
// and reads nothing more.
type reader struct {
	rest   []byte
	failed bool
}

// take moves on to rest, unless err says that there is no value.
func (r *reader) take(rest []byte, err error) {
	if err != nil {
		r.failed = true
	} else {
		r.rest = rest
	}
}

// each reads an array with an element for each name, or a map of elements by name.
func (r *reader) each(names []string, read func(name string)) {
	if msgp.NextType(r.rest) == msgp.MapType {
		for range r.mapLen() {
			if name := r.text(); !r.failed {
				read(name)
			}
			if r.failed {
				return
			}
		}
		return
	}
	if r.array() != len(names) {
		r.failed = true
	}
	for _, name := range names {
		if r.failed {
			return
		}
		read(name)
	}
}

// array is how many elements an array has, mapLen how many pairs a map. What they say is not believed:
// there is no more to read than the rest.
func (r *reader) array() int {
	n, rest, err := msgp.ReadArrayHeaderBytes(r.rest)
	r.take(rest, err)
	return int(n)
}

func (r *reader) mapLen() int {
	n, rest, err := msgp.ReadMapHeaderBytes(r.rest)
	if r.take(rest, err); r.failed || int(n) > len(r.rest) {
		r.failed = true
		return 0
	}
	return int(n)
}

// kind reads the head of an array of a kind and a value.
func (r *reader) kind() string {
	if r.array() != 2 {
		r.failed = true
	}
	return r.text()
}

// isNil reads a nil, if one comes next.
func (r *reader) isNil() bool {
	if r.failed || !msgp.IsNil(r.rest) {
		return false
	}
	r.rest = r.rest[1:]
	return true
}

// text reads a string in UTF-8, or nil, which is the empty one.
func (r *reader) text() string { return string(r.bytes()) }

// bytes is text as a part of what is read.
func (r *reader) bytes() []byte {
	if r.failed || r.isNil() {
		return nil
	}
	b, rest, err := msgp.ReadStringZC(r.rest)
	if r.take(rest, err); r.failed || !utf8.Valid(b) {
		r.failed = true
		return nil
	}
	return b
}

// uint reads an unsigned integer, or nil.
func (r *reader) uint() uint64 {
	if r.failed || r.isNil() {
		return 0
	}
	n, rest, err := msgp.ReadUint64Bytes(r.rest)
	r.take(rest, err)
	return n
}

// bool reads a boolean, or nil, which has no value.
func (r *reader) bool() (is, ok bool) {
	if r.failed || r.isNil() {
		return false, false
	}
	is, rest, err := msgp.ReadBoolBytes(r.rest)
	r.take(rest, err)
	return is, !r.failed
}

// number reads a finite number, which a client may have written as an integer.
func (r *reader) number() (n float64) {
	if r.failed {
		return 0
	}
	var rest []byte
	var err error
	switch msgp.NextType(r.rest) {
	case msgp.IntType:
		var i int64
		i, rest, err = msgp.ReadInt64Bytes(r.rest)
		n = float64(i)
	case msgp.UintType:
		var u uint64
		u, rest, err = msgp.ReadUint64Bytes(r.rest)
		n = float64(u)
	case msgp.Float32Type:
		var f float32
		f, rest, err = msgp.ReadFloat32Bytes(r.rest)
		n = float64(f)
	default:
		n, rest, err = msgp.ReadFloat64Bytes(r.rest)
	}
	if r.take(rest, err); math.IsNaN(n) || math.IsInf(n, 0) {
		r.failed = true
	}
	return n
}

// skip reads a value that means nothing here.
func (r *reader) skip() {
	if r.failed {
		return
	}
	rest, err := msgp.Skip(r.rest)
	r.take(rest, err)
}
