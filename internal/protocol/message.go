package protocol

import "time"

// MessageKind says what a direct reply tells one connection.
type MessageKind uint8

const (
	MessageEstablished MessageKind = iota + 1
	MessagePing
	MessagePong
	MessageSubscriptionSucceeded
	MessageSubscriptionError
	MessageCacheMiss
	MessageError
)

// Message is a reply or notice for one connection, before encoding. Fan-out uses
// [Publication] instead.
type Message struct {
	Kind    MessageKind
	Channel string // subscription messages; optional with MessageError

	SocketID        SocketID      // MessageEstablished
	ActivityTimeout time.Duration // MessageEstablished, whole seconds above zero

	Presence bool     // MessageSubscriptionSucceeded: the channel has members
	Members  []Member // with Presence: each distinct user once, the joiner included

	Err *Error // MessageError, MessageSubscriptionError
}

// Member is one distinct user of a presence channel.
type Member struct {
	UserID string
	Info   []byte // user_info as compact JSON; never empty, {} when the client gave none
}
