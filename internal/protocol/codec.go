package protocol

// Codec is one dialect of the wire. Implementations are stateless and safe for concurrent
// use. Append methods append the payload of exactly one WebSocket message to dst, without
// frame header, and return the extended slice.
type Codec interface {
	Variant() Variant
	// IsBinary reports whether messages of kind k go out as binary WebSocket messages;
	// MessagePublication stands for every publication.
	IsBinary(k MessageKind) bool
	// Decode reads one inbound message. An error is always an *Error to be sent to the
	// client; the connection stays open. payload is aliased by the result.
	Decode(payload []byte) (Command, *Error)
	AppendMessage(dst []byte, m *Message) []byte
	// AppendPublication appends nothing when the variant has nothing to say of p: then no
	// message is sent.
	AppendPublication(dst []byte, p *Publication) []byte
}
