// Package formats reads and writes messages of protocol V2 in its binary formats for tests, apart from
// the codecs, so that a mistake there does not verify itself. A message is the JSON object that
// it would be in the format json.
//
// It is imported by tests only. It starts no goroutine.
package formats

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Names of formats, as clients ask for them.
const (
	JSON        = "json"
	MessagePack = "messagepack"
	Protobuf    = "protobuf"
)

// All are the formats of protocol V2.
func All() []string { return []string{JSON, MessagePack, Protobuf} }

// fields are the members of a message in the order of the specification (v2 1.5).
func fields() []string {
	return []string{
		"event", "channel", "data", "name", "user_id", "tags", "sequence", "conflation_key", "message_id", "stream_id",
		"serial", "idempotency_key", "extras", "__delta_seq", "__conflation_key",
	}
}

// Encode makes a frame of a message.
func Encode(format, message string) ([]byte, error) {
	if format == JSON {
		return []byte(message), nil
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal([]byte(message), &m); err != nil {
		return nil, fmt.Errorf("the message is no JSON object: %w", err)
	}
	if format == MessagePack {
		return packMessage(m)
	}
	return marshal(m)
}

// Decode makes a message of a frame.
func Decode(format string, frame []byte) (string, error) {
	var m map[string]any
	var err error
	switch format {
	case JSON:
		return string(frame), nil
	case MessagePack:
		m, err = unpackMessage(frame)
	default:
		m, err = unmarshal(frame)
	}
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err = e.Encode(m)
	return string(bytes.TrimSpace(b.Bytes())), err
}

// extras are extras of a message, as JSON has them.
type extras struct {
	Headers        map[string]any `json:"headers,omitempty"`
	Ephemeral      *bool          `json:"ephemeral,omitempty"`
	IdempotencyKey *string        `json:"idempotencyKey,omitempty"`
	Echo           *bool          `json:"echo,omitempty"`
}
