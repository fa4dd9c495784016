package protobuf

import (
	"encoding/binary"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/protocol/v2"
)

// Append appends e. What is not a string is data of the kind json: clients know no structured data.
func Append(dst []byte, e *v2.Envelope) []byte {
	dst = appendText(dst, fieldEvent, e.Event)
	dst = appendText(dst, fieldChannel, e.Channel)
	if e.HasData() {
		kind, data := protowire.Number(dataJSON), []byte(e.Data)
		if text, isText := e.String(); isText {
			kind, data = dataText, text
		}
		dst = protowire.AppendTag(dst, fieldData, protowire.BytesType)
		dst = protowire.AppendVarint(dst, uint64(protowire.SizeTag(kind)+protowire.SizeBytes(len(data))))
		dst = protowire.AppendBytes(protowire.AppendTag(dst, kind, protowire.BytesType), data)
	}
	dst = appendText(dst, fieldUserID, e.UserID)
	for i := range e.Tags {
		start := len(dst)
		dst = appendString(dst, entryKey, e.Tags[i].Key)
		dst = enclose(appendString(dst, entryValue, e.Tags[i].Value), start, fieldTags)
	}
	dst = appendText(dst, fieldMessageID, e.MessageID)
	dst = appendText(dst, fieldStreamID, e.StreamID)
	if e.Serial > 0 {
		dst = protowire.AppendVarint(protowire.AppendTag(dst, fieldSerial, protowire.VarintType), e.Serial)
	}
	if e.Extras != nil {
		start := len(dst)
		dst = enclose(appendExtras(dst, e.Extras), start, fieldExtras)
	}
	return dst
}

// appendText appends nothing for an empty text.
func appendText(dst []byte, field protowire.Number, s string) []byte {
	if s == "" {
		return dst
	}
	return appendString(dst, field, s)
}

func appendString(dst []byte, field protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(dst, field, protowire.BytesType), s)
}

func appendBool(dst []byte, field protowire.Number, is bool) []byte {
	return protowire.AppendVarint(protowire.AppendTag(dst, field, protowire.VarintType), protowire.EncodeBool(is))
}

// enclose makes a field of the message that was appended since start.
func enclose(dst []byte, start int, field protowire.Number) []byte {
	var room [2 * binary.MaxVarintLen64]byte
	head := protowire.AppendTag(room[:0], field, protowire.BytesType)
	head = protowire.AppendVarint(head, uint64(len(dst)-start))
	return slices.Insert(dst, start, head...)
}

func appendExtras(dst []byte, x *protocol.Extras) []byte {
	for i := range x.Headers {
		start := len(dst)
		dst = appendString(dst, entryKey, x.Headers[i].Name)
		value := len(dst)
		dst = enclose(appendHeader(dst, &x.Headers[i]), value, entryValue)
		dst = enclose(dst, start, extraHeaders)
	}
	if x.IsEphemeral {
		dst = appendBool(dst, extraEphemeral, true)
	}
	dst = appendText(dst, extraIdempotencyKey, x.IdempotencyKey)
	if x.HasEcho {
		dst = appendBool(dst, extraEcho, x.Echo)
	}
	return dst
}

func appendHeader(dst []byte, h *protocol.Header) []byte {
	switch h.Kind {
	case protocol.HeaderNumber:
		return protowire.AppendFixed64(protowire.AppendTag(dst, headerNumber, protowire.Fixed64Type), math.Float64bits(h.Number))
	case protocol.HeaderBool:
		return appendBool(dst, headerBool, h.Bool)
	default:
		return appendString(dst, headerText, h.Text)
	}
}
