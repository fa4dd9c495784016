// Package coding finds the content coding of a request's body (RFC 9110, 8.4). It decodes no body:
// signatures, counts and bounds are about the body as it was sent.
//
// It is pure computation on a header; it must never know what a body means.
package coding

import (
	"net/http"
	"strings"
)

// Plain is the value of Accept-Encoding by which an answer asks for bodies as they are.
const Plain = "identity"

// Of names the first content coding of a request that is not identity; empty if there is none.
func Of(h http.Header) string {
	for _, value := range h["Content-Encoding"] {
		for name := range strings.SplitSeq(value, ",") {
			if name = strings.TrimSpace(name); name != "" && !strings.EqualFold(name, Plain) {
				return name
			}
		}
	}
	return ""
}

// Advice tells a sender what to do about a coding, as Of returned it.
func Advice(name string) string {
	return "The body is coded as " + shown(name) + "; send it as it is, without Content-Encoding"
}

// shown bounds what an answer repeats of a request.
func shown(name string) string {
	const most = 40
	if len(name) <= most {
		return name
	}
	return strings.ToValidUTF8(name[:most], "") + "..."
}
