package v2

import (
	"strconv"

	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/protocol/pusher"
)

// Prefixes of the events that are the protocol's own (v2 1.2).
const (
	external = "sockudo:"
	internal = "sockudo_internal:"
)

// OfPublication makes e the message by which a subscriber hears of p, with its tags or without them
// (v2 1.3, 1.4, 2.1). e is empty before, and shares the memory of p.
func (e *Envelope) OfPublication(p *protocol.Publication, showsTags bool) {
	switch p.Kind {
	case protocol.KindMemberAdded:
		b := appendUserID(append(e.Text, `{"user_id":`...), p.UserID, p.HasNumericID)
		b = append(append(b, `,"user_info":`...), p.Data...)
		e.ofChannel(internal+"member_added", p, append(b, '}'))
	case protocol.KindMemberRemoved:
		b := appendUserID(append(e.Text, `{"user_id":`...), p.UserID, p.HasNumericID)
		e.ofChannel(internal+"member_removed", p, append(b, '}'))
	case protocol.KindSubscriptionCount:
		b := strconv.AppendUint(append(e.Text, `{"subscription_count":`...), uint64(p.Count), 10)
		e.ofChannel(internal+"subscription_count", p, append(b, '}'))
	case protocol.KindUserOnline:
		e.ofWatchlist([]string{p.UserID}, nil)
	case protocol.KindUserOffline:
		e.ofWatchlist(nil, []string{p.UserID})
	case protocol.KindChange:
		e.ofChange(p)
	default:
		e.ofEvent(p)
		if showsTags && p.Properties != nil {
			e.Tags = p.Properties.Tags
		}
	}
}

// ofChannel is a notice of the protocol on the channel of p.
func (e *Envelope) ofChannel(event string, p *protocol.Publication, text []byte) {
	e.Event, e.Channel, e.Text, e.HasText = event, p.Topic.Name, text, true
}

// ofEvent is an event that a publisher or a client has published.
func (e *Envelope) ofEvent(p *protocol.Publication) {
	e.Event, e.Channel, e.Data, e.UserID = p.Event, p.Topic.Name, p.Data, p.UserID
	if p.Topic.Kind == protocol.TopicUser {
		e.Channel = protocol.UserChannelPrefix + p.Topic.Name
	}
	if r := p.Properties; r != nil {
		e.MessageID, e.StreamID, e.Serial, e.Extras = r.MessageID, r.StreamID, r.Serial, r.Extras
	}
}

// ofWatchlist tells who of the watched users is online. The client reads one frame with all of it
// (v2 1.3).
func (e *Envelope) ofWatchlist(online, offline []string) {
	e.Event = internal + "watchlist_events"
	b := append([]byte(nil), `{"events":[`...)
	b = appendWatched(b, "online", online)
	if len(online) > 0 && len(offline) > 0 {
		b = append(b, ',')
	}
	b = appendWatched(b, "offline", offline)
	e.Data = append(b, `]}`...)
}

func appendWatched(dst []byte, name string, userIDs []string) []byte {
	if len(userIDs) == 0 {
		return dst
	}
	dst = append(append(append(dst, `{"name":"`...), name...), `","user_ids":[`...)
	for i, id := range userIDs {
		dst = appendComma(dst, i)
		dst = jsonscan.AppendString(dst, id)
	}
	return append(dst, `]}`...)
}

// appendUserID appends the id of a member as the member gave it: a string, or a number.
func appendUserID(dst []byte, id string, isNumber bool) []byte {
	if isNumber {
		return append(dst, id...)
	}
	return jsonscan.AppendString(dst, id)
}

// ofChange is one change of a view, on the channel that stands for it.
func (e *Envelope) ofChange(p *protocol.Publication) {
	c := p.Change
	e.Event, e.Channel = "view:"+string(c.Op), pusher.ViewChannel(c.View)
	b := jsonscan.AppendString(append(e.Text, `{"key":`...), c.Key)
	if c.Op != protocol.OpDelete {
		b = appendRaw(append(b, `,"data":`...), p.Data)
	}
	if c.Op == protocol.OpPatch && len(c.Append) > 0 {
		b = appendStrings(append(b, `,"append":`...), c.Append)
	}
	if c.Seq != "" {
		b = jsonscan.AppendString(append(b, `,"seq":`...), c.Seq)
	}
	e.Text, e.HasText = append(b, '}'), true
}

// appendRaw appends a value that is JSON already.
func appendRaw(dst, raw []byte) []byte {
	if len(raw) == 0 {
		return append(dst, `null`...)
	}
	return append(dst, raw...)
}

func appendStrings(dst []byte, all []string) []byte {
	dst = append(dst, '[')
	for i, s := range all {
		dst = jsonscan.AppendString(appendComma(dst, i), s)
	}
	return append(dst, ']')
}

// appendComma appends what stands before item i of a list.
func appendComma(dst []byte, i int) []byte {
	if i > 0 {
		return append(dst, ',')
	}
	return dst
}
