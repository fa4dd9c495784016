package messagepack

import (
	"github.com/tinylib/msgp/msgp"

	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/protocol/v2"
)

// Kinds of data and of header values, which stand before these.
const (
	kindString = "string"
	kindJSON   = "json"
	kindNumber = "number"
	kindBool   = "bool"

	kindStructured = "structured"
)

// Append appends e.
func Append(dst []byte, e *v2.Envelope) []byte {
	dst = msgp.AppendArrayHeader(dst, uint32(len(fields)))
	dst = appendText(dst, e.Event)
	dst = appendText(dst, e.Channel)
	dst = appendData(dst, e)
	dst = msgp.AppendNil(dst) // name
	dst = appendText(dst, e.UserID)
	dst = appendTags(dst, e.Tags)
	dst = msgp.AppendNil(dst) // sequence
	dst = msgp.AppendNil(dst) // conflation_key
	dst = appendText(dst, e.MessageID)
	dst = appendText(dst, e.StreamID)
	if e.Serial > 0 {
		dst = msgp.AppendUint64(dst, e.Serial)
	} else {
		dst = msgp.AppendNil(dst)
	}
	dst = msgp.AppendNil(dst) // idempotency_key
	dst = appendExtras(dst, e.Extras)
	dst = msgp.AppendNil(dst)  // delta_sequence
	return msgp.AppendNil(dst) // delta_conflation_key
}

// appendText appends nil for an empty text.
func appendText(dst []byte, s string) []byte {
	if s == "" {
		return msgp.AppendNil(dst)
	}
	return msgp.AppendString(dst, s)
}

func appendData(dst []byte, e *v2.Envelope) []byte {
	if !e.HasData() {
		return msgp.AppendNil(dst)
	}
	dst = msgp.AppendArrayHeader(dst, 2)
	if text, isText := e.String(); isText {
		return msgp.AppendStringFromBytes(msgp.AppendString(dst, kindString), text)
	}
	return msgp.AppendStringFromBytes(msgp.AppendString(dst, kindJSON), e.Data)
}

func appendTags(dst []byte, tags []protocol.Tag) []byte {
	if len(tags) == 0 {
		return msgp.AppendNil(dst)
	}
	dst = msgp.AppendMapHeader(dst, uint32(len(tags)))
	for i := range tags {
		dst = msgp.AppendString(msgp.AppendString(dst, tags[i].Key), tags[i].Value)
	}
	return dst
}

// appendExtras appends a map, which all official clients read. They do not find their way in an array,
// which the original sends (v2 1.5).
func appendExtras(dst []byte, x *protocol.Extras) []byte {
	if x == nil {
		return msgp.AppendNil(dst)
	}
	n := 0
	for _, has := range [...]bool{len(x.Headers) > 0, x.IsEphemeral, x.IdempotencyKey != "", x.HasEcho} {
		if has {
			n++
		}
	}
	dst = msgp.AppendMapHeader(dst, uint32(n))
	if len(x.Headers) > 0 {
		dst = msgp.AppendMapHeader(msgp.AppendString(dst, extraHeaders), uint32(len(x.Headers)))
		for i := range x.Headers {
			dst = appendHeader(msgp.AppendString(dst, x.Headers[i].Name), &x.Headers[i])
		}
	}
	if x.IsEphemeral {
		dst = msgp.AppendBool(msgp.AppendString(dst, extraEphemeral), true)
	}
	if x.IdempotencyKey != "" {
		dst = msgp.AppendString(msgp.AppendString(dst, extraIdempotencyKey), x.IdempotencyKey)
	}
	if x.HasEcho {
		dst = msgp.AppendBool(msgp.AppendString(dst, extraEcho), x.Echo)
	}
	return dst
}

func appendHeader(dst []byte, h *protocol.Header) []byte {
	dst = msgp.AppendArrayHeader(dst, 2)
	switch h.Kind {
	case protocol.HeaderNumber:
		return msgp.AppendFloat64(msgp.AppendString(dst, kindNumber), h.Number)
	case protocol.HeaderBool:
		return msgp.AppendBool(msgp.AppendString(dst, kindBool), h.Bool)
	default:
		return msgp.AppendString(msgp.AppendString(dst, kindString), h.Text)
	}
}
