package projection

import (
	"strings"

	"github.com/millrace/millrace/internal/glob"
)

// pattern is a name in which each * stands for any text, also for none.
type pattern string

// match reports whether name is one of p's, and what the first * stands for: as little as
// possible.
func (p pattern) match(name string) (first string, ok bool) {
	head, rest, hasStar := strings.Cut(string(p), "*")
	if !hasStar {
		return "", name == head
	}
	name, ok = strings.CutPrefix(name, head)
	if !ok {
		return "", false
	}
	if !strings.Contains(rest, "*") { // nearly always
		if first, ok = strings.CutSuffix(name, rest); !ok {
			first = ""
		}
		return first, ok
	}
	for i := range len(name) + 1 {
		if glob.Match(rest, name[i:]) {
			return name[:i], true
		}
	}
	return "", false
}
