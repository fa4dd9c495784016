package webhook

import (
	"bytes"
	"strconv"

	"github.com/millrace/millrace/internal/jsontext"
	"github.com/millrace/millrace/internal/protocol"
)

// event is one webhook event. It is immutable.
type event struct {
	kind          Kind
	app           string
	channel, user string
	name          string // client_event
	data          []byte // client_event: one JSON value; nil means absent
	socket        protocol.SocketID
	number        uint64 // subscription_count: the count; users: the sequence number
	time          int64  // Unix milliseconds
}

// size is about what the event costs in memory.
func (e *event) size() int {
	const fixed = 160
	return fixed + len(e.app) + len(e.channel) + len(e.user) + len(e.name) + len(e.data)
}

// appendJSON appends the event as it is on the wire: an object whose members are strings and
// whole numbers, for typed libraries take nothing else, with a channel in each.
func (e *event) appendJSON(dst []byte) []byte {
	dst = append(dst, `{"name":"`...)
	dst = append(dst, e.kind.String()...)
	dst = append(dst, '"')
	if e.kind.hasChannel() {
		dst = appendMember(dst, "channel", e.channel)
	} else {
		dst = appendMember(dst, "channel", userChannel(e.user))
	}
	if e.kind == KindClientEvent {
		dst = appendMember(dst, "event", e.name)
		if e.data != nil {
			dst = append(dst, `,"data":`...)
			dst = appendData(dst, e.data)
		}
		dst = appendMember(dst, "socket_id", e.socket.String())
	}
	if e.user != "" {
		dst = appendMember(dst, "user_id", e.user)
	}
	switch e.kind {
	case KindSubscriptionCount:
		dst = append(dst, `,"subscription_count":`...)
		dst = strconv.AppendUint(dst, e.number, 10)
	case KindUserOnline, KindUserOffline:
		dst = append(dst, `,"seq":`...)
		dst = strconv.AppendUint(dst, e.number, 10)
	default: // nothing more to tell
	}
	return append(dst, '}')
}

// appendData appends the data of a client event as a string: the text of a string that the
// client sent, or the JSON text of anything else. Half a surrogate pair, which some parsers refuse
// together with the whole request, becomes U+FFFD.
func appendData(dst []byte, data jsontext.Value) []byte {
	switch {
	case data.Kind() != jsontext.String:
		return jsontext.AppendString(dst, []byte(data))
	case bytes.IndexByte(data, '\\') < 0:
		return append(dst, data...)
	default:
		return jsontext.AppendString(dst, data.Text())
	}
}

func appendMember(dst []byte, key, value string) []byte {
	dst = append(dst, ',', '"')
	dst = append(dst, key...)
	dst = append(dst, '"', ':')
	return jsontext.AppendString(dst, value)
}

func eventOf(k Kind, app, channel string) event { return event{kind: k, app: app, channel: channel} }

func (e event) client(name string, data []byte, socket protocol.SocketID, user string) event {
	e.name, e.data, e.socket, e.user = name, data, socket, user
	return e
}
