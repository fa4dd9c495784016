package config

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// AppLimits is the limits of apps that do not set them themselves, wherever they are kept. 0 means unlimited unless said otherwise.
type AppLimits struct {
	// Most connections at once.
	MaxConnections int `toml:"max_connections"`
	// Most channels that one connection may be subscribed to. Each takes up to 600 bytes of memory.
	MaxSubscriptionsPerConnection int `toml:"max_subscriptions_per_connection"`
	// Most events published per second over HTTP, each counted once for every channel it goes to, and mutations of entities.
	MaxBackendEventsPerSecond int `toml:"max_backend_events_per_second"`
	// Most HTTP API requests per second other than publishes.
	MaxReadRequestsPerSecond int `toml:"max_read_requests_per_second"`
	// Most client events of one connection within client_event_window.
	MaxClientEvents int `toml:"max_client_events"`
	// Window of max_client_events. Above zero.
	ClientEventWindow Duration `toml:"client_event_window"`
	// Closes a connection that exceeds max_client_events, with 4301, after which browsers do not reconnect.
	TerminateOnClientEventLimit bool `toml:"terminate_on_client_event_limit"`
	// Most messages of any kind from one connection within message_window.
	MaxMessages int `toml:"max_messages"`
	// Window of max_messages. Above zero.
	MessageWindow Duration `toml:"message_window"`
	// Closes a connection that exceeds max_messages, with 4301, after which browsers do not reconnect.
	TerminateOnMessageLimit bool `toml:"terminate_on_message_limit"`

	// Most distinct users in one presence channel.
	MaxPresenceMembers int `toml:"max_presence_members"`
	// Largest user_info of a presence member, as compact JSON.
	MaxPresenceMemberSize Size `toml:"max_presence_member_size"`
	// Longest channel name, in bytes. Above zero.
	MaxChannelNameLength int `toml:"max_channel_name_length"`
	// Most channels that one published event may go to.
	MaxChannelsPerPublish int `toml:"max_channels_per_publish"`
	// Longest event name, in bytes.
	MaxEventNameLength int `toml:"max_event_name_length"`
	// Largest data of one event, published or from a client.
	MaxEventPayload Size `toml:"max_event_payload"`
	// Most events in one batch request.
	MaxBatchSize int `toml:"max_batch_size"`
	// With sign_in, closes connections that have neither signed in nor subscribed to a private or presence channel within this time. "0s" never does; require_authorization goes before it.
	UserAuthenticationTimeout Duration `toml:"user_authentication_timeout"`
	// Time for require_authorization. Above zero.
	AuthorizationTimeout Duration `toml:"authorization_timeout"`
	// How long the answer to an idempotency key is remembered. "0s" means idempotency.ttl.
	IdempotencyTTL Duration `toml:"idempotency_ttl"`
	// How long a cache channel remembers its last event. Above zero.
	CacheTTL Duration `toml:"cache_ttl"`

	// Keeps what is published to channels, so that it can be read over HTTP later. A publish is answered once it is on the disk. Needs store.driver = "embedded". Where this is turned off and on again, each channel begins another stream.
	History bool `toml:"history"`
	// How long an event is kept. Above zero.
	HistoryAge Duration `toml:"history_age"`
	// Most events kept of one channel; the oldest go first.
	HistoryMaxMessages int `toml:"history_max_messages"`
	// Most bytes kept of one channel; the oldest events go first.
	HistoryMaxBytes Size `toml:"history_max_bytes"`

	// Sends clients of protocol V2 that come back what they have missed of their channels. Without history, only as much is kept as the two settings below say. A publish is answered once it is on the disk. Needs store.driver = "embedded".
	Recovery bool `toml:"recovery"`
	// How old an event may be that a client is sent without history. With history, clients are told from this age on that what they were sent was cold. Above zero.
	RecoveryAge Duration `toml:"recovery_age"`
	// Most events of one channel that a client is sent without history; with history, those that are not cold. Above zero.
	RecoveryMaxMessages int `toml:"recovery_max_messages"`
}

// Inherit gives a the limits of fallback, except the limits that are its own: isGiven tells by their
// keys. The app remembers which these are, so that its document has them, also those that equal the
// fallback, and no others.
func (a *App) Inherit(fallback *AppLimits, isGiven func(key string) bool) {
	own := a.AppLimits
	a.AppLimits, a.given = *fallback, map[string]bool{}
	from, to := reflect.ValueOf(&own).Elem(), reflect.ValueOf(&a.AppLimits).Elem()
	for _, f := range FieldsOf(from.Type()) {
		if isGiven(f.Key) {
			a.given[f.Key] = true
			to.FieldByIndex(f.Index).Set(from.FieldByIndex(f.Index))
		}
	}
}

// HasOwn reports whether the app has the limit with this key of its own, not from [app_defaults].
func (a *App) HasOwn(key string) bool { return a.given[key] }

// SourceOf returns the path of the key that gave the value at path. For a limit that an app has from
// [app_defaults] it is the key there.
func (c *Config) SourceOf(path string) string {
	rest, _ := strings.CutPrefix(path, "apps[")
	number, key, _ := strings.Cut(rest, "].")
	i, err := strconv.Atoi(number)
	isLimit := slices.Contains(KeysOf(reflect.TypeFor[AppLimits]()), key)
	if err != nil || i >= len(c.Apps) || !isLimit || c.Apps[i].given[key] {
		return path
	}
	return Join("app_defaults", key)
}
