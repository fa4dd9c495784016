// Package app holds apps: their keys, limits and features, and the contract by which the
// rest of the server looks them up. It knows no connection, no wire and no file format, and
// starts no goroutine.
package app

import (
	"context"
	"errors"
	"slices"
	"time"
)

// ErrNotFound is returned by a Registry that knows no such app. Any other error means that
// the registry could not be asked.
var ErrNotFound = errors.New("app: not found")

// App is one application and its settings (pusher 7.1). It is immutable: a change
// of settings is a new App.
type App struct {
	ID      string
	Aliases []string // other ids that name it, wherever a request names an app by its id
	Key     string
	Secret  string
	Enabled bool

	Limits   Limits
	Features Features

	AllowedOrigins Origins // empty allows all

	Credentials []Credential // besides Key and Secret
	Webhooks    []Webhook
}

// Limits of one app. Zero means unlimited unless said otherwise; sizes are bytes.
type Limits struct {
	MaxConnections                int
	MaxSubscriptionsPerConnection int
	MaxBackendEventsPerSecond     int           // published over HTTP, one for each target channel
	MaxReadRequestsPerSecond      int           // HTTP API requests that are no publishes
	MaxClientEvents               int           // per connection and ClientEventWindow
	ClientEventWindow             time.Duration // above zero
	MaxMessages                   int           // inbound frames per connection and MessageWindow
	MessageWindow                 time.Duration // above zero
	TerminateOnMessageLimit       bool
	TerminateOnClientEventLimit   bool
	MaxPresenceMembers            int
	MaxPresenceMemberSize         int
	MaxChannelNameLength          int // above zero
	MaxChannelsPerPublish         int
	MaxEventNameLength            int
	MaxEventPayload               int
	MaxBatchSize                  int
	CacheTTL                      time.Duration // of cache channels; above zero
	AuthorizationTimeout          time.Duration // with Features.RequireAuthorized; above zero
	IdempotencyTTL                time.Duration // of the keys of publishes; zero: as the server
	UserAuthenticationTimeout     time.Duration // with Features.SignIn alone; zero asks for no authorization

	// Of one channel, with Features.History.
	HistoryAge         time.Duration // above zero
	HistoryMaxMessages int
	HistoryMaxBytes    int

	// Of one channel, with Features.Recovery: what a client is sent of the past when it comes back. Without
	// Features.History it is all that is kept.
	RecoveryAge         time.Duration // above zero
	RecoveryMaxMessages int           // above zero
}

// Features of one app, all off in the zero value.
type Features struct {
	ClientEvents      bool
	SubscriptionCount bool
	RequireAuthorized bool   // close connections that stay unauthorized
	RequireTLS        bool   // refuse connections that are not encrypted
	Idempotency       Switch // keys of publishes
	SignIn            bool   // users
	Recovery          bool   // send clients that come back what they have missed (v2 3)
	Watchlists        bool   // tell who watches a user when it goes online and offline
	History           bool   // keep what is published to channels
}

// HasID reports whether id names a: as its id or as an alias.
func (a *App) HasID(id string) bool { return a.ID == id || slices.Contains(a.Aliases, id) }

// AuthorizeWithin is how long a connection may stay without a sign-in and without a signed
// subscription; zero is for ever (pusher 4.2).
func (a *App) AuthorizeWithin() time.Duration {
	switch {
	case a.Features.RequireAuthorized:
		return a.Limits.AuthorizationTimeout
	case a.Features.SignIn:
		return a.Limits.UserAuthenticationTimeout
	default:
		return 0
	}
}

// Switch is a feature that an app may leave to the server.
type Switch string

// The positions of a Switch. Its zero value inherits, too.
const (
	SwitchInherit Switch = "inherit"
	SwitchOn      Switch = "on"
	SwitchOff     Switch = "off"
)

// Or is whether the feature is on, where the server says inherited.
func (s Switch) Or(inherited bool) bool {
	switch s {
	case SwitchOn:
		return true
	case SwitchOff:
		return false
	default:
		return inherited
	}
}

// Registry finds apps. Implementations are safe for concurrent use.
type Registry interface {
	// ByKey finds an app by any of its keys, ByID by its id or an alias. ErrNotFound when there is
	// none.
	ByKey(ctx context.Context, key string) (*App, error)
	ByID(ctx context.Context, id string) (*App, error)
}
