// Package protobuf is protocol V2 as Protocol Buffers (v2 1.5): a message is an Envelope in a binary frame.
//
// It owns the form of an envelope on the wire and nothing else. It has no state and no goroutines;
// order and loss are its callers' business.
package protobuf

import (
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/protocol/v2"
)

// Codec is protocol V2 as Protocol Buffers. It is stateless and safe for concurrent use.
type Codec struct {
	ShowsTags bool // of events
}

var _ protocol.Codec = Codec{}

// Variant is the key under which the hub shares what this codec encodes.
func (Codec) Variant() protocol.Variant { return protocol.VariantV2Protobuf }

// IsBinary implements protocol.Codec: everything is binary.
func (Codec) IsBinary(protocol.MessageKind) bool { return true }

// AppendPublication implements protocol.Codec.
func (c Codec) AppendPublication(dst []byte, p *protocol.Publication) []byte {
	var e v2.Envelope
	e.OfPublication(p, c.ShowsTags)
	return Append(dst, &e)
}

// AppendMessage implements protocol.Codec.
func (Codec) AppendMessage(dst []byte, m *protocol.Message) []byte {
	var e v2.Envelope
	if !e.OfMessage(m) {
		return dst
	}
	return Append(dst, &e)
}

// Decode implements protocol.Codec.
func (Codec) Decode(payload []byte) (protocol.Command, *protocol.Error) {
	e, ok := Decode(payload)
	if !ok {
		return protocol.Command{}, protocol.ErrMalformed.Withf("The frame is not an Envelope in Protocol Buffers")
	}
	return e.Command()
}

// Numbers of fields (v2 1.5).
const (
	fieldEvent     = 1
	fieldChannel   = 2
	fieldData      = 3
	fieldUserID    = 5
	fieldTags      = 6
	fieldMessageID = 9
	fieldStreamID  = 10
	fieldSerial    = 11
	fieldExtras    = 13

	dataText       = 1
	dataStructured = 2
	dataJSON       = 3

	structuredChannelData = 1
	structuredChannel     = 2
	structuredUserData    = 3
	structuredExtra       = 4

	extraHeaders        = 1
	extraEphemeral      = 2
	extraIdempotencyKey = 3
	extraEcho           = 4

	headerText   = 1
	headerNumber = 2
	headerBool   = 3

	entryKey   = 1
	entryValue = 2
)
