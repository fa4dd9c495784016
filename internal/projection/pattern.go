package projection

import "strings"

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
		if glob(rest, name[i:]) {
			return name[:i], true
		}
	}
	return "", false
}

// glob reports whether name is one of the pattern's. Each part between stars is taken where
// it first comes, which leaves the most to the next.
func glob(pattern, name string) bool {
	head, rest, hasStar := strings.Cut(pattern, "*")
	if !hasStar {
		return name == head
	}
	name, ok := strings.CutPrefix(name, head)
	if !ok {
		return false
	}
	parts := strings.Split(rest, "*")
	for _, part := range parts[:len(parts)-1] {
		_, after, found := strings.Cut(name, part)
		if !found {
			return false
		}
		name = after
	}
	return strings.HasSuffix(name, parts[len(parts)-1])
}
