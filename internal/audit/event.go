package audit

import (
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/millrace/millrace/internal/jsonscan"
)

type severity string

const (
	severityInfo     severity = "Info"
	severityWarning  severity = "Warning"
	severityCritical severity = "Critical"
)

// AuthAttempt is a handshake or an in-band refresh that brought a token, or should have. A
// failure is a warning; many of one address are a suspicious pattern as well.
func (l *Log) AuthAttempt(s Source, success bool, errorCode, reason string) {
	if l == nil {
		return
	}
	severity := severityInfo
	if !success {
		severity = severityWarning
	}
	l.add(severity, &s, "auth_attempt", func(o object) object {
		return o.boolean("success", success).text("reason", reason).text("error_code", errorCode)
	})
	if !success {
		l.countFailure(&s, errorCode)
	}
}

// TokenMinted is a session token that was handed out; keyID names the API key, never its text.
func (l *Log) TokenMinted(s Source, keyID, keyClass string, ttlSeconds int) {
	if l == nil {
		return
	}
	l.add(severityInfo, &s, "token_minted", func(o object) object {
		return o.required("key_id", keyID).required("key_class", keyClass).number("ttl_seconds", ttlSeconds)
	})
}

// RateLimitExceeded is a limit that a client or a caller has exceeded.
func (l *Log) RateLimitExceeded(s Source, limitType string, current, limit int) {
	if l == nil {
		return
	}
	l.add(severityWarning, &s, "rate_limit_exceeded", func(o object) object {
		return o.required("limit_type", limitType).number("current_count", current).number("limit", limit)
	})
}

// OriginValidationFailed is a request from another origin, or client IP, than its token is bound to.
func (l *Log) OriginValidationFailed(s Source, expected, actual string) {
	if l == nil {
		return
	}
	l.add(severityWarning, &s, "origin_validation_failed", func(o object) object {
		return o.text("expected", expected).text("actual", actual)
	})
}

// KeyRotation is a new signing key; oldKeyID may be empty.
func (l *Log) KeyRotation(oldKeyID, newKeyID string) {
	if l == nil {
		return
	}
	l.add(severityInfo, new(Source), "key_rotation", func(o object) object {
		return o.text("old_key_id", oldKeyID).required("new_key_id", newKeyID)
	})
}

// SuspiciousPattern is behaviour that an operator should look at now.
func (l *Log) SuspiciousPattern(s Source, pattern, details string) {
	if l == nil {
		return
	}
	l.add(severityCritical, &s, "suspicious_pattern", func(o object) object {
		return o.required("pattern_type", pattern).required("details", details)
	})
}

// appendEvent appends one line (views 7.2).
func appendEvent(dst []byte, now time.Time, severity severity, s *Source, kind string, members func(object) object) []byte {
	o := append(object(dst), '{').required("event_id", uuid.NewString())
	o = strconv.AppendInt(o.name("timestamp_ms"), now.UnixMilli(), 10)
	o = o.required("severity", string(severity))
	o = members(append(o.name("event"), '{').required("event_type", kind))
	o = append(o, '}').text("client_ip", s.ClientIP).text("origin", s.Origin).text("user_agent", s.UserAgent).
		text("path", s.Path).text("deployment_id", s.DeploymentID).text("subject", s.Subject).text("metering_key", s.MeteringKey)
	return append(o, '}', '\n')
}

// object appends members to a JSON object that has been begun.
type object []byte

func (o object) name(name string) object {
	if o[len(o)-1] != '{' {
		o = append(o, ',')
	}
	return append(append(append(o, '"'), name...), '"', ':')
}

func (o object) required(name, value string) object {
	return jsonscan.AppendString(o.name(name), value)
}

// text omits an empty member.
func (o object) text(name, value string) object {
	if value == "" {
		return o
	}
	return o.required(name, value)
}

func (o object) number(name string, value int) object {
	return strconv.AppendInt(o.name(name), int64(value), 10)
}

func (o object) boolean(name string, value bool) object {
	return strconv.AppendBool(o.name(name), value)
}
