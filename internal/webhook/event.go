package webhook

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/protocol"
)

// Event is one webhook event. It is immutable.
type Event struct {
	Kind          Kind
	Cause         Cause // of going; zero: it was seen to go
	App           string
	Channel, User string
	Name          string // client_event
	Data          []byte // client_event: one JSON value; nil means absent
	Socket        protocol.SocketID
	Number        uint64 // subscription_count: the count; users: the sequence number
	Time          int64  // Unix milliseconds
}

// Cause says why the going of a subject is told that was not seen to go.
type Cause uint8

// CauseServerRestart: a former process told that the subject is there, and it has not come back
// since the start.
const CauseServerRestart Cause = 1

// String names the cause as the wire does.
func (c Cause) String() string {
	if c == CauseServerRestart {
		return "server_restart"
	}
	return ""
}

// Size is about what the event costs in memory.
func (e *Event) Size() int {
	const fixed = 160
	return fixed + len(e.App) + len(e.Channel) + len(e.User) + len(e.Name) + len(e.Data)
}

// AppendJSON appends the event as it is on the wire: an object whose members are strings and
// whole numbers, for typed libraries take nothing else, with a channel in each.
func (e *Event) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"name":"`...)
	dst = append(dst, e.Kind.String()...)
	dst = append(dst, '"')
	if e.Kind.HasChannel() {
		dst = appendMember(dst, "channel", e.Channel)
	} else {
		dst = appendMember(dst, "channel", userChannel(e.User))
	}
	if e.Kind == KindClientEvent {
		dst = appendMember(dst, "event", e.Name)
		if e.Data != nil {
			dst = append(dst, `,"data":`...)
			dst = appendData(dst, e.Data)
		}
		dst = appendMember(dst, "socket_id", e.Socket.String())
	}
	if e.User != "" {
		dst = appendMember(dst, "user_id", e.User)
	}
	switch e.Kind {
	case KindSubscriptionCount:
		dst = append(dst, `,"subscription_count":`...)
		dst = strconv.AppendUint(dst, e.Number, 10)
	case KindUserOnline, KindUserOffline:
		dst = append(dst, `,"seq":`...)
		dst = strconv.AppendUint(dst, e.Number, 10)
	default: // nothing more to tell
	}
	if e.Cause != 0 {
		dst = appendMember(dst, "cause", e.Cause.String())
	}
	return append(dst, '}')
}

// appendData appends the data of a client event as a string: the text of a string that the
// client sent, or the JSON text of anything else. Half a surrogate pair, which some parsers refuse
// together with the whole request, becomes U+FFFD.
func appendData(dst []byte, data jsonscan.Value) []byte {
	switch {
	case data.Kind() != jsonscan.String:
		return jsonscan.AppendString(dst, []byte(data))
	case bytes.IndexByte(data, '\\') < 0:
		return append(dst, data...)
	default:
		return jsonscan.AppendString(dst, data.Text())
	}
}

func appendMember(dst []byte, key, value string) []byte {
	dst = append(dst, ',', '"')
	dst = append(dst, key...)
	dst = append(dst, '"', ':')
	return jsonscan.AppendString(dst, value)
}

// IsUserChannel reports whether a channel is a channel of one user, of which no webhook tells
// (pusher 6.1).
func IsUserChannel(channel string) bool {
	return strings.HasPrefix(channel, protocol.UserChannelPrefix)
}

// userChannel names the channel of a user.
func userChannel(user string) string { return protocol.UserChannelPrefix + user }
