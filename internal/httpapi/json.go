package httpapi

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// maxDepth bounds the nesting of a body, so that nobody can exhaust the stack.
const maxDepth = 1000

// scanner walks one JSON text once, strictly after RFC 8259, and hands out its values as
// they stand there. After the first mistake bad is set and every method gives nothing.
// It does not check UTF-8.
type scanner struct {
	text []byte
	at   int
	bad  bool
}

func (s *scanner) fail() { s.bad, s.at = true, len(s.text) }

func (s *scanner) space() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

// peek is the first byte of the next token, zero at the end.
func (s *scanner) peek() byte {
	s.space()
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

// take consumes c if it comes next.
func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.at++
	return true
}

// more steps to the next element of an object or array that has been opened and of which
// n elements have been read; false when end was consumed or the text is bad.
func (s *scanner) more(n int, end byte) bool {
	switch {
	case s.take(end):
		return false
	case n > 0 && !s.take(','):
		s.fail()
		return false
	case s.peek() == 0:
		s.fail()
		return false
	}
	return true
}

// member steps to the n-th member of an object and reads its key; the value comes next.
func (s *scanner) member(n int) (key []byte, ok bool) {
	if !s.more(n, '}') {
		return nil, false
	}
	if s.peek() != '"' {
		s.fail()
		return nil, false
	}
	key = s.string()
	if !s.take(':') {
		s.fail()
		return nil, false
	}
	if bytes.IndexByte(key, '\\') >= 0 {
		return []byte(unquote(key)), !s.bad
	}
	return key[1 : len(key)-1], true
}

// value consumes one value and returns it without the space around it.
func (s *scanner) value() []byte {
	s.space()
	start := s.at
	s.skip(0)
	if s.bad {
		return nil
	}
	return s.text[start:s.at]
}

// end reports whether the text was good and nothing is left of it.
func (s *scanner) end() bool { return s.peek() == 0 && s.at == len(s.text) && !s.bad }

func (s *scanner) skip(depth int) {
	if depth > maxDepth {
		s.fail()
		return
	}
	switch c := s.peek(); {
	case c == '"':
		s.string()
	case c == '{':
		s.at++
		for n := 0; s.more(n, '}'); n++ {
			if s.peek() != '"' {
				s.fail()
				return
			}
			s.string()
			if !s.take(':') {
				s.fail()
				return
			}
			s.skip(depth + 1)
		}
	case c == '[':
		s.at++
		for n := 0; s.more(n, ']'); n++ {
			s.skip(depth + 1)
		}
	case c == '-' || '0' <= c && c <= '9':
		s.number()
	case c == 't':
		s.word("true")
	case c == 'f':
		s.word("false")
	case c == 'n':
		s.word("null")
	default:
		s.fail()
	}
}

func (s *scanner) word(w string) {
	if len(s.text)-s.at < len(w) || string(s.text[s.at:s.at+len(w)]) != w {
		s.fail()
		return
	}
	s.at += len(w)
}

// string consumes a string literal and returns it with its quotes.
func (s *scanner) string() []byte {
	start := s.at
	text := s.text
	for i := start + 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			s.at = i + 1
			return text[start:s.at]
		case c < ' ':
			s.fail()
			return nil
		case c == '\\':
			n := escapeLen(text[i:])
			if n == 0 {
				s.fail()
				return nil
			}
			i += n - 1
		}
	}
	s.fail()
	return nil
}

// escapeLen is the length of the escape that text begins with, zero if it is none.
func escapeLen(text []byte) int {
	if len(text) < 2 {
		return 0
	}
	switch text[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(text) < 6 {
			return 0
		}
		for _, c := range text[2:6] {
			if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F') {
				return 0
			}
		}
		return 6
	}
	return 0
}

func (s *scanner) number() {
	if s.text[s.at] == '-' {
		s.at++
	}
	if s.at < len(s.text) && s.text[s.at] == '0' {
		s.at++
	} else if !s.digits() {
		return
	}
	if s.at < len(s.text) && s.text[s.at] == '.' {
		s.at++
		if !s.digits() {
			return
		}
	}
	if s.at < len(s.text) && (s.text[s.at] == 'e' || s.text[s.at] == 'E') {
		s.at++
		if s.at < len(s.text) && (s.text[s.at] == '+' || s.text[s.at] == '-') {
			s.at++
		}
		s.digits()
	}
}

// digits consumes one digit or more, and fails without one.
func (s *scanner) digits() bool {
	start := s.at
	for s.at < len(s.text) && '0' <= s.text[s.at] && s.text[s.at] <= '9' {
		s.at++
	}
	if s.at == start {
		s.fail()
		return false
	}
	return true
}

// isString and the like tell what a value from a scanner is by its first byte.
func isString(v []byte) bool { return len(v) > 0 && v[0] == '"' }
func isArray(v []byte) bool  { return len(v) > 0 && v[0] == '[' }
func isNull(v []byte) bool   { return len(v) > 0 && v[0] == 'n' }

// unquote is the text that a string literal from a scanner means.
func unquote(literal []byte) string {
	if bytes.IndexByte(literal, '\\') < 0 {
		return string(literal[1 : len(literal)-1])
	}
	var text string
	_ = json.Unmarshal(literal, &text) // the scanner has found it good
	return text
}

// textLen is the length in UTF-8 of the text that a string literal means.
func textLen(literal []byte) int {
	inner := literal[1 : len(literal)-1]
	n := len(inner)
	for {
		i := bytes.IndexByte(inner, '\\')
		if i < 0 {
			return n
		}
		inner = inner[i:]
		width, bytesOf := 2, 1
		if inner[1] == 'u' {
			width, bytesOf = unicodeLen(inner)
		}
		n += bytesOf - width
		inner = inner[width:]
	}
}

// unicodeLen is the length of the \u escape, or pair of them, at the beginning of text, and
// that of the rune it means.
func unicodeLen(text []byte) (width, runeLen int) {
	r := hex4(text[2:6])
	if r < 0xd800 || r > 0xdfff {
		return 6, utf8.RuneLen(r)
	}
	if r < 0xdc00 && len(text) >= 12 && text[6] == '\\' && text[7] == 'u' {
		if low := hex4(text[8:12]); low >= 0xdc00 && low <= 0xdfff {
			return 12, 4
		}
	}
	return 6, utf8.RuneLen(utf8.RuneError) // half a pair means the replacement character
}

func hex4(digits []byte) rune {
	var r rune
	for _, c := range digits {
		switch {
		case c <= '9':
			r = r<<4 | rune(c-'0')
		default:
			r = r<<4 | rune(c|0x20-'a'+10)
		}
	}
	return r
}

// appendCompactAsString appends a string literal whose text is the value v without space
// outside its strings, and returns the length of that text.
func appendCompactAsString(dst, v []byte) (_ []byte, textLen int) {
	dst = append(dst, '"')
	inString := false
	for i := 0; i < len(v); i++ {
		c := v[i]
		switch {
		case c == '"':
			inString = !inString
			dst = append(dst, '\\', '"')
		case c == '\\': // within a string only; what it escapes is no end of it
			dst = append(dst, '\\', '\\')
			textLen++
			i++
			if c = v[i]; c == '"' || c == '\\' {
				dst = append(dst, '\\')
			}
			dst = append(dst, c)
		case !inString && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			continue
		default:
			dst = append(dst, c)
		}
		textLen++
	}
	return append(dst, '"'), textLen
}

// appendString appends text as a string literal. text is UTF-8; other bytes are replaced.
func appendString(dst []byte, text string) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r < ' ':
			dst = append(dst, '\\', 'u', '0', '0', digits[r>>4], digits[r&15])
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, '"')
}
