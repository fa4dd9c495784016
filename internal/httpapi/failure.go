package httpapi

import (
	"net/http"
	"strconv"

	"github.com/millrace/millrace/internal/jsontext"
	"github.com/millrace/millrace/internal/protocol"
)

// code is the machine-readable part of an error answer (pusher 5.1).
type code string

const (
	codeAuth         code = "auth_failed"
	codeForbidden    code = "forbidden"
	codeNotFound     code = "not_found"
	codeMethod       code = "method_not_allowed"
	codeConflict     code = "conflict"
	codeNoChannel    code = "missing_channel_info"
	codeInvalid      code = "invalid_input"
	codeLimit        code = "limit_exceeded"
	codeTooLarge     code = "payload_too_large"
	codeEncoding     code = "unsupported_encoding"
	codeRate         code = "rate_limited"
	codeBackpressure code = "backpressure"
	codeUnavailable  code = "service_unavailable"
	codeUncertain    code = "uncertain"
	codeInternal     code = "internal_error"
)

// status is the HTTP status that goes with c.
func (c code) status() int {
	switch c {
	case codeAuth:
		return http.StatusUnauthorized
	case codeForbidden:
		return http.StatusForbidden
	case codeNotFound:
		return http.StatusNotFound
	case codeMethod:
		return http.StatusMethodNotAllowed
	case codeConflict:
		return http.StatusConflict
	case codeTooLarge:
		return http.StatusRequestEntityTooLarge
	case codeEncoding:
		return http.StatusUnsupportedMediaType
	case codeRate:
		return http.StatusTooManyRequests
	case codeBackpressure, codeUnavailable, codeUncertain:
		return http.StatusServiceUnavailable
	case codeInternal:
		return http.StatusInternalServerError
	default:
		return http.StatusBadRequest
	}
}

// retries reports whether the same request may succeed a moment later. A second is right
// for all of them: it is the window of the limits, and how long a publish waits.
func (c code) retries() bool {
	return c == codeRate || c == codeBackpressure || c == codeUnavailable
}

// failure is an error answer. Its message is for the sender and reveals no internals.
type failure struct {
	code    code
	message string
	allow   string // the method to use instead, with codeMethod

	issue *protocol.Issue // what a session token was refused for; its code is code

	cause cause  // empty: the code says all
	done  string // how much was done nevertheless, as members of the answer; mostly empty
}

func fail(c code, message string) *failure { return &failure{code: c, message: message} }

func invalid(message string) *failure { return fail(codeInvalid, message) }

func failMethod(allow string) *failure {
	return &failure{code: codeMethod, message: "This method is not allowed here; use " + allow, allow: allow}
}

// failIssue is a failure that clients of views know (views 1.6): the same codes, in
// the shape of this API.
func failIssue(i *protocol.Issue) *failure {
	return &failure{code: code(i.Code), message: i.Message, issue: i}
}

// status is the HTTP status of f.
func (f *failure) status() int {
	if f.issue != nil {
		return f.issue.Status
	}
	return f.code.status()
}

// at says where in the request f lies.
func (f *failure) at(place string) *failure {
	g := *f
	g.message = place + ": " + f.message
	return &g
}

func (f *failure) appendBody(dst []byte) []byte {
	dst = append(dst, `{"error":`...)
	dst = jsontext.AppendString(dst, f.message)
	dst = append(dst, `,"code":"`...)
	dst = append(dst, f.code...)
	dst = append(dst, `","status":`...)
	dst = strconv.AppendInt(dst, int64(f.status()), 10)
	dst = append(dst, f.done...)
	return append(dst, '}')
}
