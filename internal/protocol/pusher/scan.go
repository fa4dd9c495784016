package pusher

import (
	"unicode/utf16"
	"unicode/utf8"
)

// object walks the members of one JSON object, in order, without copying or recursion, so
// that nesting costs no stack. It trusts its input to be valid JSON.
type object struct {
	b []byte
	i int // after '{' or after the last value
}

// openObject begins a walk of b, which is valid JSON; false when it is not an object.
func openObject(b []byte) (object, bool) {
	i := skipSpace(b, 0)
	return object{b, i + 1}, b[i] == '{'
}

// next is the next member: its key with the quotes and its value, both as written.
func (o *object) next() (key, value []byte, ok bool) {
	i := skipSpace(o.b, o.i)
	if o.b[i] == ',' {
		i = skipSpace(o.b, i+1)
	}
	if o.b[i] == '}' {
		return nil, nil, false
	}
	end := skipString(o.b, i)
	key = o.b[i:end]
	colon := skipSpace(o.b, end)
	i = skipSpace(o.b, colon+1)
	o.i = skipValue(o.b, i)
	return key, o.b[i:o.i], true
}

func skipSpace(b []byte, i int) int {
	for b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r' {
		i++
	}
	return i
}

// skipString is the index after the string that begins at i.
func skipString(b []byte, i int) int {
	for i++; b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// skipValue is the index after the value that begins at i.
func skipValue(b []byte, i int) int {
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{', '[':
		return skipNested(b, i)
	}
	for {
		switch b[i] {
		case ',', '}', ']', ' ', '\t', '\n', '\r':
			return i
		}
		i++
	}
}

func skipNested(b []byte, i int) int {
	for depth := 0; ; {
		switch b[i] {
		case '"':
			i = skipString(b, i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
}

func isString(raw []byte) bool { return len(raw) > 0 && raw[0] == '"' }

func isNull(raw []byte) bool { return len(raw) > 0 && raw[0] == 'n' }

// unquote is the text of a valid JSON string literal. It aliases raw when nothing in it is
// escaped. A lone surrogate becomes U+FFFD.
func unquote(raw []byte) []byte {
	raw = raw[1 : len(raw)-1]
	for i, c := range raw {
		if c == '\\' {
			return unescape(append(make([]byte, 0, len(raw)), raw[:i]...), raw[i:])
		}
	}
	return raw
}

func unescape(dst, s []byte) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			dst = append(dst, s[i])
			continue
		}
		i++
		switch c := s[i]; c {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r := hex4(s[i+1:])
			i += 4
			if utf16.IsSurrogate(r) {
				r2 := rune(-1)
				if len(s) > i+6 && s[i+1] == '\\' && s[i+2] == 'u' {
					r2 = hex4(s[i+3:])
				}
				if r = utf16.DecodeRune(r, r2); r != utf8.RuneError {
					i += 6
				}
			}
			dst = utf8.AppendRune(dst, r)
		default: // quote, backslash, slash
			dst = append(dst, c)
		}
	}
	return dst
}

func hex4(s []byte) (r rune) {
	for _, c := range s[:4] {
		switch {
		case c <= '9':
			c -= '0'
		case c <= 'F':
			c -= 'A' - 10
		default:
			c -= 'a' - 10
		}
		r = r<<4 | rune(c)
	}
	return r
}
