// Package access says who may read a view: all clients, clients with a token, or only the app's own
// server. It holds the levels, the rules that give base views their level, and the
// lists of views that a token may name.
//
// It knows names of views and nothing else of them: neither which there are, nor who asks. It
// starts no goroutine; its values are immutable.
package access

import (
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/glob"
)

// Level is what a view asks of its reader, and, as a clearance, what a reader has. The zero
// value is no level: a view that has none yet, a reader who may read nothing.
type Level uint8

// The levels, each with all that the former may read.
const (
	Public Level = iota + 1 // all clients may read
	Token                   // clients that were admitted with a token, or without one where none is asked for
	Server                  // requests and channels that are signed with the app's secret
)

// Names are the words for levels, for messages.
const Names = "public, token, server"

func (l Level) String() string { return [...]string{"", "public", "token", "server"}[l] }

// Parse reads the word for a level.
func Parse(word string) (Level, bool) {
	for l := Public; l <= Server; l++ {
		if l.String() == word {
			return l, true
		}
	}
	return 0, false
}

// May reports whether a reader with clearance l may read a view of a level.
func (l Level) May(level Level) bool { return level != 0 && l >= level }

// IsBase reports whether an id can only name a base view (views 5.1).
func IsBase(view string) bool {
	return strings.HasSuffix(view, "/list") || strings.HasSuffix(view, "/state") || strings.HasSuffix(view, "/append")
}

// Rule gives the base views that a pattern names a level.
type Rule struct {
	Views string // an id, in which each * stands for any text
	Level Level
}

// Rules give every base view a level, also those that there are not, so that the answer tells
// nothing about which there are. The zero value leaves them all to the server.
type Rules struct {
	list     []Rule
	fallback Level
}

// NewRules makes rules of which the first that names a view counts. Without any, its level is
// fallback.
func NewRules(list []Rule, fallback Level) *Rules {
	return &Rules{slices.Clone(list), fallback}
}

// Of is the level of a base view.
func (r *Rules) Of(view string) Level {
	for _, rule := range r.list {
		if glob.Match(rule.Views, view) {
			return rule.Level
		}
	}
	if r.fallback == 0 {
		return Server
	}
	return r.fallback
}

// HasPublic reports whether there may be base views that are for all clients.
func (r *Rules) HasPublic() bool {
	return r.fallback == Public || slices.ContainsFunc(r.list, func(rule Rule) bool { return rule.Level == Public })
}

// Views are the views that a token names: ids, in which each * stands for any text.
type Views []string

// Has reports whether the list names a view.
func (v Views) Has(view string) bool {
	return slices.ContainsFunc(v, func(pattern string) bool { return glob.Match(pattern, view) })
}

// Bounds of a list of views.
const (
	MaxViews   = 256
	MaxPattern = 256 // bytes
)

// Check describes the problem of a list of views; empty if there is none.
func (v Views) Check() string {
	if len(v) > MaxViews {
		return "names more than 256 views"
	}
	for _, pattern := range v {
		if pattern == "" || len(pattern) > MaxPattern {
			return "holds an id that is empty or longer than 256 bytes"
		}
	}
	return ""
}
