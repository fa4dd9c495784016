package v2

import (
	"math"
	"strconv"

	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/protocol"
)

// JSON is protocol V2 as JSON in text frames. It is stateless and safe for concurrent use.
type JSON struct {
	ShowsTags bool // of events
}

var _ protocol.Codec = JSON{}

// Variant is the key under which the hub shares what this codec encodes.
func (JSON) Variant() protocol.Variant { return protocol.VariantV2 }

// IsBinary implements protocol.Codec: everything is text.
func (JSON) IsBinary(protocol.MessageKind) bool { return false }

// AppendPublication implements protocol.Codec.
//
//millrace:hot BenchmarkAppendPublication TestAppendPublicationAllocs
func (c JSON) AppendPublication(dst []byte, p *protocol.Publication) []byte {
	var e Envelope
	e.OfPublication(p, c.ShowsTags)
	return AppendJSON(dst, &e)
}

// AppendMessage implements protocol.Codec.
func (JSON) AppendMessage(dst []byte, m *protocol.Message) []byte {
	var e Envelope
	if !e.OfMessage(m) {
		return dst
	}
	return AppendJSON(dst, &e)
}

// Decode implements protocol.Codec.
func (JSON) Decode(payload []byte) (protocol.Command, *protocol.Error) {
	var e Envelope
	if err := e.decodeJSON(payload); err != nil {
		return protocol.Command{}, err
	}
	return e.Command()
}

// AppendJSON appends e. The fields stand in the order of v2 1.5.
func AppendJSON(dst []byte, e *Envelope) []byte {
	dst = jsonscan.AppendString(append(dst, `{"event":`...), e.Event)
	dst = appendMember(dst, `,"channel":`, e.Channel)
	switch {
	case e.HasText:
		dst = jsonscan.AppendString(append(dst, `,"data":`...), e.Text)
	case e.Data != nil:
		dst = append(append(dst, `,"data":`...), e.Data...)
	}
	dst = appendMember(dst, `,"user_id":`, e.UserID)
	if len(e.Tags) > 0 {
		dst = append(dst, `,"tags":{`...)
		for i := range e.Tags {
			dst = jsonscan.AppendString(appendComma(dst, i), e.Tags[i].Key)
			dst = jsonscan.AppendString(append(dst, ':'), e.Tags[i].Value)
		}
		dst = append(dst, '}')
	}
	dst = appendMember(dst, `,"message_id":`, e.MessageID)
	dst = appendMember(dst, `,"stream_id":`, e.StreamID)
	if e.Serial > 0 {
		dst = strconv.AppendUint(append(dst, `,"serial":`...), e.Serial, 10)
	}
	if e.Extras != nil {
		dst = appendExtras(append(dst, `,"extras":`...), e.Extras)
	}
	return append(dst, '}')
}

// appendMember appends a member of an object unless its value is empty. key has the comma before it.
func appendMember(dst []byte, key, value string) []byte {
	if value == "" {
		return dst
	}
	return jsonscan.AppendString(append(dst, key...), value)
}

func appendExtras(dst []byte, x *protocol.Extras) []byte {
	dst = append(dst, '{')
	start := len(dst)
	if len(x.Headers) > 0 {
		dst = append(dst, `,"headers":{`...)
		for i := range x.Headers {
			dst = jsonscan.AppendString(appendComma(dst, i), x.Headers[i].Name)
			dst = appendHeader(append(dst, ':'), &x.Headers[i])
		}
		dst = append(dst, '}')
	}
	if x.IsEphemeral {
		dst = append(dst, `,"ephemeral":true`...)
	}
	dst = appendMember(dst, `,"idempotencyKey":`, x.IdempotencyKey)
	if len(x.Push) > 0 {
		dst = append(append(dst, `,"push":`...), x.Push...)
	}
	if x.HasEcho {
		dst = strconv.AppendBool(append(dst, `,"echo":`...), x.Echo)
	}
	if len(dst) > start { // without the first comma
		dst = append(dst[:start], dst[start+1:]...)
	}
	return append(dst, '}')
}

func appendHeader(dst []byte, h *protocol.Header) []byte {
	switch h.Kind {
	case protocol.HeaderNumber:
		return appendNumber(dst, h.Number)
	case protocol.HeaderBool:
		return strconv.AppendBool(dst, h.Bool)
	default:
		return jsonscan.AppendString(dst, h.Text)
	}
}

// appendNumber appends a finite number in the shortest form that means it.
func appendNumber(dst []byte, n float64) []byte {
	format := byte('f')
	if a := math.Abs(n); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, n, format, -1, 64)
}

// decodeJSON reads one inbound message. A member of a type that it cannot have counts as absent, save
// extras. Of equal keys the last counts.
func (e *Envelope) decodeJSON(payload []byte) *protocol.Error {
	message, ok := jsonscan.Parse(payload)
	if !ok {
		return protocol.ErrMalformed
	}
	for key, value := range message.Members() {
		switch key {
		case "event":
			e.Event = value.Text()
		case "channel":
			e.Channel = value.Text()
		case "data":
			if e.Data = value; value.Kind() == jsonscan.Null {
				e.Data = nil
			}
		case "extras":
			if e.Extras, ok = DecodeExtras(value); !ok {
				return ErrExtras
			}
		}
	}
	return nil
}
