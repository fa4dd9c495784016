package protocol

// Variant is a way to encode a publication: every connection has one, and the hub encodes
// a publication once for each variant among its subscribers. Small and comparable.
type Variant uint8

const (
	// VariantPusher is Pusher protocol 7: JSON text frames.
	VariantPusher Variant = iota
	// NumVariants bounds tables indexed by Variant.
	NumVariants
)

// Codec is one dialect of the wire. Implementations are stateless and safe for concurrent
// use. Append methods append the payload of exactly one WebSocket message to dst, without
// frame header, and return the extended slice.
type Codec interface {
	Variant() Variant
	// Decode reads one inbound message. An error is always an *Error to be sent to the
	// client; the connection stays open. payload is aliased by the result.
	Decode(payload []byte) (Command, *Error)
	AppendMessage(dst []byte, m *Message) []byte
	AppendPublication(dst []byte, p *Publication) []byte
}
