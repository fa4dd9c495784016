package problem

import (
	"net/http"
	"time"
)

// Code is the machine-readable part of a problem.
type Code string

// The codes of the HTTP API and of the admin API. Session tokens have the codes of
// [protocol.Issue].
const (
	AuthFailed          Code = "auth_failed"
	Forbidden           Code = "forbidden"
	NotFound            Code = "not_found"
	MethodNotAllowed    Code = "method_not_allowed"
	Conflict            Code = "conflict"
	MissingChannel      Code = "missing_channel_info"
	InvalidInput        Code = "invalid_input"
	InvalidApp          Code = "invalid_app"
	FeatureDisabled     Code = "feature_disabled"
	PreconditionFailed  Code = "precondition_failed"
	LimitExceeded       Code = "limit_exceeded"
	PayloadTooLarge     Code = "payload_too_large"
	UnsupportedEncoding Code = "unsupported_encoding"
	RateLimited         Code = "rate_limited"
	Backpressure        Code = "backpressure"
	Unavailable         Code = "service_unavailable"
	Uncertain           Code = "uncertain"
	Internal            Code = "internal_error"
)

// Codes are all of them.
func Codes() []Code {
	return []Code{
		AuthFailed, Forbidden, NotFound, MethodNotAllowed, Conflict, MissingChannel, InvalidInput, InvalidApp, FeatureDisabled, PreconditionFailed,
		LimitExceeded, PayloadTooLarge, UnsupportedEncoding, RateLimited, Backpressure, Unavailable, Uncertain, Internal,
	}
}

// status is the HTTP status that goes with c.
func (c Code) status() int {
	switch c {
	case AuthFailed:
		return http.StatusUnauthorized
	case Forbidden:
		return http.StatusForbidden
	case NotFound:
		return http.StatusNotFound
	case MethodNotAllowed:
		return http.StatusMethodNotAllowed
	case Conflict:
		return http.StatusConflict
	case PreconditionFailed:
		return http.StatusPreconditionFailed
	case PayloadTooLarge:
		return http.StatusRequestEntityTooLarge
	case UnsupportedEncoding:
		return http.StatusUnsupportedMediaType
	case InvalidApp, FeatureDisabled:
		return http.StatusUnprocessableEntity
	case RateLimited:
		return http.StatusTooManyRequests
	case Backpressure, Unavailable, Uncertain:
		return http.StatusServiceUnavailable
	case Internal:
		return http.StatusInternalServerError
	default:
		return http.StatusBadRequest
	}
}

// pause is after which time the same request may succeed; zero: it is not to be repeated as it is. A
// second is right for all codes: it is the window of the limits, and how long a publish waits.
func (c Code) pause() time.Duration {
	if c == RateLimited || c == Backpressure || c == Unavailable {
		return time.Second
	}
	return 0
}
