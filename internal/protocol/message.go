package protocol

import "time"

// MessageKind says what a direct reply tells one connection.
type MessageKind uint8

const (
	// MessagePublication is none that a Message has: it stands for publications where a kind
	// is asked for.
	MessagePublication MessageKind = iota
	MessageEstablished
	MessagePing
	MessagePong
	MessageSubscriptionSucceeded
	MessageSubscriptionError
	MessageCacheMiss
	MessageError
	MessageSignedIn
	MessageWatchlist
	MessageViewSubscribed
	MessageViewSnapshot
	MessageIssue
	MessageAuthRefreshed
	MessageResumed
	MessageResumeFailed
	MessageRewound
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

	Position *StreamPosition // MessageSubscriptionSucceeded: of a channel that is kept; nil: not known, or not kept

	Resumed *Resumed       // MessageResumed
	Failure *ResumeFailure // MessageResumeFailed
	Rewound *Rewound       // MessageRewound

	UserData        string   // MessageSignedIn: exactly as the client sent it
	Online, Offline []string // MessageWatchlist: ids of users, either may be empty

	Err *Error // MessageError, MessageSubscriptionError

	View *ViewMessage // MessageViewSubscribed, MessageViewSnapshot

	Issue   *Issue // MessageIssue; MessageAuthRefreshed: why it was refused, nil when it was not
	IsFatal bool   // MessageIssue: the connection ends
	Expires int64  // MessageAuthRefreshed: Unix seconds
}

// Size is about how many bytes m takes while it is encoded. A buffer that grows instead leaves
// those that it grew out of to the garbage collector.
func (m *Message) Size() int {
	n := len(m.Channel) + len(m.UserData)
	for i := range m.Members {
		const quotes = 16 // of the id, in two places, and of the info
		n += 2*len(m.Members[i].UserID) + len(m.Members[i].Info)*9/8 + quotes
	}
	if m.View == nil {
		return n
	}
	rows := 0
	for i := range m.View.Rows {
		const quotes = 24 // of the key and the data
		rows += len(m.View.Rows[i].Key) + len(m.View.Rows[i].Data) + quotes
	}
	return n + rows*3/2 // compressed beside what it was
}

// Member is one distinct user of a presence channel.
type Member struct {
	UserID string // the string form: of a number the digits as they were given
	Info   []byte // user_info as compact JSON; never empty, {} when the client gave none

	// HasNumericID says that the id was given as a number, so that clients are shown one. A
	// number and a string with the same string form name one user.
	HasNumericID bool
}
