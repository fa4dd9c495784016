package v2

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/protocol"
)

// ErrExtras refuses a client event with extras that mean nothing.
var ErrExtras = protocol.ErrMalformed.Withf(
	"extras must be an object: headers of strings, numbers and booleans, ephemeral and echo booleans, idempotencyKey a string")

// DecodeExtras reads extras as publishers write them (v2 2.4). They are nil where there are none, and
// where no member of theirs is known. It is false if one has a type that it cannot have. What it returns
// is a copy.
func DecodeExtras(v jsonscan.Value) (*protocol.Extras, bool) {
	if !v.IsGiven() {
		return nil, true
	}
	if v.Kind() != jsonscan.Object {
		return nil, false
	}
	var x protocol.Extras
	ok := true
	for key, value := range v.Members() {
		if !value.IsGiven() {
			continue
		}
		switch key {
		case "headers":
			x.Headers, ok = decodeHeaders(value)
		case "ephemeral":
			x.IsEphemeral, ok = boolean(value)
		case "echo":
			x.HasEcho = true
			x.Echo, ok = boolean(value)
		case "idempotencyKey", "idempotency_key":
			x.IdempotencyKey, ok = value.Text(), value.Kind() == jsonscan.String
		case "push":
			x.Push = value.Compact()
		}
		if !ok {
			return nil, false
		}
	}
	return NewExtras(&x), true
}

// NewExtras is x, or nil if nothing of it is known to the server or to clients (v2 2.4).
func NewExtras(x *protocol.Extras) *protocol.Extras {
	if len(x.Headers) == 0 && !x.IsEphemeral && x.IdempotencyKey == "" && !x.HasEcho {
		return nil
	}
	return x
}

func boolean(v jsonscan.Value) (is, ok bool) {
	return string(v) == "true", v.Kind() == jsonscan.Bool
}

// decodeHeaders reads a flat object. Of equal names the last counts.
func decodeHeaders(v jsonscan.Value) ([]protocol.Header, bool) {
	if v.Kind() != jsonscan.Object {
		return nil, false
	}
	var headers []protocol.Header
	for name, value := range v.Members() {
		h := protocol.Header{Name: strings.Clone(name)} // valid for its step only
		switch value.Kind() {
		case jsonscan.String:
			h.Text = value.Text()
		case jsonscan.Bool:
			h.Kind, h.Bool = protocol.HeaderBool, string(value) == "true"
		case jsonscan.Number:
			n, err := strconv.ParseFloat(string(value), 64)
			if err != nil {
				return nil, false // beyond what a double can be
			}
			h.Kind, h.Number = protocol.HeaderNumber, n
		default:
			return nil, false
		}
		headers = append(headers, h)
	}
	return SortHeaders(headers), true
}

// SortHeaders puts headers in the order of their names, each once. Of equal names the last counts.
func SortHeaders(headers []protocol.Header) []protocol.Header {
	return sortBy(headers, func(h *protocol.Header) string { return h.Name })
}

// SortTags is SortHeaders for tags.
func SortTags(tags []protocol.Tag) []protocol.Tag {
	return sortBy(tags, func(t *protocol.Tag) string { return t.Key })
}

func sortBy[T any](all []T, name func(*T) string) []T {
	slices.SortStableFunc(all, func(a, b T) int { return cmp.Compare(name(&a), name(&b)) })
	kept := all[:0]
	for i := range all {
		if i+1 == len(all) || name(&all[i]) != name(&all[i+1]) {
			kept = append(kept, all[i])
		}
	}
	return kept
}
