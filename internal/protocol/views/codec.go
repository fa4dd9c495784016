// Package views is the dialect of live views: JSON messages, of which data goes out in
// binary messages, gzipped when that makes a large one smaller, and control messages as text
// (views 1.6 to 1.10, 3, 4).
//
// It owns the spelling of every message and nothing else: it must never know which views
// there are, whether a command is allowed, or who is connected. It has no goroutines; order
// and loss are its callers' business. Encoders append by hand, because they run once per
// change and once per batch of a snapshot; what they append is valid JSON, or gzip of it, for
// any input strings, given that raw JSON fields hold JSON.
package views

import "github.com/millrace/millrace/internal/protocol"

// Codec is the protocol of live views. Its methods are safe for concurrent use.
type Codec struct {
	// Threshold is the size in bytes from which snapshots and publications are compressed.
	// Zero means 1024; negative, never.
	Threshold int
}

var _ protocol.Codec = Codec{}

const defaultThreshold = 1024 // views 4.6

// Variant is the key under which the hub shares what this codec encodes.
func (Codec) Variant() protocol.Variant { return protocol.VariantViews }

// IsBinary implements protocol.Codec. Clients look for control messages in text alone, and
// read text ahead of binary messages that came before it: data is always binary, compressed
// or not, and nothing else is.
func (Codec) IsBinary(k protocol.MessageKind) bool {
	switch k {
	case protocol.MessagePublication, protocol.MessageViewSubscribed, protocol.MessageViewSnapshot:
		return true
	default:
		return false
	}
}
