package channel

import "github.com/millrace/millrace/internal/jsonscan"

const maxUserID = 128 // bytes of the string form, pusher 2.7

// stringForm is the id that a JSON value names, empty where it names none: a string names its
// text, a number its digits as they are written, which are never read as a number because that
// would round them. A number and a string with the same string form name one user.
func stringForm(v jsonscan.Value) (id string, isNumber bool) {
	if v.Kind() == jsonscan.Number {
		return string(v), true
	}
	return v.Text(), false
}

// kindOf says what a value is that names no user.
func kindOf(v jsonscan.Value) string {
	switch v.Kind() {
	case jsonscan.Absent:
		return "missing"
	case jsonscan.Null:
		return "null"
	case jsonscan.Object:
		return "an object"
	case jsonscan.Array:
		return "an array"
	case jsonscan.Bool:
		return string(v)
	case jsonscan.Number:
		return "a number"
	default:
		return "an empty string"
	}
}
