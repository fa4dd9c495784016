package v2

import (
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/protocol/pusher"
)

// OfMessage makes e a reply to one connection (v2 1.3, 1.4), which is empty before. All but ping and
// pong have an id of their own. It reports false for a kind that the dialect does not have.
func (e *Envelope) OfMessage(m *protocol.Message) bool {
	switch e.Channel = m.Channel; m.Kind {
	case protocol.MessagePing:
		e.Event = external + "ping"
		return true
	case protocol.MessagePong:
		e.Event = external + "pong"
		return true
	case protocol.MessageEstablished:
		b := m.SocketID.Append(append(e.Text, `{"socket_id":"`...))
		b = strconv.AppendInt(append(b, `","activity_timeout":`...), int64(m.ActivityTimeout/time.Second), 10)
		e.text(external+"connection_established", append(b, '}'))
	case protocol.MessageSubscriptionSucceeded:
		e.text(internal+"subscription_succeeded", appendMembers(e.Text, m))
	case protocol.MessageCacheMiss:
		e.text(external+"cache_miss", append(e.Text, `{}`...))
	case protocol.MessageSubscriptionError:
		e.Event, e.Data = external+"subscription_error", subscriptionError(m.Err)
	case protocol.MessageError:
		e.Event, e.Data = external+"error", errorData(m.Err)
	case protocol.MessageSignedIn:
		e.Event = external + "signin_success"
		e.Data = append(jsonscan.AppendString(append(e.Data, `{"user_data":`...), m.UserData), '}')
	case protocol.MessageWatchlist:
		e.ofWatchlist(m.Online, m.Offline)
	case protocol.MessageResumed:
		e.text(external+"resume_success", appendResumed(e.Text, m.Resumed))
	case protocol.MessageResumeFailed:
		e.Channel = m.Failure.Channel
		e.text(external+"resume_failed", appendFailure(e.Text, m.Failure))
	case protocol.MessageRewound:
		e.Event, e.Data = external+"rewind_complete", appendRewound(nil, m.Rewound)
	case protocol.MessageViewSubscribed:
		e.ofView(m)
		e.text(internal+"subscription_succeeded", appendViewSubscribed(e.Text, m.View))
	case protocol.MessageViewSnapshot:
		e.ofView(m)
		e.text("view:snapshot", appendViewSnapshot(e.Text, m.View))
	default:
		return false
	}
	e.MessageID = uuid.NewString()
	return true
}

// text makes e an event whose data is a string.
func (e *Envelope) text(event string, text []byte) {
	e.Event, e.Text, e.HasText = event, text, true
}

// ofView names the channel of a message about a view, which need not name it.
func (e *Envelope) ofView(m *protocol.Message) {
	if m.Channel == "" {
		e.Channel = pusher.ViewChannel(m.View.View)
	}
}

func errorData(err *protocol.Error) []byte {
	b := strconv.AppendInt([]byte(`{"code":`), int64(err.CodeInV2()), 10)
	b = jsonscan.AppendString(append(b, `,"message":`...), err.Message)
	return append(b, '}')
}

func subscriptionError(err *protocol.Error) []byte {
	b := jsonscan.AppendString([]byte(`{"type":`), err.Type)
	b = jsonscan.AppendString(append(b, `,"error":`...), err.Message)
	b = strconv.AppendInt(append(b, `,"status":`...), int64(err.Status), 10)
	return append(b, '}')
}

// appendMembers appends the data of a subscription that has succeeded.
func appendMembers(dst []byte, m *protocol.Message) []byte {
	dst = append(dst, '{')
	if m.Position != nil {
		dst = appendPosition(append(dst, `"position":`...), *m.Position, "")
	}
	if !m.Presence {
		return append(dst, '}')
	}
	if m.Position != nil {
		dst = append(dst, ',')
	}
	dst = strconv.AppendInt(append(dst, `"presence":{"count":`...), int64(len(m.Members)), 10)
	dst = append(dst, `,"ids":[`...)
	for i := range m.Members {
		dst = appendUserID(appendComma(dst, i), m.Members[i].UserID, m.Members[i].HasNumericID)
	}
	dst = append(dst, `],"hash":{`...)
	for i := range m.Members {
		dst = jsonscan.AppendString(appendComma(dst, i), m.Members[i].UserID) // a key is a string
		dst = append(append(dst, ':'), m.Members[i].Info...)
	}
	return append(dst, `}}}`...)
}

func appendViewSubscribed(dst []byte, v *protocol.ViewMessage) []byte {
	dst = jsonscan.AppendString(append(dst, `{"view":`...), v.View)
	dst = jsonscan.AppendString(append(dst, `,"mode":`...), string(v.Mode))
	if len(v.SortPath) > 0 {
		dst = appendStrings(append(dst, `,"sort":{"field":`...), v.SortPath)
		order := `,"order":"asc"}`
		if v.SortDesc {
			order = `,"order":"desc"}`
		}
		dst = append(dst, order...)
	}
	return append(dst, '}')
}

func appendViewSnapshot(dst []byte, v *protocol.ViewMessage) []byte {
	dst = append(dst, '{')
	if v.IsFirst {
		dst = strconv.AppendBool(append(dst, `"whole":`...), v.IsWhole)
		dst = append(dst, ',')
	}
	dst = append(dst, `"data":[`...)
	for i := range v.Rows {
		dst = jsonscan.AppendString(append(appendComma(dst, i), `{"key":`...), v.Rows[i].Key)
		dst = append(appendRaw(append(dst, `,"data":`...), v.Rows[i].Data), '}')
	}
	dst = append(dst, ']')
	if len(v.Deleted) > 0 {
		dst = appendStrings(append(dst, `,"deleted":`...), v.Deleted)
	}
	dst = strconv.AppendBool(append(dst, `,"complete":`...), v.IsComplete)
	return append(dst, '}')
}
