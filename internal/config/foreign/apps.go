// Package foreign reads the apps of other servers of the protocol, so that an operator can bring them
// over: it turns their JSON into apps of package config, and says what has no counterpart here.
//
// It must never know where the JSON comes from, or what becomes of the apps. It is pure: no file, no
// goroutine.
package foreign

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/config/appdoc"
	"github.com/millrace/millrace/internal/config/bind"
)

// Apps reads the apps of other servers of the protocol (pusher 7.1): one app,
// a list, or the part of a configuration that holds a list, with flat keys in snake_case or
// camelCase, or with a policy that goes before them; and the id, key and secret that hosted
// services hand out.
//
// If it returns apps, the problems are warnings, one for each thing that has no counterpart
// here. Without apps, the problems say why.
func Apps(document []byte) ([]config.App, []config.Problem) {
	value, problems, err := appdoc.ReadJSON(document, true)
	if err != nil {
		return nil, []config.Problem{{Path: "document", Message: "not JSON: " + err.Error()}}
	}
	im := &importer{problems: problems}
	list, at := im.list(value)
	if len(list) == 0 {
		return nil, append(im.problems, config.Problem{Path: "document", Message: "holds no app"})
	}
	apps := make([]config.App, len(list))
	for i, item := range list {
		where := at
		if at != "" || len(list) > 1 {
			where = fmt.Sprintf("%s[%d]", at, i)
		}
		apps[i] = im.app(where, item)
	}
	if len(im.problems) > 0 {
		return nil, im.problems
	}
	return apps, im.warnings
}

// importer collects what cannot be read, and what has no counterpart.
type importer struct {
	problems, warnings []config.Problem

	given map[any]bool // pointers to what was given in the app that is being read
}

func (im *importer) refuse(path string, value any, message string) {
	im.problems = append(im.problems, config.Problem{Path: path, Value: bind.Show(value), Message: message})
}

func (im *importer) warn(path, message string) {
	im.warnings = append(im.warnings, config.Problem{Path: path, Message: message})
}

// list finds the apps in what was read, and the path at which they are.
func (im *importer) list(value any) (list []any, at string) {
	if list, ok := value.([]any); ok {
		return list, ""
	}
	table, ok := value.(map[string]any)
	if !ok {
		return nil, ""
	}
	for _, key := range slices.Sorted(maps.Keys(table)) {
		inner := table[key]
		name, rest, _ := strings.Cut(key, ".")
		switch snake(name) {
		case "apps", "app_manager", "array", "memory":
			if rest != "" { // written as one dotted key
				inner = map[string]any{rest: inner}
			}
			if list, ok := inner.([]any); ok && key != "array" {
				return list, key
			}
			if list, at := im.list(inner); len(list) > 0 && at != "" {
				return list, config.Join(name, at)
			}
		}
	}
	for _, key := range []string{"id", "app_id", "appId", "key"} {
		if _, ok := table[key]; ok {
			return []any{table}, ""
		}
	}
	return nil, ""
}

// app reads one app. Its limits are those that it was given, also where they equal a default.
func (im *importer) app(at string, item any) config.App {
	a := config.DefaultApp()
	im.given = map[any]bool{}
	im.settings(at, item, &a)
	limits, keys := reflect.ValueOf(&a.AppLimits).Elem(), map[string]bool{}
	for _, f := range config.FieldsOf(limits.Type()) {
		keys[f.Key] = im.given[limits.FieldByIndex(f.Index).Addr().Interface()]
	}
	a.Inherit(&config.Default().AppDefaults, func(key string) bool { return keys[key] })
	return a
}

func (im *importer) settings(at string, item any, a *config.App) {
	table, ok := item.(map[string]any)
	if !ok {
		im.refuse(at, item, "must be an object")
		return
	}
	s := im.source(at, table)
	policy := s.table("policy")
	s.text("id", &a.ID)
	s.text("app_id", &a.ID)
	s.text("key", &a.Key)
	s.text("app_key", &a.Key)
	secret := ""
	s.text("secret", &secret)
	s.text("app_secret", &secret)
	a.Secret = config.Secret(secret)
	if _, camel := table["enableClientMessages"]; !s.has("enabled") && !camel && (policy != nil || s.has("enable_client_messages")) {
		im.warn(config.Join(at, "enabled"), "missing, which other servers take for off; it is on here")
	}
	s.flag("enabled", &a.Enabled)
	if policy == nil {
		im.limits(s, a)
		im.features(s, a)
		im.rest(s, a)
		s.finish(noCounterpart)
		return
	}
	s.finish("is ignored beside policy, as the other server does")
	if limits := policy.table("limits"); limits != nil {
		im.limits(limits, a)
		limits.finish(noCounterpart)
	}
	if features := policy.table("features"); features != nil {
		im.features(features, a)
		features.finish(noCounterpart)
	}
	if channels := policy.table("channels"); channels != nil {
		channels.texts("allowed_origins", &a.AllowedOrigins)
		channels.finish(noCounterpart)
	}
	im.rest(policy, a)
	policy.finish(noCounterpart)
}

const noCounterpart = "has no counterpart here; it is left out"

func (im *importer) limits(s *source, a *config.App) {
	for _, n := range []struct {
		key string
		p   *int
	}{
		{"max_connections", &a.MaxConnections},
		{"max_backend_events_per_second", &a.MaxBackendEventsPerSecond},
		{"max_backend_events_per_sec", &a.MaxBackendEventsPerSecond},
		{"max_client_events_per_second", &a.MaxClientEvents},
		{"max_client_events_per_sec", &a.MaxClientEvents},
		{"max_read_requests_per_second", &a.MaxReadRequestsPerSecond},
		{"max_read_req_per_sec", &a.MaxReadRequestsPerSecond},
		{"max_presence_members_per_channel", &a.MaxPresenceMembers},
		{"max_event_channels_at_once", &a.MaxChannelsPerPublish},
		{"max_event_name_length", &a.MaxEventNameLength},
		{"max_event_batch_size", &a.MaxBatchSize},
	} {
		s.number(n.key, n.p)
	}
	length := 0
	if s.number("max_channel_name_length", &length); length > 0 {
		give(im, &a.MaxChannelNameLength, length)
	} else if s.has("max_channel_name_length") {
		im.warn(s.path("max_channel_name_length"), "cannot be unlimited here; it is left out")
	}
	s.kilobytes("max_presence_member_size_in_kb", &a.MaxPresenceMemberSize)
	s.kilobytes("max_event_payload_in_kb", &a.MaxEventPayload)
	if im.given[&a.MaxClientEvents] { // in a second, unless it says otherwise
		give(im, &a.ClientEventWindow, config.Duration(time.Second))
	}
	s.seconds("decay_seconds", time.Second, &a.ClientEventWindow)
	s.flag("terminate_on_limit", &a.TerminateOnClientEventLimit)
	if rate := s.table("message_rate_limit"); rate != nil {
		im.messages(rate, a)
		rate.finish(noCounterpart)
	}
}

// messages reads the limit of messages, which is on if nothing else is said: 60 in a minute.
func (im *importer) messages(s *source, a *config.App) {
	isOn, most := true, 60
	s.flag("enabled", &isOn)
	for _, key := range []string{"max_attempts", "max_messages", "max_requests"} {
		s.number(key, &most)
	}
	s.seconds("decay_seconds", time.Second, &a.MessageWindow)
	s.seconds("window_seconds", time.Second, &a.MessageWindow)
	s.flag("terminate_on_limit", &a.TerminateOnMessageLimit)
	if !isOn {
		most = 0
	} else if !im.given[&a.MessageWindow] {
		give(im, &a.MessageWindow, config.Duration(time.Minute))
	}
	give(im, &a.MaxMessages, most)
}

// give sets what an app is given.
func give[T any](im *importer, p *T, value T) {
	*p = value
	im.given[p] = true
}

func (im *importer) features(s *source, a *config.App) {
	s.flag("enable_client_messages", &a.ClientEvents)
	s.flag("enable_user_authentication", &a.SignIn)
	s.flag("enable_watchlist_events", &a.Watchlists)
	s.flag("enable_subscription_count", &a.SubscriptionCount)
	s.flag("require_authorized_connections", &a.RequireAuthorization)
}

// rest is what stands in policy itself.
func (im *importer) rest(s *source, a *config.App) {
	s.texts("allowed_origins", &a.AllowedOrigins)
	for i, item := range s.listOf("webhooks") {
		at := fmt.Sprintf("%s[%d]", s.path("webhooks"), i)
		if w, ok := im.webhook(at, item); ok {
			a.Webhooks = append(a.Webhooks, w)
		}
	}
	if idempotency := s.table("idempotency"); idempotency != nil {
		isOn := false
		if idempotency.flag("enabled", &isOn) {
			a.Idempotency = map[bool]string{true: "on", false: "off"}[isOn]
		}
		idempotency.seconds("ttl_seconds", time.Second, &a.IdempotencyTTL)
		idempotency.finish(noCounterpart)
	}
}

// eventTypes are the events that a webhook may be told of.
func eventTypes() []string {
	return []string{
		"channel_occupied", "channel_vacated", "member_added", "member_removed", "client_event",
		"cache_miss", "subscription_count", "user_online", "user_offline",
	}
}

func (im *importer) webhook(at string, item any) (w config.Webhook, ok bool) {
	w = config.DefaultWebhook()
	table, isTable := item.(map[string]any)
	if !isTable {
		im.refuse(at, item, "must be an object")
		return w, false
	}
	s := im.source(at, table)
	s.text("url", &w.URL)
	if w.URL == "" {
		im.warn(at, "has no url; other targets have no counterpart here, so it is left out")
		return w, false
	}
	var types []string
	s.texts("event_types", &types)
	for i, name := range types {
		if !slices.Contains(eventTypes(), name) {
			im.warn(fmt.Sprintf("%s[%d]", s.path("event_types"), i), config.Quote(name)+" has no counterpart here; it is left out")
			continue
		}
		w.EventTypes = append(w.EventTypes, name)
	}
	if len(w.EventTypes) == 0 {
		im.warn(at, "names no event that there is here, so it is left out")
		return w, false
	}
	im.delivery(s, &w)
	s.finish(noCounterpart)
	return w, true
}

// delivery is what a webhook says besides its target and its events.
func (im *importer) delivery(s *source, w *config.Webhook) {
	if f := s.table("filter"); f != nil {
		for _, key := range []string{"channel_prefix", "channel_name_starts_with"} {
			f.text(key, &w.ChannelPrefix)
		}
		for _, key := range []string{"channel_suffix", "channel_name_ends_with"} {
			f.text(key, &w.ChannelSuffix)
		}
		f.text("channel_pattern", &w.ChannelPattern)
		namespace := ""
		if f.text("channel_namespace", &namespace); namespace != "" {
			w.ChannelNamespaces = []string{namespace}
		}
		f.texts("channel_namespaces", &w.ChannelNamespaces)
		f.finish(noCounterpart)
	}
	if h := s.table("headers"); h != nil {
		for _, name := range slices.Sorted(maps.Keys(h.values)) {
			value := ""
			h.text(name, &value)
			w.Headers = append(w.Headers, config.Secret(h.written[name]+": "+value))
		}
	}
	if r := s.table("retry"); r != nil {
		isOn := true
		if r.flag("enabled", &isOn) {
			w.Retry = map[bool]string{true: "on", false: "off"}[isOn]
		}
		r.number("max_attempts", &w.MaxAttempts)
		r.seconds("max_elapsed_time_ms", time.Millisecond, &w.MaxElapsed)
		r.seconds("initial_backoff_ms", time.Millisecond, &w.InitialBackoff)
		r.seconds("max_backoff_ms", time.Millisecond, &w.MaxBackoff)
		r.finish(noCounterpart)
	}
	s.seconds("request_timeout_ms", time.Millisecond, &w.RequestTimeout)
}
