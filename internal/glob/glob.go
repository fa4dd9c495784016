// Package glob matches names with patterns in which each * stands for any text, also for none.
// No other character means anything but itself. It takes time with the product of both lengths
// at most, holds no state and starts no goroutine.
package glob

import "strings"

// Match reports whether name is one of the pattern's. Each part between stars is taken where
// it first comes, which leaves the most to the next.
func Match(pattern, name string) bool {
	head, rest, hasStar := strings.Cut(pattern, "*")
	if !hasStar {
		return name == head
	}
	name, ok := strings.CutPrefix(name, head)
	if !ok {
		return false
	}
	for {
		part, after, hasMore := strings.Cut(rest, "*")
		if !hasMore {
			return strings.HasSuffix(name, part)
		}
		_, left, found := strings.Cut(name, part)
		if !found {
			return false
		}
		name, rest = left, after
	}
}
