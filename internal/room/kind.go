package room

import (
	"strings"

	"github.com/millrace/millrace/internal/protocol"
)

// Kind is what a topic's name makes of it. For channels it is the name's prefix that decides
// (pusher 2.1).
type Kind uint8

const (
	flagSigned Kind = 1 << iota
	flagMembers
	flagCache
	flagClientEvents
	flagUser
	flagWatch
)

const (
	userPrefix = "#server-to-user-"
	// watchPrefix begins the topics that tell of users. No channel has a name with this byte.
	watchPrefix = "watch\x00"
)

// KindOf tells the kind from the beginning of the name alone.
func KindOf(name string) Kind {
	is := func(prefix string) bool { return strings.HasPrefix(name, prefix) }
	switch { // a longer prefix before its own beginning
	case is("private-encrypted-cache-"):
		return flagSigned | flagCache
	case is("private-encrypted-"):
		return flagSigned
	case is("private-cache-"):
		return flagSigned | flagCache | flagClientEvents
	case is("private-"):
		return flagSigned | flagClientEvents
	case is("presence-cache-"):
		return flagSigned | flagMembers | flagCache | flagClientEvents
	case is("presence-"):
		return flagSigned | flagMembers | flagClientEvents
	case is("cache-"):
		return flagCache
	case is(userPrefix):
		return flagUser
	case is(watchPrefix):
		return flagWatch
	default:
		return 0
	}
}

// NeedsSignature reports whether a subscription must be signed.
func (k Kind) NeedsSignature() bool { return k&flagSigned != 0 }

// HasMembers reports whether subscribers are members whom the others see.
func (k Kind) HasMembers() bool { return k&flagMembers != 0 }

// HasCache reports whether the last published event is kept for joiners.
func (k Kind) HasCache() bool { return k&flagCache != 0 }

// AllowsClientEvents reports whether subscribers may send events to each other.
func (k Kind) AllowsClientEvents() bool { return k&flagClientEvents != 0 }

// IsUser reports whether the topic is the address of one signed-in user.
func (k Kind) IsUser() bool { return k&flagUser != 0 }

// IsWatch reports whether the topic tells whether one user is online.
func (k Kind) IsWatch() bool { return k&flagWatch != 0 }

// IsChannel reports whether clients subscribe to the topic by name.
func (k Kind) IsChannel() bool { return k&(flagUser|flagWatch) == 0 }

// UserTopic is the topic of the user channel of a user: the connections that are signed in as
// the user are subscribed to it, and the user is online while there are any.
func UserTopic(app, userID string) protocol.Topic {
	return protocol.Topic{App: app, Name: userPrefix + userID}
}

// WatchTopic is the topic on which those who watch a user are told of it.
func WatchTopic(app, userID string) protocol.Topic {
	return protocol.Topic{App: app, Name: watchPrefix + userID}
}

// UserOf is the user whose channel, or whose watch topic, has the name.
func UserOf(name string) (userID string, ok bool) {
	if id, ok := strings.CutPrefix(name, userPrefix); ok {
		return id, true
	}
	return strings.CutPrefix(name, watchPrefix)
}
