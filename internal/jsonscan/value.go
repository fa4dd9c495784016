// Package jsonscan reads JSON without decoding it and appends string literals. It owns the
// one place where the bytes of others are checked to be JSON and walked: values come out as
// they are written, so that a value that is only passed on keeps its spelling.
//
// It must never know what a text is for. It has no state and no goroutines; all functions
// are safe for concurrent use. Nesting, however deep, costs no stack to speak of.
package jsonscan

import (
	"bytes"
	"encoding/json"
	"iter"
	"math"
	"strconv"
	"unicode/utf8"
	"unsafe"

	"github.com/tidwall/gjson"
)

// Value is one JSON value as it is written, without space around it; nil where there is
// none. It is a part of the text it was read from and must not be used longer. Methods may
// be called on values of this package and on other valid JSON without space around it.
type Value []byte

// Kind says what a value is.
type Kind byte

// The kinds of values that callers tell apart.
const (
	Absent Kind = 0
	Null   Kind = 'n'
	String Kind = '"'
	Number Kind = '0'
	Object Kind = '{'
	Array  Kind = '['
	Bool   Kind = 't'
)

// maxRecursion is how many brackets a text may have to be left to the faster of two
// validators, which recurses.
const maxRecursion = 1000

// Parse checks that text is one JSON value (RFC 8259) in UTF-8, nested as deeply as
// encoding/json allows. Equal keys and lone surrogates are no mistakes.
func Parse(text []byte) (Value, bool) {
	ok := utf8.Valid(text)
	if len(text) <= maxRecursion || bytes.Count(text, []byte{'['})+bytes.Count(text, []byte{'{'}) <= maxRecursion {
		ok = ok && gjson.ValidBytes(text)
	} else {
		ok = ok && json.Valid(text)
	}
	if !ok {
		return nil, false
	}
	return Value(trim(text)), true
}

// trim is text, which is not only space, without the space around it.
func trim(text []byte) []byte {
	for text[0] <= ' ' {
		text = text[1:]
	}
	for text[len(text)-1] <= ' ' {
		text = text[:len(text)-1]
	}
	return text
}

// IsGiven tells a value from one that is absent or null.
func (v Value) IsGiven() bool { return v.Kind() != Absent && v.Kind() != Null }

// Kind is Absent for nil.
func (v Value) Kind() Kind {
	if len(v) == 0 {
		return Absent
	}
	switch c := v[0]; c {
	case 'n', '"', '{', '[', 't':
		return Kind(c)
	case 'f':
		return Bool
	default:
		return Number
	}
}

// Members are the keys, as text, and the values of an object in order, equal keys too;
// nothing of any other value. A key must not be used longer than its step; one with a lone
// surrogate is none that anybody looks for and may come out shortened.
func (v Value) Members() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		if v.Kind() == Object {
			v.each(yield)
		}
	}
}

// Elements are the values in an array; nothing of any other value.
func (v Value) Elements() iter.Seq[Value] {
	return func(yield func(Value) bool) {
		if v.Kind() == Array {
			v.each(func(_ string, element Value) bool { return yield(element) })
		}
	}
}

func (v Value) each(yield func(string, Value) bool) {
	// A view, because a copy of each body costs as much again as the walk. It and what gjson
	// cuts from it live for one step of the walk, during which v is not written to.
	view := unsafe.String(unsafe.SliceData(v), len(v))
	gjson.Parse(view).ForEach(func(key, value gjson.Result) bool {
		return yield(key.Str, v[value.Index:value.Index+len(value.Raw)])
	})
}

// Text is the text that a string means, as a copy; empty for any other value. A lone
// surrogate means U+FFFD.
func (v Value) Text() string {
	if v.Kind() != String {
		return ""
	}
	if bytes.IndexByte(v, '\\') < 0 {
		return string(v[1 : len(v)-1])
	}
	return string(appendUnescaped(nil, v[1:len(v)-1]))
}

// AppendText appends the text that a string means; nothing of any other value.
func (v Value) AppendText(dst []byte) []byte {
	switch {
	case v.Kind() != String:
		return dst
	case bytes.IndexByte(v, '\\') < 0:
		return append(dst, v[1:len(v)-1]...)
	default:
		return appendUnescaped(dst, v[1:len(v)-1])
	}
}

// Count reads an integer of at least zero, written without sign, fraction or exponent. One
// that is too large for an int is the greatest.
func (v Value) Count() (n int, ok bool) {
	for _, c := range v {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	n, err := strconv.Atoi(string(v))
	if err != nil {
		n = math.MaxInt
	}
	return n, len(v) > 0
}

// Compact is a copy without space between tokens.
func (v Value) Compact() []byte {
	var b bytes.Buffer
	b.Grow(len(v))
	_ = json.Compact(&b, v) // fails on bad JSON only
	return b.Bytes()
}

// Size is the length of the text of a string, and of the compact form of anything else. It
// is never more than len(v).
func (v Value) Size() int {
	switch {
	case v.Kind() != String:
		return len(v.Compact())
	case bytes.IndexByte(v, '\\') < 0:
		return len(v) - 2
	default:
		return len(v.Text())
	}
}
