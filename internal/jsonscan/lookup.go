package jsonscan

import (
	"bytes"
	"encoding/binary"
	"iter"
	"math/bits"
)

// Lookup is the value at a path of member names, one object inside the other; nil where
// there is none. Nothing is found through an array. Of equal keys the first counts. It
// allocates only for keys that are written with escapes.
//
//millrace:hot BenchmarkLookup TestLookupAllocs
func (v Value) Lookup(path []string) Value {
	if len(v) == 0 {
		return nil
	}
	at := 0
	for _, name := range path {
		if at = v.find(at, name); at < 0 {
			return nil
		}
	}
	return v[at:v.skip(at)]
}

// Entries are the keys, as they are written, and the values of an object in order, equal
// keys too; nothing of any other value.
func (v Value) Entries() iter.Seq2[Value, Value] {
	return func(yield func(Value, Value) bool) {
		if v.Kind() != Object {
			return
		}
		for at := v.space(1); v[at] == '"'; {
			end := v.stringEnd(at)
			value := v.space(v.space(end) + 1)
			after := v.skip(value)
			if !yield(v[at:end], v[value:after]) {
				return
			}
			if at = v.space(after); v[at] == ',' {
				at = v.space(at + 1)
			}
		}
	}
}

// Means reports whether v is a string that means text.
func (v Value) Means(text string) bool {
	if len(v) < len(text)+2 || v[0] != '"' {
		return false
	}
	// Most strings that differ do so at once.
	if text != "" && v[1] != text[0] && v[1] != '\\' {
		return false
	}
	// An escape is longer than what it means.
	body := v[1 : len(v)-1]
	if len(body) == len(text) {
		return string(body) == text && bytes.IndexByte(body, '\\') < 0
	}
	return bytes.IndexByte(body, '\\') >= 0 && v.Text() == text
}

// find is where the value of a member begins of the object that begins at; -1 without one.
func (v Value) find(at int, name string) int {
	if v[at] != '{' {
		return -1
	}
	for at = v.space(at + 1); v[at] == '"'; {
		end := v.stringEnd(at)
		key := v[at:end]
		at = v.space(v.space(end) + 1)
		if key.Means(name) {
			return at
		}
		if at = v.space(v.skip(at)); v[at] == ',' {
			at = v.space(at + 1)
		}
	}
	return -1
}

// skip is the end of the value that begins at.
func (v Value) skip(at int) int {
	switch v[at] {
	case '"':
		return v.stringEnd(at)
	case '{', '[':
		return v.skipBrackets(at)
	}
	for at < len(v) {
		switch v[at] {
		case ',', '}', ']', ' ', '\t', '\r', '\n':
			return at
		}
		at++
	}
	return at
}

func (v Value) skipBrackets(at int) int {
	depth := 0
	for {
		switch v[at] {
		case '"':
			at = v.stringEnd(at)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return at + 1
			}
		}
		at++
	}
}

// stringEnd is the end of the string that begins at. Eight bytes at a time: most of a text is
// strings, most of them short.
func (v Value) stringEnd(at int) int {
	for at++; ; {
		if at+8 <= len(v) {
			m := either(binary.LittleEndian.Uint64(v[at:]), '"', '\\')
			if m == 0 {
				at += 8
				continue
			}
			at += bits.TrailingZeros64(m) / 8
		}
		switch v[at] {
		case '"':
			return at + 1
		case '\\':
			at++
		}
		at++
	}
}

// either has a bit set in the first byte of word, from the lowest, that is a or b; bytes
// above it may be marked wrongly. It is zero when there is none.
func either(word uint64, a, b byte) uint64 {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	x, y := word^ones*uint64(a), word^ones*uint64(b)
	return ((x-ones)&^x | (y-ones)&^y) & tops
}

func (v Value) space(at int) int {
	for at < len(v) && v[at] <= ' ' {
		at++
	}
	return at
}
