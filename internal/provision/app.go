package provision

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/config"
)

// convert gives every key of an app its place in the record. A test holds that none is forgotten.
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
			HistoryAge:                    c.HistoryAge.D(),
			HistoryMaxMessages:            c.HistoryMaxMessages,
			HistoryMaxBytes:               int(c.HistoryMaxBytes),
			RecoveryAge:                   c.RecoveryAge.D(),
			RecoveryMaxMessages:           c.RecoveryMaxMessages,
		},
		Features: app.Features{
			ClientEvents:      c.ClientEvents,
			SubscriptionCount: c.SubscriptionCount,
			RequireAuthorized: c.RequireAuthorization,
			RequireTLS:        c.RequireTLS,
			Idempotency:       app.Switch(c.Idempotency),
			SignIn:            c.SignIn,
			Watchlists:        c.Watchlists,
			History:           c.History,
			Recovery:          c.Recovery,
		},
		AllowedOrigins: origins,
		Credentials:    credentials(c.Keys),
		Webhooks:       webhooks(c.Webhooks),
	}
}

// configKey returns the key that sets a field of app.App: MaxEventPayload is max_event_payload.
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

// withoutEntry returns what an error says about one origin; the problem shows the entry itself.
func withoutEntry(message, entry string) string {
	return strings.TrimPrefix(message, fmt.Sprintf("origin %q: ", entry))
}

// credentials converts the further keys of an app.
func credentials(keys []config.AppKey) []app.Credential {
	var all []app.Credential
	for _, k := range keys {
		all = append(all, app.Credential{Key: k.Key, Secret: k.Secret.Reveal(), Rights: app.Rights(k.Rights)})
	}
	return slices.Clip(all)
}
