package webhook

// Kind is what a webhook event tells (pusher-protocol 6.1).
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

// String is the name of the kind on the wire.
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

// ParseKind finds a kind by its name on the wire.
func ParseKind(name string) (Kind, bool) {
	for k := range numKinds {
		if k > 0 && k.String() == name {
			return k, true
		}
	}
	return 0, false
}

// hasChannel reports whether filters of channels concern the kind.
func (k Kind) hasChannel() bool { return k != KindUserOnline && k != KindUserOffline }

// subject is what a kind tells the presence of; false for kinds that tell of no presence.
func (k Kind) subject() (SubjectKind, bool) {
	for s := range numSubjects {
		if k == s.kind(true) || k == s.kind(false) {
			return s, true
		}
	}
	return 0, false
}

// isPresence reports whether the kind says that somebody is there, rather than gone.
func (k Kind) isPresence() bool {
	return k == KindChannelOccupied || k == KindMemberAdded || k == KindUserOnline
}

type kindSet uint16

func (s kindSet) has(k Kind) bool     { return s&(1<<k) != 0 }
func (s kindSet) with(k Kind) kindSet { return s | 1<<k }

// wants reports whether anybody is told of the coming or the going of such subjects.
func (s kindSet) wants(k SubjectKind) bool { return s.has(k.kind(true)) || s.has(k.kind(false)) }

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

func (k SubjectKind) kind(isPresent bool) Kind {
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

// Subject is whose presence is told.
type Subject struct {
	App     string
	Kind    SubjectKind
	Channel string // of channels and members
	User    string // of members and users
}
