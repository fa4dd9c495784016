package config

import (
	"fmt"
	"strconv"
	"strings"
)

// Problem is one thing wrong with a configuration.
type Problem struct {
	Path    string `json:"path"`            // of the key, such as apps[1].secret, or the name of a variable
	Value   string `json:"value,omitempty"` // as written, quoted if it is a text; empty if there is none to show
	Message string `json:"message"`         // the problem and its fix
}

func (p Problem) String() string {
	if p.Value == "" {
		return p.Path + ": " + p.Message
	}
	return p.Path + " = " + p.Value + ": " + p.Message
}

// Error is everything wrong with a configuration, each problem on a line of its own.
type Error struct {
	Source   string // the file, or "configuration"
	Problems []Problem
}

func (e *Error) Error() string {
	var b strings.Builder
	noun := "problems"
	if len(e.Problems) == 1 {
		noun = "problem"
	}
	fmt.Fprintf(&b, "%s: %d %s", e.Source, len(e.Problems), noun)
	for _, p := range e.Problems {
		b.WriteString("\n  ")
		b.WriteString(p.String())
	}
	return b.String()
}

// Quote shows a text value in a problem, cut if it is long.
func Quote(s string) string {
	const longest = 60
	if len(s) > longest {
		s = s[:longest] + "..."
	}
	return strconv.Quote(s)
}
