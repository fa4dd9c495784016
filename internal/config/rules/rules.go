// Package rules says what is wrong with settings: values that cannot be, and values that do not go
// together. Each problem has the key and the fix. It also gives advice about settings that are allowed
// and seldom meant.
//
// It must never know where settings come from. What other packages demand of what the settings name,
// such as an origin that can be parsed, is judged above. It is pure: no file, no goroutine.
package rules

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/config"
)

// Check lists everything in c that breaks a rule, in the order of the keys.
func Check(c *config.Config) []config.Problem {
	var r rules
	if path, ok := strings.CutPrefix(c.HTTP.Listen, config.UnixPrefix); ok {
		r.socket(path, c.HTTP.SocketMode)
	} else {
		r.listener("http.listen", c.HTTP.Listen)
	}
	r.aboveZero("http.max_body", c.HTTP.MaxBody)
	r.aboveZero("http.max_body_memory", c.HTTP.MaxBodyMemory)
	r.atLeast("http.max_header", c.HTTP.MaxHeader, config.KB)
	r.aboveZero("http.read_header_timeout", c.HTTP.ReadHeaderTimeout)
	r.keyPair("http.", c.HTTP.TLSCertFile, c.HTTP.TLSKeyFile)
	r.http(&c.HTTP)
	if c.Metrics.Listen != "" {
		r.listener("metrics.listen", c.Metrics.Listen)
		if c.Metrics.Listen == c.HTTP.Listen && !strings.HasSuffix(c.HTTP.Listen, ":0") {
			r.report("metrics.listen", config.Quote(c.Metrics.Listen), "the same as http.listen; choose another port, or \"\" for no metrics")
		}
	}
	r.keyPair("metrics.", c.Metrics.TLSCertFile, c.Metrics.TLSKeyFile)
	if c.Metrics.ClientCAFile != "" && c.Metrics.TLSCertFile == "" {
		r.report("metrics.tls_cert_file", "", "missing; client certificates are asked for over TLS only")
	}
	r.aboveZero("websocket.max_message", c.WebSocket.MaxMessage)
	if d := c.WebSocket.ActivityTimeout.D(); d < time.Second || d%time.Second != 0 {
		r.report("websocket.activity_timeout", config.Quote(c.WebSocket.ActivityTimeout.String()), "must be whole seconds, at least one: clients are told it in seconds")
	}
	r.aboveZero("websocket.pong_timeout", c.WebSocket.PongTimeout)
	r.oneOf("websocket.subscription_refusals", c.WebSocket.SubscriptionRefusals, "both", "subscription_error", "error")
	if code := c.Handshake.QuotaCloseCode; code != 4004 && code != 4100 {
		r.report("handshake.quota_close_code", strconv.Itoa(code), "must be 4004 or 4100")
	}
	r.limits(&c.Limits, &c.Idempotency)
	r.filters(&c.Filters)
	r.cleanup(&c.Cleanup)
	r.aboveZero("shutdown.grace_period", c.Shutdown.GracePeriod)
	r.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	r.oneOf("log.format", c.Log.Format, "auto", "text", "json")
	r.development(c)
	r.store(&c.Store)
	r.positive("history.max_page_size", c.History.MaxPageSize)
	r.registry(c)
	r.webhooks(&c.Webhooks)
	r.views(c)
	r.operations(c)
	r.appDefaults(c)
	r.apps(c)
	r.secrets(c)
	return r.problems
}

// NeedsStore says what history = true and recovery = true need.
const NeedsStore = `needs store.driver = "embedded", in whose file events are kept`

type rules struct{ problems []config.Problem }

func (r *rules) report(path, value, message string) {
	r.problems = append(r.problems, config.Problem{Path: path, Value: value, Message: message})
}

func (r *rules) listener(path, address string) {
	_, port, err := net.SplitHostPort(address)
	if n, numErr := strconv.ParseUint(port, 10, 16); err != nil || numErr != nil || n > 65535 {
		r.report(path, config.Quote(address), `not an address; write host and port, such as "127.0.0.1:6001" or ":6001"`)
	}
}

// socket checks http.listen = "unix:path" and its permissions.
func (r *rules) socket(path, mode string) {
	if !filepath.IsAbs(path) {
		r.report("http.listen", config.Quote("unix:"+path), `not an absolute path; write it whole, such as "unix:/run/millrace/millrace.sock"`)
	}
	if n, err := strconv.ParseUint(mode, 8, 32); err != nil || n > 0o777 {
		r.report("http.socket_mode", config.Quote(mode), `not permissions; write them in octal, such as "0660"`)
	}
}

func (r *rules) keyPair(at, certFile, keyFile string) {
	if (certFile == "") == (keyFile == "") {
		return
	}
	key := at + "tls_key_file"
	if certFile == "" {
		key = at + "tls_cert_file"
	}
	r.report(key, "", "missing; TLS needs both the certificate and its key")
}

// aboveZero is for a Size or Duration.
func (r *rules) aboveZero(path string, v fmt.Stringer) {
	if reflect.ValueOf(v).Int() <= 0 {
		r.report(path, config.Quote(v.String()), "must be above zero")
	}
}

func (r *rules) atLeast(path string, v, least config.Size) {
	if v < least {
		r.report(path, config.Quote(v.String()), "must be at least "+least.String())
	}
}

func (r *rules) oneOf(path, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		r.report(path, config.Quote(value), "must be one of "+strings.Join(allowed, ", "))
	}
}

func (r *rules) apps(c *config.Config) {
	if len(c.Apps) == 0 && c.Registry.Driver == "none" {
		r.report("apps", "", noApp(c))
	}
	ids, keys := map[string]int{}, map[string]int{}
	for i, a := range c.Apps {
		at := fmt.Sprintf("apps[%d].", i)
		for _, required := range []struct{ key, value string }{{"id", a.ID}, {"key", a.Key}, {"secret", a.Secret.Reveal()}} {
			if required.value == "" {
				r.report(at+required.key, "", missing(c, i, required.key))
			}
		}
		r.unique(at+"id", a.ID, i, ids)
		for j, alias := range a.Aliases {
			r.unique(fmt.Sprintf("%saliases[%d]", at, j), alias, i, ids)
		}
		r.unique(at+"key", a.Key, i, keys)
		for j, k := range a.Keys {
			r.appKey(fmt.Sprintf("%skeys[%d].", at, j), &k, i, keys)
		}
		r.app(at, &c.Apps[i])
		r.payload(at, &a.AppLimits, c.HTTP.MaxBody)
		if a.History && c.Store.Driver != "embedded" {
			r.report(at+"history", "true", NeedsStore)
		}
		if a.Recovery && c.Store.Driver != "embedded" {
			r.report(at+"recovery", "true", NeedsStore)
		}
		r.appViews(at+"views.", &a.Views)
		for j, p := range a.Projections {
			r.projection(fmt.Sprintf("%sprojections[%d].", at, j), &p)
		}
	}
}

// appDefaults checks a default payload only if the operator has set it; apps check the one they take.
func (r *rules) appDefaults(c *config.Config) {
	r.appLimits("app_defaults.", &c.AppDefaults)
	if c.AppDefaults.MaxEventPayload != config.Default().AppDefaults.MaxEventPayload {
		r.payload("app_defaults.", &c.AppDefaults, c.HTTP.MaxBody)
	}
}

// app are the rules of one app that are the same wherever it is kept.
func (r *rules) app(at string, a *config.App) {
	r.appWebhooks(at, a.Webhooks)
	r.appLimits(at, &a.AppLimits)
	r.oneOf(at+"idempotency", a.Idempotency, "inherit", "on", "off")
}

func (r *rules) appLimits(at string, l *config.AppLimits) {
	r.positive(at+"max_channel_name_length", l.MaxChannelNameLength)
	r.aboveZero(at+"authorization_timeout", l.AuthorizationTimeout)
	r.aboveZero(at+"client_event_window", l.ClientEventWindow)
	r.aboveZero(at+"message_window", l.MessageWindow)
	r.aboveZero(at+"cache_ttl", l.CacheTTL)
	r.aboveZero(at+"history_age", l.HistoryAge)
	r.aboveZero(at+"recovery_age", l.RecoveryAge)
	r.positive(at+"recovery_max_messages", l.RecoveryMaxMessages)
}

func (r *rules) payload(at string, l *config.AppLimits, maxBody config.Size) {
	if l.MaxEventPayload > maxBody {
		r.report(at+"max_event_payload", config.Quote(l.MaxEventPayload.String()),
			fmt.Sprintf("exceeds http.max_body = %q; raise http.max_body", maxBody))
	}
}

// missing says what to do about an app without id, key or secret.
func missing(c *config.Config, i int, key string) string {
	variable := fmt.Sprintf("%sAPPS_%d_%s", config.VariablePrefix, i, strings.ToUpper(key))
	if c.Origin().Ended != "" {
		return "missing; set " + variable + ", or give --dev, which takes what is not set from the development app"
	}
	return "missing (or set " + variable + ")"
}

func (r *rules) positive(path string, n int) {
	if n <= 0 {
		r.report(path, strconv.Itoa(n), "must be above zero")
	}
}

func (r *rules) url(path, value string) {
	u, err := url.Parse(value)
	if value != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		r.report(path, config.Quote(value), `not a URL; write it whole, such as "https://collector.example/events"`)
	}
}

func (r *rules) unique(path, value string, i int, seen map[string]int) {
	if value == "" {
		return
	}
	if first, taken := seen[value]; taken {
		r.report(path, config.Quote(value), fmt.Sprintf("apps[%d] has the same; it must be unique", first))
		return
	}
	seen[value] = i
}
