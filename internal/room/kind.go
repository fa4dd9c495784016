package room

import (
	"strings"

	"github.com/millrace/millrace/internal/protocol"
)

// Kind is what the prefix of a channel's name makes of the channel (pusher 2.1). The kind of every
// other topic is zero.
type Kind uint8

const (
	flagSigned Kind = 1 << iota
	flagMembers
	flagCache
	flagClientEvents
)

// KindOfTopic is the kind of the channel that t is.
func KindOfTopic(t *protocol.Topic) Kind {
	if t.Kind != protocol.TopicChannel {
		return 0
	}
	return KindOf(t.Name)
}

// KindOf tells the kind from the beginning of a channel's name alone.
func KindOf(channel string) Kind {
	is := func(prefix string) bool { return strings.HasPrefix(channel, prefix) }
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
