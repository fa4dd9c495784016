package owner

import (
	"bytes"
	"slices"

	"github.com/millrace/millrace/internal/jsonscan"
)

// fewKeys are compared each with each.
const fewKeys = 16

// hasEqual reports whether two of keys are equal. It may change their order.
func (p *preparer) hasEqual(keys []span) bool {
	if len(keys) <= fewKeys {
		for i, a := range keys {
			for _, b := range keys[:i] {
				if a.to-a.from == b.to-b.from && bytes.Equal(p.text[a.from:a.to], p.text[b.from:b.to]) {
					return true
				}
			}
		}
		return false
	}
	compare := func(a, b span) int { return bytes.Compare(p.text[a.from:a.to], p.text[b.from:b.to]) }
	slices.SortFunc(keys, compare)
	for i := 1; i < len(keys); i++ {
		if compare(keys[i-1], keys[i]) == 0 {
			return true
		}
	}
	return false
}

// lastOfEqual is a copy of v in which each object has the last of its members with equal keys
// only. It recurses as deep as v is nested, which the caller has bounded, and reads each value
// once per level: equal keys are a mistake of the publisher, and rare.
func lastOfEqual(v jsonscan.Value) jsonscan.Value {
	return appendLast(make([]byte, 0, len(v)), v)
}

func appendLast(dst []byte, v jsonscan.Value) []byte {
	switch v.Kind() {
	case jsonscan.Object:
		return appendLastMembers(dst, v)
	case jsonscan.Array:
		dst = append(dst, '[')
		for element := range v.Elements() {
			if dst[len(dst)-1] != '[' {
				dst = append(dst, ',')
			}
			dst = appendLast(dst, element)
		}
		return append(dst, ']')
	default:
		return append(dst, v...)
	}
}

func appendLastMembers(dst []byte, v jsonscan.Value) []byte {
	type member struct {
		key   string
		value jsonscan.Value
	}
	var members []member
	last := map[string]int{}
	for key, value := range v.Entries() {
		spelled := string(appendKey(nil, key))
		last[spelled] = len(members)
		members = append(members, member{spelled, value})
	}
	dst = append(dst, '{')
	for i, m := range members {
		if last[m.key] != i {
			continue
		}
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		dst = append(append(dst, m.key...), ':')
		dst = appendLast(dst, m.value)
	}
	return append(dst, '}')
}

// isDeeper reports whether text, which need not be JSON, has brackets nested more than
// maxDepth deep outside of strings.
func isDeeper(text []byte, maxDepth int) bool {
	depth, inString := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{', c == '[':
			if depth++; depth > maxDepth {
				return true
			}
		case c == '}', c == ']':
			depth--
		}
	}
	return false
}
