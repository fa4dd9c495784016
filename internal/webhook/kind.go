package webhook

import "strings"

// Kind is what a webhook event tells (pusher 6.1).
type Kind uint8

// The kinds of events. Users are beyond Pusher.
const (
	KindChannelOccupied Kind = iota + 1
	KindChannelVacated
	KindMemberAdded
	KindMemberRemoved
	KindClientEvent
	KindCacheMiss
	KindSubscriptionCount
	KindUserOnline
	KindUserOffline

	numKinds
)

// String names the kind as the wire does.
func (k Kind) String() string {
	switch k {
	case KindChannelOccupied:
		return "channel_occupied"
	case KindChannelVacated:
		return "channel_vacated"
	case KindMemberAdded:
		return "member_added"
	case KindMemberRemoved:
		return "member_removed"
	case KindClientEvent:
		return "client_event"
	case KindCacheMiss:
		return "cache_miss"
	case KindSubscriptionCount:
		return "subscription_count"
	case KindUserOnline:
		return "user_online"
	case KindUserOffline:
		return "user_offline"
	default:
		return "unknown"
	}
}

// kindNames returns the names of all kinds, in a list for people.
func kindNames() string {
	var names []string
	for k := KindChannelOccupied; k < numKinds; k++ {
		names = append(names, k.String())
	}
	return strings.Join(names, ", ")
}

// ParseKind finds a kind by its name on the wire.
func ParseKind(name string) (Kind, bool) {
	for k := range numKinds {
		if k > 0 && k.String() == name {
			return k, true
		}
	}
	return 0, false
}

// HasChannel reports whether filters of channels concern the kind.
func (k Kind) HasChannel() bool { return k != KindUserOnline && k != KindUserOffline }

// Subject says what the kind tells the presence of; false for kinds that tell of no presence.
func (k Kind) Subject() (SubjectKind, bool) {
	for s := range numSubjects {
		if k == s.Event(true) || k == s.Event(false) {
			return s, true
		}
	}
	return 0, false
}

// IsPresence reports whether the kind says that its subject is there, rather than gone.
func (k Kind) IsPresence() bool {
	return k == KindChannelOccupied || k == KindMemberAdded || k == KindUserOnline
}

// Kinds is a set of kinds.
type Kinds uint16

// Has reports whether the set has a kind.
func (s Kinds) Has(k Kind) bool { return s&(1<<k) != 0 }

// With is the set and one kind more.
func (s Kinds) With(k Kind) Kinds { return s | 1<<k }

// Tracks reports whether the set has the coming or the going of such subjects.
func (s Kinds) Tracks(k SubjectKind) bool { return s.Has(k.Event(true)) || s.Has(k.Event(false)) }

// TellsGoing reports whether the set has the going of any subjects.
func (s Kinds) TellsGoing() bool {
	return s.Has(KindChannelVacated) || s.Has(KindMemberRemoved) || s.Has(KindUserOffline)
}

// SubjectKind says what a [Subject] is. The values are stored.
type SubjectKind uint8

// The kinds of subjects. A member is one user in one channel, in a smaller place than the
// channel: of what ends at the same moment, it ends first.
const (
	SubjectMember SubjectKind = iota
	SubjectChannel
	SubjectUser

	numSubjects
)

// Event is the kind of event that tells of the coming or the going of such a subject.
func (k SubjectKind) Event(isPresent bool) Kind {
	switch {
	case k == SubjectChannel && isPresent:
		return KindChannelOccupied
	case k == SubjectChannel:
		return KindChannelVacated
	case k == SubjectMember && isPresent:
		return KindMemberAdded
	case k == SubjectMember:
		return KindMemberRemoved
	case isPresent:
		return KindUserOnline
	default:
		return KindUserOffline
	}
}

// Subject is a channel, a member or a user whose presence is told.
type Subject struct {
	App     string
	Kind    SubjectKind
	Channel string // of channels and members
	User    string // of members and users
}
