// Package messagepack is protocol V2 as MessagePack (v2 1.5): a message is an array of 15 elements, in a
// binary frame.
//
// It owns the form of an envelope on the wire and nothing else. It has no state and no goroutines;
// order and loss are its callers' business.
package messagepack

import (
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/protocol/v2"
)

// Codec is protocol V2 as MessagePack. It is stateless and safe for concurrent use.
type Codec struct {
	ShowsTags bool // of events
}

var _ protocol.Codec = Codec{}

// Variant is the key under which the hub shares what this codec encodes.
func (Codec) Variant() protocol.Variant { return protocol.VariantV2MessagePack }

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
		return protocol.Command{}, protocol.ErrMalformed.Withf("The frame is not a message in MessagePack: an array of 15, or a map")
	}
	return e.Command()
}
