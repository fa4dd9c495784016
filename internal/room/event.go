package room

import "github.com/millrace/millrace/internal/protocol"

// EventKind says what an [Event] tells.
type EventKind uint8

// The kinds of events. Listeners hear of all; subscribers hear of those that have a publication.
const (
	// ChannelOccupied: a channel has its first subscription.
	ChannelOccupied EventKind = iota + 1
	// ChannelVacated: it has lost its last one.
	ChannelVacated
	// MemberAdded: the first connection of a user has joined a presence channel.
	MemberAdded
	// MemberRemoved: the last one has left it.
	MemberRemoved
	// ClientEvent: a client event was published.
	ClientEvent
	// CacheMiss: a join of a cache channel found nothing.
	CacheMiss
	// SubscriptionCount: the number of subscriptions to a channel without members has become Count.
	SubscriptionCount
	// CountNotice: the subscribers are told the number. It comes less often than SubscriptionCount.
	CountNotice
	// UserOnline: the first connection of a user has signed in.
	UserOnline
	// UserOffline: the last one is gone.
	UserOffline
)

// Event is one thing that a room has decided, on its way to subscribers and to listeners. Which
// fields beyond Kind and App say something depends on Kind.
type Event struct {
	Kind         EventKind
	HasNumericID bool // members: clients are shown the id of User as a number

	App     string
	Channel string            // empty for events of users
	User    string            // of members, of users, and of a client event in a channel with members
	Socket  protocol.SocketID // of members and client events: the connection whose doing it is
	Name    string            // ClientEvent
	Data    []byte            // ClientEvent: one JSON value, nil without; MemberAdded: user_info
	Count   int               // SubscriptionCount, CountNotice
}

// Publication is what the subscribers of a topic are told of e; nil for an event that only
// listeners are told of, and for a client event, whose publication there is already.
func (e *Event) Publication() *protocol.Publication {
	p := protocol.Publication{Topic: protocol.Topic{App: e.App, Name: e.Channel}, UserID: e.User, HasNumericID: e.HasNumericID, Except: e.Socket}
	switch e.Kind {
	case MemberAdded:
		p.Kind, p.Data = protocol.KindMemberAdded, e.Data
	case MemberRemoved:
		p.Kind = protocol.KindMemberRemoved
	case CountNotice:
		p.Kind, p.Count = protocol.KindSubscriptionCount, uint32(e.Count)
	case UserOnline:
		p.Kind, p.Topic = protocol.KindUserOnline, e.watchTopic()
	case UserOffline:
		p.Kind, p.Topic = protocol.KindUserOffline, e.watchTopic()
	default:
		return nil
	}
	return &p
}

func (e *Event) watchTopic() protocol.Topic {
	return protocol.Topic{App: e.App, Kind: protocol.TopicWatch, Name: e.User}
}
