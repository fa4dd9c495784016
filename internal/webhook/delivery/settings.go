package delivery

import (
	"cmp"
	"net/http"
	"net/textproto"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/webhook"
)

// Settings are what an endpoint says, ready for use. They are immutable.
type Settings struct {
	url     string
	header  http.Header
	timeout time.Duration

	isRetrying  bool
	maxAttempts int // 0: no bound
	maxElapsed  time.Duration
	initial     time.Duration
	maxBackoff  time.Duration

	duration time.Duration
	size     int
}

// Defaults are what endpoints that say nothing else have. Every field is set.
type Defaults struct {
	Retry          app.WebhookRetry
	Batching       app.WebhookBatching
	RequestTimeout time.Duration
}

// SettingsOf makes the settings of a valid endpoint.
func SettingsOf(e *webhook.Endpoint, o *Defaults) *Settings {
	s := &Settings{
		url:         e.URL,
		header:      make(http.Header, len(e.Headers)+5),
		timeout:     cmp.Or(e.RequestTimeout, o.RequestTimeout),
		isRetrying:  e.Retry.Enabled.Or(o.Retry.Enabled.Or(true)),
		maxAttempts: cmp.Or(e.Retry.MaxAttempts, o.Retry.MaxAttempts),
		maxElapsed:  cmp.Or(e.Retry.MaxElapsed, o.Retry.MaxElapsed),
		initial:     cmp.Or(e.Retry.InitialBackoff, o.Retry.InitialBackoff),
		maxBackoff:  cmp.Or(e.Retry.MaxBackoff, o.Retry.MaxBackoff),
		duration:    cmp.Or(e.Batching.Duration, o.Batching.Duration),
		size:        cmp.Or(e.Batching.Size, o.Batching.Size),
	}
	if !e.Batching.Enabled.Or(o.Batching.Enabled.Or(true)) {
		s.size = 1
	}
	for name, value := range e.Headers {
		switch name = textproto.CanonicalMIMEHeaderKey(name); name {
		case webhook.HeaderKey, webhook.HeaderSignature, webhook.HeaderDelivery, webhook.HeaderTime, webhook.HeaderType: // MUST NOT be replaced (pusher 6.2)
		default:
			s.header.Set(name, value)
		}
	}
	return s
}

// backoff is how long to wait after so many failures in a row.
func (s *Settings) backoff(failures int) time.Duration {
	wait := s.initial
	for i := 1; i < failures && wait < s.maxBackoff; i++ {
		wait *= 2
	}
	return min(wait, s.maxBackoff)
}
