package channel

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/millrace/millrace/internal/protocol"
)

// ValidName reports whether name is allowed and has at most limit bytes (pusher 2.2).
func ValidName(name string, limit int) bool {
	if name == "" || len(name) > limit {
		return false
	}
	if id, ok := protocol.UserOf(name); ok {
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
// (pusher 2.2). Nothing could be sent to a user of another id.
func isNameable(id string) bool {
	return id != "" && utf8.ValidString(id) && !strings.ContainsFunc(id, unicode.IsControl)
}
