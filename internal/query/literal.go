package query

import (
	"bytes"

	"github.com/millrace/millrace/internal/jsonscan"
)

// literal is what a comparison compares with, read once.
type literal struct {
	kind     jsonscan.Kind
	truth    bool
	number   number
	text     string
	elements []literal
	names    []string // of an object, beside elements
}

func compileLiteral(v jsonscan.Value) literal {
	l := literal{kind: v.Kind()}
	switch l.kind {
	case jsonscan.Bool:
		l.truth = v[0] == 't'
	case jsonscan.Number:
		l.number = parseNumber(bytes.Clone(v))
	case jsonscan.String:
		l.text = v.Text()
	case jsonscan.Array:
		for e := range v.Elements() {
			l.elements = append(l.elements, compileLiteral(e))
		}
	case jsonscan.Object:
		for key, e := range v.Entries() {
			l.names = append(l.names, key.Text())
			l.elements = append(l.elements, compileLiteral(e))
		}
	default: // null
	}
	return l
}

// equals is JSON equality (views 5.1); a missing value is null.
func (l *literal) equals(v jsonscan.Value) bool {
	kind := v.Kind()
	if kind == jsonscan.Absent {
		kind = jsonscan.Null
	}
	if kind != l.kind {
		return false
	}
	switch kind {
	case jsonscan.Bool:
		return l.truth == (v[0] == 't')
	case jsonscan.Number:
		return l.number.compare(parseNumber(v)) == 0
	case jsonscan.String:
		return v.Means(l.text)
	case jsonscan.Array:
		return l.equalsArray(v)
	case jsonscan.Object:
		return l.equalsObject(v)
	default:
		return true // null
	}
}

func (l *literal) equalsArray(v jsonscan.Value) bool {
	n := 0
	for e := range v.Elements() {
		if n == len(l.elements) || !l.elements[n].equals(e) {
			return false
		}
		n++
	}
	return n == len(l.elements)
}

func (l *literal) equalsObject(v jsonscan.Value) bool {
	n := 0
	for range v.Entries() {
		n++
	}
	if n != len(l.elements) {
		return false
	}
	for i := range l.elements {
		at := v.Lookup(l.names[i : i+1])
		if at == nil || !l.elements[i].equals(at) {
			return false
		}
	}
	return true
}

// order compares v with the literal; false when they have no order.
func (l *literal) order(v jsonscan.Value) (int, bool) {
	if v.Kind() != l.kind {
		return 0, false
	}
	switch l.kind {
	case jsonscan.Number:
		return -l.number.compare(parseNumber(v)), true
	case jsonscan.String:
		return compareText(v, l.text), true
	case jsonscan.Bool:
		switch truth := v[0] == 't'; {
		case truth == l.truth:
			return 0, true
		case truth:
			return 1, true
		}
		return -1, true
	default:
		return 0, false
	}
}

// compareText compares what a string means, bytewise.
func compareText(v jsonscan.Value, text string) int {
	body := unquote(v)
	n := min(len(body), len(text))
	for i := range n {
		if body[i] != text[i] {
			return int(body[i]) - int(text[i])
		}
	}
	return len(body) - len(text)
}

// unquote is what a string means; a view of v unless it has escapes.
func unquote(v jsonscan.Value) []byte {
	body := v[1 : len(v)-1]
	if bytes.IndexByte(body, '\\') < 0 {
		return body
	}
	return []byte(v.Text())
}
