package protocol

// Variant is a way to encode a publication. Every subscription has one, by default its
// connection's, and the hub encodes a publication once for each variant among the subscriptions of
// its topic. Small and comparable.
type Variant uint8

const (
	// VariantPusher is Pusher protocol 7: JSON text frames.
	VariantPusher Variant = iota
	// VariantViews is the protocol of live views: JSON in binary frames, gzip when large.
	VariantViews
	// VariantV2 is protocol V2 as JSON in text frames.
	VariantV2
	// VariantV2MessagePack is protocol V2 as MessagePack in binary frames.
	VariantV2MessagePack
	// VariantV2Protobuf is protocol V2 as Protocol Buffers in binary frames.
	VariantV2Protobuf
	// NumVariants bounds tables indexed by Variant.
	NumVariants
)
