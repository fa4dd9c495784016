package channel

import "github.com/millrace/millrace/internal/jsontext"

const maxUserID = 128 // bytes of the string form, pusher-protocol 2.7

// stringForm is the id that a JSON value names, empty where it names none: a string names its
// text, a number its digits as they are written, which are never read as a number because that
// would round them. A number and a string with the same string form name one user.
func stringForm(v jsontext.Value) (id string, isNumber bool) {
	if v.Kind() == jsontext.Number {
		return string(v), true
	}
	return v.Text(), false
}

// kindOf says what a value is that names no user.
func kindOf(v jsontext.Value) string {
	switch v.Kind() {
	case jsontext.Absent:
		return "missing"
	case jsontext.Null:
		return "null"
	case jsontext.Object:
		return "an object"
	case jsontext.Array:
		return "an array"
	case jsontext.Bool:
		return string(v)
	case jsontext.Number:
		return "a number"
	default:
		return "an empty string"
	}
}
