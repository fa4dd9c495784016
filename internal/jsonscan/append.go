package jsonscan

import "unicode/utf8"

// AppendString appends s as a JSON string literal. Invalid UTF-8 becomes U+FFFD.
func AppendString[T string | []byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	dst = AppendEscaped(dst, s)
	return append(dst, '"')
}

// AppendEscaped appends what stands between the quotes of the JSON string literal of s.
func AppendEscaped[T string | []byte](dst []byte, s T) []byte {
	from := 0
	for i := 0; i < len(s); {
		if plain(s[i]) {
			i++
			continue
		}
		n := runeLen(s[i:])
		if n > 0 {
			i += n
			continue
		}
		dst = append(dst, s[from:i]...)
		dst = appendEscape(dst, s[i])
		i++
		from = i
	}
	return append(dst, s[from:]...)
}

// plain reports whether c is ASCII that stands for itself in a JSON string.
func plain(c byte) bool {
	return c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf
}

// runeLen is the length of the whole non-ASCII character that s begins with, 0 when s
// begins with ASCII or with a byte that is no UTF-8.
func runeLen[T string | []byte](s T) int {
	if s[0] < utf8.RuneSelf {
		return 0
	}
	_, n := utf8.DecodeRuneInString(string(s[:min(len(s), utf8.UTFMax)]))
	if n == 1 {
		return 0
	}
	return n
}

// appendEscape appends the escape of one byte that cannot stand for itself.
func appendEscape(dst []byte, c byte) []byte {
	const hex = "0123456789abcdef"
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	if c >= utf8.RuneSelf {
		return append(dst, `\ufffd`...)
	}
	return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}
