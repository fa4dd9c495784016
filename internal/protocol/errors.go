package protocol

import (
	"cmp"
	"fmt"
)

// Error is an answer that a client may see: a code of the wire and a sentence that says
// what to do. It carries no internals. The ranges of Code tell a client what a close
// means: 4000-4099 do not reconnect, 4100-4199 back off first, 4200-4299 reconnect at
// once, 4300 and above only report (pusher 1.8).
type Error struct {
	Code    int
	V2      int // the code in protocol V2, zero where it is Code (v2 1.4)
	Message string

	// Of a refused subscription (pusher 2.5); empty and zero otherwise.
	Type   string
	Status int
}

func (e *Error) Error() string { return fmt.Sprintf("%d: %s", e.Code, e.Message) }

// CodeInV2 is the code that clients of protocol V2 are sent.
func (e *Error) CodeInV2() int { return cmp.Or(e.V2, e.Code) }

// Withf is a copy of e with another message.
func (e *Error) Withf(format string, args ...any) *Error {
	c := *e
	c.Message = fmt.Sprintf(format, args...)
	return &c
}

// Types of subscription errors.
const (
	TypeAuth        = "AuthError"
	TypeChannel     = "InvalidChannel"
	TypeChannelData = "InvalidChannelData"
	TypeLimit       = "LimitReached"
	TypeServer      = "ServerError"
)

// Every error that a client of channels can be sent. docs/protocol/errors.md lists them.
var (
	ErrTLSOnly           = &Error{Code: 4000, Message: "This app accepts TLS connections only; connect with wss"}
	ErrAppUnknown        = &Error{Code: 4001, Message: "No app with this key"}
	ErrKeyRevoked        = &Error{Code: 4001, Message: "The key is not valid any more; use another key of the app"}
	ErrAppDisabled       = &Error{Code: 4003, Message: "This app is disabled"}
	ErrAppOverQuota      = &Error{Code: 4004, Message: "This app is over its connection quota"}
	ErrPathUnknown       = &Error{Code: 4005, Message: "Path not found; connect to /app/{key}"}
	ErrProtocolMalformed = &Error{Code: 4006, Message: "The protocol parameter is not a whole number"}
	ErrProtocolUnknown   = &Error{Code: 4007, Message: "Unsupported protocol version; use protocol=7"}
	ErrProtocolMissing   = &Error{Code: 4008, Message: "The protocol parameter is missing; add protocol=7"}
	ErrOrigin            = &Error{Code: 4009, Message: "Connections from this origin are not allowed"}
	ErrAuthTimeout       = &Error{Code: 4009, Message: "No authorized subscription or sign-in arrived in time"}
	ErrSignInOff         = &Error{Code: 4009, Message: "Sign-in is not enabled for this app"}
	ErrSignIn            = &Error{Code: 4009, Message: "Sign-in refused: the signature does not match"}
	ErrUserData          = &Error{Code: 4009, Message: "user_data must be JSON with an id"}
	ErrSignedIn          = &Error{Code: 4009, Message: "Signed in as another user already; use another connection"}
	ErrTerminated        = &Error{Code: 4009, Message: "The connection was terminated by the app"}
	ErrAppQuotaRetry     = &Error{Code: 4100, Message: "This app is over its connection quota; try again later"}
	ErrNodeFull          = &Error{Code: 4100, Message: "The server is at its connection limit; try again later"}
	ErrBackend           = &Error{Code: 4100, Message: "The server cannot look up the app right now; try again later"}
	ErrSlowConsumer      = &Error{Code: 4100, Message: "The connection reads too slowly; its queue is full"}
	ErrShutdown          = &Error{Code: 4100, Message: "The server is shutting down; try again in a moment"}
	ErrReconnect         = &Error{Code: 4200, Message: "The server is shutting down; reconnect"}
	ErrPongTimeout       = &Error{Code: 4201, Message: "No answer to a ping in time"}
	ErrMalformed         = &Error{Code: 4300, V2: 4000, Message: "The frame is not a JSON object with an event name"}
	ErrFilter            = &Error{Code: 4300, V2: 4000, Message: "The filter of the subscription is refused"}
	ErrClientEvent       = &Error{Code: 4301, Message: "Client event refused"}
	ErrMessageRate       = &Error{Code: 4301, Message: "Too many messages on this connection"}
	ErrResumeOff         = &Error{Code: 4301, Message: "Connection recovery is not enabled for this app, or not known to this protocol"}
	ErrResumeBusy        = &Error{Code: 4301, Message: "The channel, or the connection, is being brought up to date already; resume again later"}
	ErrResumeEmpty       = &Error{Code: 4302, Message: "A resume needs the position of one channel at least"}
	ErrWatchlist         = &Error{Code: 4302, Message: "The watchlist is too long; it is ignored"}

	ErrSignature       = &Error{Code: 4009, Type: TypeAuth, Status: 401, Message: "Signature does not match"}
	ErrUserChannel     = &Error{Code: 4009, Type: TypeAuth, Status: 401, Message: "Sign in as this user to subscribe to its channel"}
	ErrChannelName     = &Error{Code: 4300, Type: TypeChannel, Status: 4300, Message: "Channel name is not allowed"}
	ErrChannelData     = &Error{Code: 4300, V2: 4000, Type: TypeChannelData, Status: 4300, Message: "channel_data must be JSON with a user_id"}
	ErrMemberTooLarge  = &Error{Code: 4301, V2: 4300, Type: TypeLimit, Status: 4301, Message: "user_info is too large"}
	ErrPresenceFull    = &Error{Code: 4100, Type: TypeLimit, Status: 4100, Message: "The presence channel is full"}
	ErrSubscriptionMax = &Error{Code: 4300, Type: TypeLimit, Status: 4300, Message: "Too many subscriptions on this connection"}
	ErrRewind          = &Error{Code: 4300, Type: TypeChannel, Status: 4300, Message: "The channel keeps nothing of the past, or the protocol cannot ask for it"}
	ErrInternal        = &Error{Code: 4300, V2: 4000, Type: TypeServer, Status: 500, Message: "Internal error"}
)
