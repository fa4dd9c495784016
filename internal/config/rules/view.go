package rules

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/config"
)

func (r *rules) store(s *config.Store) {
	r.oneOf("store.driver", s.Driver, "embedded", "memory")
	if s.Driver == "embedded" && s.Path == "" {
		r.report("store.path", "", `missing; name a directory, or set store.driver = "memory"`)
	}
}

func (r *rules) views(c *config.Config) {
	v := &c.Views
	isApp := func(a config.App) bool { return a.ID == v.DefaultApp || slices.Contains(a.Aliases, v.DefaultApp) }
	if v.DefaultApp != "" && !slices.ContainsFunc(c.Apps, isApp) {
		r.report("views.default_app", config.Quote(v.DefaultApp), "no app has this id")
	}
	r.aboveZero("views.entity_max_size", v.EntityMaxSize)
	r.positive("views.entity_max_depth", v.EntityMaxDepth)
	r.positive("views.entity_max_key", v.EntityMaxKey)
	r.positive("views.max_batch", v.MaxBatch)
	r.aboveZero("views.max_waiting", v.MaxWaiting)
	r.aboveZero("views.idempotency_ttl", v.IdempotencyTTL)
	r.positive("views.default_window", v.DefaultWindow)
	r.positive("views.snapshot_batch_first", v.SnapshotBatchFirst)
	r.positive("views.snapshot_batch_next", v.SnapshotBatchNext)
	r.aboveZero("views.snapshot_batch_bytes", v.SnapshotBatchBytes)
	r.positive("views.read_max_rows", v.ReadMaxRows)
	r.aboveZero("views.client_timeout", v.ClientTimeout)
	r.aboveZero("views.max_message", v.MaxMessage)
	r.aboveZero("views.max_queue", v.MaxQueue)
	r.positive("views.max_queue_messages", v.MaxQueueMessages)
	r.aboveZero("views.congested_queue", v.CongestedQueue)
	if v.CongestedQueue >= v.MaxQueue && v.MaxQueue > 0 {
		r.report("views.congested_queue", config.Quote(v.CongestedQueue.String()),
			fmt.Sprintf("not below views.max_queue = %q, so a slow reader would be closed and never caught up; raise views.max_queue above it", v.MaxQueue))
	}
	r.aboveZero("views.budget_window", v.BudgetWindow)
	r.rates(&v.Rates)
}

func (r *rules) rates(rates *config.Rates) {
	for _, rate := range []struct {
		key string
		config.Rate
	}{
		{"handshakes_per_ip", rates.HandshakesPerIP},
		{"connections_per_subject", rates.ConnectionsPerSubject},
		{"connections_per_metering_key", rates.ConnectionsPerMeteringKey},
		{"subscriptions_per_connection", rates.SubscriptionsPerConnection},
		{"messages_per_connection", rates.MessagesPerConnection},
		{"snapshots_per_connection", rates.SnapshotsPerConnection},
	} {
		r.aboveZero("views.rates."+rate.key+".window", rate.Window)
	}
}

// operations checks the settings of usage events and telemetry.
func (r *rules) operations(c *config.Config) {
	u, t := &c.Usage, &c.Telemetry
	r.url("usage.endpoint", u.Endpoint)
	r.aboveZero("usage.max_spool", u.MaxSpool)
	r.positive("usage.batch_size", u.BatchSize)
	r.positive("usage.max_batch_size", u.MaxBatchSize)
	if u.BatchSize > u.MaxBatchSize {
		r.report("usage.batch_size", strconv.Itoa(u.BatchSize), fmt.Sprintf("exceeds usage.max_batch_size = %d", u.MaxBatchSize))
	}
	r.aboveZero("usage.flush_interval", u.FlushInterval)
	r.aboveZero("usage.timeout", u.Timeout)
	r.positive("usage.max_pending", u.MaxPending)
	r.url("telemetry.otlp_endpoint", t.OTLPEndpoint)
	for entry := range strings.SplitSeq(t.Headers.Reveal(), ",") {
		if name, _, ok := strings.Cut(entry, "="); t.Headers != "" && (!ok || strings.TrimSpace(name) == "") {
			r.report("telemetry.headers", config.Hidden, `must be "name=value", with commas between several`)
			break
		}
	}
	if !(t.SampleRatio >= 0 && t.SampleRatio <= 1) { // so that NaN is wrong too
		r.report("telemetry.sample_ratio", fmt.Sprint(t.SampleRatio), "must be from 0 to 1")
	}
	r.aboveZero("telemetry.interval", t.Interval)
}

// minTokenTTL is the lifetime that clients refuse at once (views 1.12).
const minTokenTTL = time.Minute

func (r *rules) appViews(at string, v *config.AppViews) {
	if v.Auth == "none" { // it meant no client, where many read it as no authentication
		r.report(at+"auth", config.Quote(v.Auth), `is "off" now; write "off" to let no client connect to views, or "open" to let every client`)
	} else {
		r.oneOf(at+"auth", v.Auth, "session", "static", "open", "off")
	}
	for i := range v.Access {
		r.viewAccess(fmt.Sprintf("%saccess[%d].", at, i), &v.Access[i])
	}
	if v.Auth == "static" && len(v.StaticTokens) == 0 {
		r.report(at+"static_tokens", "", `missing; auth = "static" needs at least one`)
	}
	for i, token := range v.StaticTokens {
		if _, text := token.Labelled(); text == "" {
			r.report(fmt.Sprintf("%sstatic_tokens[%d]", at, i), config.Hidden, "empty")
		}
	}
	r.sessionKeys(at, v)
	for _, keys := range []struct {
		name string
		list []config.Secret
	}{{"secret_keys", v.SecretKeys}, {"publishable_keys", v.PublishableKeys}} {
		if slices.Contains(keys.list, "") {
			r.report(at+keys.name, "", "holds an empty key, which every client has; remove it")
		}
	}
	if v.SigningKey == "" && len(v.SecretKeys)+len(v.PublishableKeys) > 0 {
		r.report(at+"signing_key", "", `missing; minting needs it: make one with "millrace token generate-key"`)
	}
	if v.TokenTTL.D() <= minTokenTTL {
		r.report(at+"token_ttl", config.Quote(v.TokenTTL.String()), "must be above 1m: clients refuse a token in its last minute")
	}
	for i, name := range v.Entities {
		if name == "" || strings.ContainsAny(name, "/\x00") {
			r.report(fmt.Sprintf("%sentities[%d]", at, i), config.Quote(name), "must be a name without a slash")
		}
	}
}

func (r *rules) viewAccess(at string, a *config.ViewAccess) {
	switch {
	case a.Views == "":
		r.report(at+"views", "", `missing; name base views, such as "Auction/*"`)
	case !mayBeBase(a.Views):
		r.report(at+"views", config.Quote(a.Views), `no base view is named so: their ids end in /list, /state or /append; derived views say access in their definition`)
	}
	if a.Access == "" {
		r.report(at+"access", "", "missing; write public, token or server")
		return
	}
	r.oneOf(at+"access", a.Access, "public", "token", "server")
}

// mayBeBase reports whether a pattern names a base view of any type. What follows its last star must
// be the end of such an id.
func mayBeBase(pattern string) bool {
	star := strings.LastIndexByte(pattern, '*')
	return slices.ContainsFunc([]string{"/list", "/state", "/append"}, func(suffix string) bool {
		end := pattern[star+1:]
		return strings.HasSuffix(end, suffix) && len(pattern) > len(suffix) || star >= 0 && strings.HasSuffix(suffix, end)
	})
}

func (r *rules) sessionKeys(at string, v *config.AppViews) {
	for i, key := range v.PublicKeys {
		if !isKey(key) {
			r.report(fmt.Sprintf("%spublic_keys[%d]", at, i), config.Quote(key), "must be the base64 of a 32-byte Ed25519 public key")
		}
	}
	if v.SigningKey != "" && !isKey(v.SigningKey.Reveal()) {
		r.report(at+"signing_key", config.Hidden, `must be the base64 of a 32-byte Ed25519 seed: make one with "millrace token generate-key"`)
	}
	r.url(at+"jwks_url", v.JWKSURL)
	hasKeys := len(v.PublicKeys) > 0 || v.JWKSURL != "" || v.SigningKey != ""
	isUsed := len(v.Entities) > 0 || len(v.Definitions) > 0
	if v.Auth == "session" && isUsed && !hasKeys {
		r.report(at+"public_keys", "", `missing; session tokens need public_keys, jwks_url or signing_key (or choose another auth, such as "off")`)
	}
}

func isKey(text string) bool {
	const size = 32 // of seeds and of public keys alike
	key, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(text))
	return err == nil && len(key) == size
}

func (r *rules) projection(at string, p *config.Projection) {
	for _, key := range []struct{ name, value string }{{"channels", p.Channels}, {"entity", p.Entity}, {"key", p.Key}} {
		if key.value == "" {
			r.report(at+key.name, "", "missing")
		}
	}
	r.oneOf(at+"op", p.Op, "patch", "upsert", "delete")
	if p.Op != "patch" && len(p.Append) > 0 {
		r.report(at+"append", "", `only op = "patch" appends`)
	}
}
