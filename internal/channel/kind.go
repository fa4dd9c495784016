package channel

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/millrace/millrace/internal/protocol"
)

// Kind is what a channel's name prefix makes of it (pusher-protocol 2.1).
type Kind uint8

const (
	flagSigned Kind = 1 << iota
	flagMembers
	flagCache
	flagClientEvents
	flagUser
)

const userPrefix = "#server-to-user-"

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
	default:
		return 0
	}
}

// UserTopic is the topic of the user channel of a user; the connections that are signed in as
// the user are subscribed to it.
func UserTopic(app, userID string) protocol.Topic { return userTopic(app, userID) }

// OfTopic says what a subscription of the hub is that this package has made: to a channel, or
// as a user that has signed in. Others, of watchlists and of views, are neither.
func OfTopic(name string) (channel, userID string) {
	if id, ok := strings.CutPrefix(name, userPrefix); ok {
		return "", id
	}
	if strings.IndexByte(name, 0) >= 0 { // no channel's
		return "", ""
	}
	return name, ""
}

// NeedsSignature reports whether a subscription must be signed.
func (k Kind) NeedsSignature() bool { return k&flagSigned != 0 }

// HasMembers reports whether subscribers are members whom the others see.
func (k Kind) HasMembers() bool { return k&flagMembers != 0 }

// HasCache reports whether the last published event is kept for joiners.
func (k Kind) HasCache() bool { return k&flagCache != 0 }

// AllowsClientEvents reports whether subscribers may send events to each other.
func (k Kind) AllowsClientEvents() bool { return k&flagClientEvents != 0 }

// IsUser reports whether the channel is the address of one signed-in user.
func (k Kind) IsUser() bool { return k&flagUser != 0 }

// ValidName reports whether name is allowed and has at most limit bytes (pusher-protocol 2.2).
func ValidName(name string, limit int) bool {
	if name == "" || len(name) > limit {
		return false
	}
	if id, ok := strings.CutPrefix(name, userPrefix); ok {
		return isNameable(id)
	}
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '_', c == '-', c == '=', c == '@', c == ',', c == '.', c == ';':
		default:
			return false
		}
	}
	return true
}

// isNameable reports whether a user's channel may have a name that ends with id
// (pusher-protocol 2.2). Nothing could be sent to a user of another id.
func isNameable(id string) bool {
	return id != "" && utf8.ValidString(id) && !strings.ContainsFunc(id, unicode.IsControl)
}
