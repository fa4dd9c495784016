// Package audit writes security events (live-views 7.2). (Sketch of the contract; real files replace it.)
package audit

// Source is where an event came from; empty members are omitted.
type Source struct{ ClientIP, Origin, UserAgent, Path, DeploymentID, Subject, MeteringKey string }

// Log takes events. A nil *Log takes nothing. Safe for concurrent use; never blocks.
type Log struct{}

func (l *Log) AuthAttempt(s Source, success bool, errorCode, reason string)     {}
func (l *Log) TokenMinted(s Source, keyID, keyClass string, ttlSeconds int)     {}
func (l *Log) RateLimitExceeded(s Source, limitType string, current, limit int) {}
func (l *Log) OriginValidationFailed(s Source, expected, actual string)         {}
func (l *Log) KeyRotation(oldKeyID, newKeyID string)                            {}
func (l *Log) SuspiciousPattern(s Source, pattern, details string)              {}
