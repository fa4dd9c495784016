package entity

import (
	"strconv"

	"github.com/millrace/millrace/internal/jsonscan"
)

// KeyText is the key that a JSON value means (views 6, step 2): a string as it is, an
// array of unsigned integers as the hex of their bytes, everything else its JSON text without
// space. It is false where there is no value.
func KeyText(v jsonscan.Value) (key string, ok bool) {
	switch v.Kind() {
	case jsonscan.Absent:
		return "", false
	case jsonscan.String:
		return v.Text(), true
	case jsonscan.Array:
		if key, ok := hexKey(v); ok {
			return key, true
		}
		fallthrough
	default:
		return string(v.Compact()), true
	}
}

// hexKey is what an array of unsigned integers means: each modulo 256, two digits.
func hexKey(v jsonscan.Value) (key string, ok bool) {
	const hex = "0123456789abcdef"
	var text []byte
	for element := range v.Elements() {
		n, err := strconv.ParseUint(string(element), 10, 64)
		if err != nil {
			return "", false
		}
		text = append(text, hex[n>>4&15], hex[n&15])
	}
	return string(text), true
}
