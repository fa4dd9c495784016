package pusher

import (
	"strconv"
	"time"

	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/protocol"
)

// AppendPublication appends the message by which a subscriber hears of p
// (pusher 2.7, 2.10, 2.12, 3, 4.4). p.Data must be JSON.
//
//millrace:hot BenchmarkAppendPublication TestAppendPublicationAllocs
func (Codec) AppendPublication(dst []byte, p *protocol.Publication) []byte {
	dst = append(dst, `{"event":`...)
	switch p.Kind {
	case protocol.KindMemberAdded:
		dst = append(dst, `"`+eventMemberAdded+`","channel":`...)
		dst = jsonscan.AppendString(dst, p.Topic.Name)
		dst = append(dst, `,"data":"{\"user_id\":`...)
		dst = appendEscapedID(dst, p.UserID, p.HasNumericID)
		dst = append(dst, `,\"user_info\":`...)
		dst = jsonscan.AppendEscaped(dst, p.Data)
		return append(dst, `}"}`...)
	case protocol.KindMemberRemoved:
		dst = append(dst, `"`+eventMemberRemoved+`","channel":`...)
		dst = jsonscan.AppendString(dst, p.Topic.Name)
		dst = append(dst, `,"data":"{\"user_id\":`...)
		dst = appendEscapedID(dst, p.UserID, p.HasNumericID)
		return append(dst, `}"}`...)
	case protocol.KindSubscriptionCount:
		dst = append(dst, `"`+eventSubscriptions+`","channel":`...)
		dst = jsonscan.AppendString(dst, p.Topic.Name)
		dst = append(dst, `,"data":"{\"subscription_count\":`...)
		dst = strconv.AppendInt(dst, int64(p.Count), 10)
		return append(dst, `}"}`...)
	case protocol.KindUserOnline:
		return appendWatched(dst, nameOnline, p.UserID)
	case protocol.KindUserOffline:
		return appendWatched(dst, nameOffline, p.UserID)
	case protocol.KindChange:
		return appendChange(dst, p)
	default:
		dst = jsonscan.AppendString(dst, p.Event)
		dst = append(dst, `,"channel":`...)
		dst = appendChannel(dst, &p.Topic)
		if p.Data != nil {
			dst = append(dst, `,"data":`...)
			dst = append(dst, p.Data...)
		}
		if p.UserID != "" {
			dst = append(dst, `,"user_id":`...)
			if p.HasNumericID {
				dst = append(dst, p.UserID...)
			} else {
				dst = jsonscan.AppendString(dst, p.UserID)
			}
		}
		return append(dst, '}')
	}
}

// appendChannel appends the name by which clients know the topic of an event.
func appendChannel(dst []byte, t *protocol.Topic) []byte {
	if t.Kind != protocol.TopicUser {
		return jsonscan.AppendString(dst, t.Name)
	}
	dst = append(dst, `"`+protocol.UserChannelPrefix...)
	dst = jsonscan.AppendEscaped(dst, t.Name)
	return append(dst, '"')
}

// AppendMessage appends a reply to one connection (pusher 1.4, 1.5, 1.7, 2.4.2,
// 2.5, 2.9, 4.1, 4.4). A kind that the dialect does not have appends nothing.
func (Codec) AppendMessage(dst []byte, m *protocol.Message) []byte {
	switch m.Kind {
	case protocol.MessageEstablished:
		dst = append(dst, headEstablished...)
		dst = m.SocketID.Append(dst)
		dst = append(dst, `\",\"activity_timeout\":`...)
		dst = strconv.AppendInt(dst, int64(m.ActivityTimeout/time.Second), 10)
		return append(dst, `}"}`...)
	case protocol.MessagePing:
		return append(dst, headPing...)
	case protocol.MessagePong:
		return append(dst, headPong...)
	case protocol.MessageSubscriptionSucceeded:
		dst = append(dst, headSucceeded...)
		dst = jsonscan.AppendString(dst, m.Channel)
		if m.Presence {
			return appendMembers(dst, m.Members)
		}
		return append(dst, `,"data":"{}"}`...)
	case protocol.MessageSubscriptionError:
		return appendSubscriptionError(dst, m)
	case protocol.MessageCacheMiss:
		dst = append(dst, headCacheMiss...)
		dst = jsonscan.AppendString(dst, m.Channel)
		return append(dst, '}')
	case protocol.MessageError:
		return appendError(dst, m)
	case protocol.MessageSignedIn:
		dst = append(dst, `{"event":"`+eventSignedIn+`","data":{"user_data":`...)
		dst = jsonscan.AppendString(dst, m.UserData)
		return append(dst, `}}`...)
	case protocol.MessageWatchlist:
		return appendWatchlist(dst, m)
	case protocol.MessageViewSubscribed:
		return appendViewSubscribed(dst, m)
	case protocol.MessageViewSnapshot:
		return appendViewSnapshot(dst, m)
	default:
		return dst
	}
}

func appendMembers(dst []byte, members []protocol.Member) []byte {
	dst = append(dst, `,"data":"{\"presence\":{\"count\":`...)
	dst = strconv.AppendInt(dst, int64(len(members)), 10)
	dst = append(dst, `,\"ids\":[`...)
	for i := range members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendEscapedID(dst, members[i].UserID, members[i].HasNumericID)
	}
	dst = append(dst, `],\"hash\":{`...)
	for i := range members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendEscapedID(dst, members[i].UserID, false) // a key is a string
		dst = append(dst, ':')
		dst = jsonscan.AppendEscaped(dst, members[i].Info)
	}
	return append(dst, `}}}"}`...)
}

func appendSubscriptionError(dst []byte, m *protocol.Message) []byte {
	dst = append(dst, headSubscriptionErr...)
	dst = jsonscan.AppendString(dst, m.Channel)
	dst = append(dst, `,"data":{"type":`...)
	dst = jsonscan.AppendString(dst, m.Err.Type)
	dst = append(dst, `,"error":`...)
	dst = jsonscan.AppendString(dst, m.Err.Message)
	dst = append(dst, `,"status":`...)
	dst = strconv.AppendInt(dst, int64(m.Err.Status), 10)
	return append(dst, `}}`...)
}

func appendError(dst []byte, m *protocol.Message) []byte {
	dst = append(dst, headError...)
	if m.Channel != "" {
		dst = append(dst, `,"channel":`...)
		dst = jsonscan.AppendString(dst, m.Channel)
	}
	dst = append(dst, `,"data":{"code":`...)
	if m.Err.Code != 0 {
		dst = strconv.AppendInt(dst, int64(m.Err.Code), 10)
	} else {
		dst = append(dst, `null`...)
	}
	dst = append(dst, `,"message":`...)
	dst = jsonscan.AppendString(dst, m.Err.Message)
	return append(dst, `}}`...)
}

// appendEscapedID appends a user id within JSON that is itself written as a string: in quotes,
// or, if it is a number, the digits as they were given.
func appendEscapedID(dst []byte, id string, isNumber bool) []byte {
	if isNumber {
		return append(dst, id...)
	}
	dst = append(dst, `\"`...)
	dst = appendEscapedTwice(dst, id)
	return append(dst, `\"`...)
}

// appendEscapedTwice appends a string within JSON that is itself written as a string.
func appendEscapedTwice(dst []byte, s string) []byte {
	var once [256]byte // a user id, unless most of it must be escaped
	return jsonscan.AppendEscaped(dst, jsonscan.AppendEscaped(once[:0], s))
}
