package token

import (
	"net/url"
	"strings"
)

// FromRequest finds the token of a request (views 1.2): in the Authorization header,
// else in the query parameters with these names, in their order. The first source that has
// a value decides, even if the value is wrong or empty.
func FromRequest(authorization, rawQuery string, names []string) (token string, ok bool) {
	scheme, token, ok := strings.Cut(authorization, " ")
	if ok && strings.EqualFold(scheme, "bearer") {
		return token, true
	}
	for _, name := range names {
		if value, ok := queryValue(rawQuery, name); ok {
			return value, true
		}
	}
	return "", false
}

// queryValue is the first value of a name. A plus stays one, because tokens have no spaces
// and clients put them in the query as they are; so does an escape that is none.
func queryValue(rawQuery, name string) (string, bool) {
	for pair := range strings.SplitSeq(rawQuery, "&") {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key != name {
			continue
		}
		if decoded, err := url.PathUnescape(value); err == nil {
			return decoded, true
		}
		return value, true
	}
	return "", false
}
