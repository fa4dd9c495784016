package server

import (
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/config/rules"
)

// Check is the load.Check of what package config cannot judge: origins, and whatever else
// package app demands of an app.
func Check(c *config.Config) []config.Problem {
	problems := checkOrigins("http.cors_origins", c.HTTP.CORSOrigins)
	for i := range c.Apps {
		at := fmt.Sprintf("apps[%d].", i)
		problems = append(problems, checkApp(at, &c.Apps[i])...)
	}
	return problems
}

// advise tells the operator about settings that are allowed in cfg and probably not meant.
func advise(cfg *config.Config, log *slog.Logger) {
	for _, p := range rules.Advise(cfg) {
		log.Warn("configuration is allowed, but probably not meant", "key", p.Path, "advice", p.Message)
	}
}

// checkApp is Check of one app, wherever it is kept.
func checkApp(at string, c *config.App) []config.Problem {
	problems := checkOrigins(at+"allowed_origins", c.AllowedOrigins)
	problems = append(problems, checkWebhooks(at, c)...)
	for _, p := range app.Validate(convert(c, app.Origins{})) {
		problems = append(problems, config.Problem{Path: at + configKey(p.Field), Message: p.Message})
	}
	problems = append(problems, checkViews(at, c)...)
	return append(problems, checkProjections(at, c)...)
}

func checkOrigins(at string, entries []string) []config.Problem {
	var problems []config.Problem
	for i, entry := range entries {
		if _, err := app.ParseOrigins([]string{entry}); err != nil {
			problems = append(problems, config.Problem{
				Path:    fmt.Sprintf("%s[%d]", at, i),
				Value:   strconv.Quote(entry),
				Message: withoutEntry(err.Error(), entry),
			})
		}
	}
	return problems
}

// convert gives every key of an app its place. A test holds that none is forgotten.
func convert(c *config.App, origins app.Origins) *app.App {
	return &app.App{
		ID:      c.ID,
		Aliases: c.Aliases,
		Key:     c.Key,
		Secret:  c.Secret.Reveal(),
		Enabled: c.Enabled,
		Limits: app.Limits{
			MaxConnections:                c.MaxConnections,
			MaxSubscriptionsPerConnection: c.MaxSubscriptionsPerConnection,
			MaxBackendEventsPerSecond:     c.MaxBackendEventsPerSecond,
			MaxReadRequestsPerSecond:      c.MaxReadRequestsPerSecond,
			MaxClientEvents:               c.MaxClientEvents,
			ClientEventWindow:             c.ClientEventWindow.D(),
			MaxMessages:                   c.MaxMessages,
			MessageWindow:                 c.MessageWindow.D(),
			TerminateOnMessageLimit:       c.TerminateOnMessageLimit,
			TerminateOnClientEventLimit:   c.TerminateOnClientEventLimit,
			MaxPresenceMembers:            c.MaxPresenceMembers,
			MaxPresenceMemberSize:         int(c.MaxPresenceMemberSize),
			MaxChannelNameLength:          c.MaxChannelNameLength,
			MaxChannelsPerPublish:         c.MaxChannelsPerPublish,
			MaxEventNameLength:            c.MaxEventNameLength,
			MaxEventPayload:               int(c.MaxEventPayload),
			MaxBatchSize:                  c.MaxBatchSize,
			CacheTTL:                      c.CacheTTL.D(),
			AuthorizationTimeout:          c.AuthorizationTimeout.D(),
			IdempotencyTTL:                c.IdempotencyTTL.D(),
			UserAuthenticationTimeout:     c.UserAuthenticationTimeout.D(),
		},
		Features: app.Features{
			ClientEvents:      c.ClientEvents,
			SubscriptionCount: c.SubscriptionCount,
			RequireAuthorized: c.RequireAuthorization,
			RequireTLS:        c.RequireTLS,
			Idempotency:       app.Switch(c.Idempotency),
			SignIn:            c.SignIn,
			Watchlists:        c.Watchlists,
		},
		AllowedOrigins: origins,
		Credentials:    credentials(c.Keys),
		Webhooks:       webhooks(c.Webhooks),
	}
}

// configKey is the key that sets a field of app.App: MaxEventPayload is max_event_payload.
func configKey(field string) string {
	if slices.Contains([]string{"ID", "URL", "Key", "Secret"}, field) {
		return strings.ToLower(field)
	}
	var b strings.Builder
	for i := range len(field) {
		upper := 'A' <= field[i] && field[i] <= 'Z'
		if upper && i > 0 && !('A' <= field[i-1] && field[i-1] <= 'Z') {
			b.WriteByte('_')
		}
		b.WriteByte(field[i])
	}
	return strings.ToLower(b.String())
}

// withoutEntry is what an error says about one origin; the problem shows the entry itself.
func withoutEntry(message, entry string) string {
	return strings.TrimPrefix(message, fmt.Sprintf("origin %q: ", entry))
}
