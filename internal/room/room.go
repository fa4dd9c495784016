package room

import (
	"time"

	"github.com/millrace/millrace/internal/protocol"
)

// Room is the owner's state of one topic. A topic that keeps nothing has no more of it than who
// is interested, which is little; what a topic keeps is made when there is something.
//
// Methods that make events append them to a slice and return it. The zero Room is of no topic;
// see [New].
type Room struct {
	topic   *protocol.Topic // immutable; the joiner's, so that the name is there once
	kept    *Members        // nil while there is nothing to keep; what a room remembers lies there too
	version uint64          // of subs
	subs    uint32
	kind    Kind // of the topic; immutable
}

// New makes the room of a topic, which is kept and must not change.
func New(t *protocol.Topic) Room { return Room{topic: t, kind: KindOfTopic(t)} }

// Topic is the topic of the room.
func (r *Room) Topic() *protocol.Topic { return r.topic }

// Key is the key of the topic.
func (r *Room) Key() protocol.TopicName { return r.topic.Key() }

// Kind is the kind of the channel.
func (r *Room) Kind() Kind { return r.kind }

// IsChannel reports whether the room is a channel's: clients subscribe to it by name.
func (r *Room) IsChannel() bool { return r.topic.Kind == protocol.TopicChannel }

// Subscriptions is how many subscriptions there are.
func (r *Room) Subscriptions() int { return int(r.subs) }

// Users is the number of members.
func (r *Room) Users() int {
	if r.kept == nil {
		return 0
	}
	return r.kept.Len()
}

// Members lists the members, as [Members.List] does.
func (r *Room) Members() []protocol.Member {
	if r.kept == nil {
		return nil
	}
	return r.kept.List()
}

// Sender is the member as whom a connection sends client events; zero if it is none.
func (r *Room) Sender(id protocol.SocketID) protocol.Member {
	if r.kept == nil {
		return protocol.Member{}
	}
	return r.kept.Member(id)
}

// Said is what a connection that is a member has said about its user; zero if it is none.
func (r *Room) Said(id protocol.SocketID) protocol.Member {
	if r.kept == nil {
		return protocol.Member{}
	}
	return r.kept.Said(id)
}

// IsEmpty reports whether nothing would be lost with the room.
func (r *Room) IsEmpty() bool { return !r.isOccupied() && !r.IsRetaining() }

// Join is a subscription that begins.
type Join struct {
	Part
	Subscriber protocol.SocketID
	Member     *protocol.Member // of topics with members; kept, so it must not change
	MaxMembers int              // users that may be members at once; 0 does not limit them
	HasNotices bool             // from now on subscribers are told how many they are, or are not
}

// Leave is a subscription that ends.
type Leave struct {
	Part
	Subscriber protocol.SocketID
}

// Part is how many subscriptions a node has in a topic. Of two parts that one of a higher version
// is the later, in whichever order the owner gets them.
type Part struct {
	Version       uint64 // above zero
	Subscriptions uint32
}

// Join makes a subscription known. A refusal is for the client, and has changed nothing.
func (r *Room) Join(now time.Duration, j Join, events []Event) ([]Event, *protocol.Error) {
	if r.kind.HasMembers() && r.isFullFor(j.Member.UserID, j.MaxMembers) {
		return events, protocol.ErrPresenceFull.Withf("The channel has %d members, which is its limit", j.MaxMembers)
	}
	wasOccupied, isFirst := r.isOccupied(), false
	r.take(j.Part)
	if r.kind.HasMembers() {
		isFirst = r.members().Join(j.Subscriber, j.Member)
	}
	if !wasOccupied && r.isOccupied() {
		events = r.appendOccupied(events)
	}
	if isFirst {
		events = append(events, Event{
			Kind: MemberAdded, App: r.topic.App, Channel: r.topic.Name,
			User: j.Member.UserID, HasNumericID: j.Member.HasNumericID, Data: j.Member.Info, Socket: j.Subscriber,
		})
	}
	if r.kind.HasCache() {
		if p, _ := r.Retained(now); p == nil {
			events = append(events, Event{Kind: CacheMiss, App: r.topic.App, Channel: r.topic.Name})
		}
	}
	r.setNotices(j.HasNotices)
	return events, nil
}

func (r *Room) isFullFor(userID string, limit int) bool {
	return limit > 0 && r.kept != nil && r.kept.Len() >= limit && !r.kept.Has(userID)
}

// Leave makes the end of a subscription known; of one that is not known it changes nothing.
func (r *Room) Leave(l Leave, events []Event) []Event {
	wasOccupied := r.isOccupied()
	if r.kept != nil {
		if m, isLast := r.kept.Leave(l.Subscriber); isLast {
			events = append(events, Event{
				Kind: MemberRemoved, App: r.topic.App, Channel: r.topic.Name,
				User: m.UserID, HasNumericID: m.HasNumericID, Socket: l.Subscriber,
			})
		}
	}
	if r.take(l.Part); wasOccupied && !r.isOccupied() {
		events = r.appendVacated(events)
	}
	return events
}

// take makes a part known unless it is an old one.
func (r *Room) take(p Part) {
	if p.Version > r.version {
		r.version, r.subs = p.Version, p.Subscriptions
	}
}

// isOccupied reports whether anything is subscribed: leaves may come in another order than their
// versions, and a member that is still there is.
func (r *Room) isOccupied() bool {
	return r.subs > 0 || r.kept != nil && r.kept.Len() > 0
}

func (r *Room) appendOccupied(events []Event) []Event {
	return r.appendEdge(events, ChannelOccupied, UserOnline)
}

func (r *Room) appendVacated(events []Event) []Event {
	return r.appendEdge(events, ChannelVacated, UserOffline)
}

func (r *Room) appendEdge(events []Event, ofChannel, ofUser EventKind) []Event {
	switch r.topic.Kind {
	case protocol.TopicWatch:
		return events
	case protocol.TopicUser:
		return append(events, Event{Kind: ofUser, App: r.topic.App, User: r.topic.Name})
	default:
		return append(events, Event{Kind: ofChannel, App: r.topic.App, Channel: r.topic.Name})
	}
}

// Present makes events of all that is present, as if it came now, for a listener that has not
// heard of it.
func (r *Room) Present(events []Event) []Event {
	if !r.isOccupied() {
		return events
	}
	events = r.appendOccupied(events)
	for _, m := range r.Members() {
		events = append(events, Event{Kind: MemberAdded, App: r.topic.App, Channel: r.topic.Name, User: m.UserID})
	}
	return events
}

func (r *Room) members() *Members {
	if r.kept == nil {
		r.kept = new(Members)
	}
	return r.kept
}
