// Package token decides who a connection of live views is: session tokens (EdDSA JWT),
// static tokens, or everybody. (Sketch of the contract; real files replace it.)
package token

import (
	"context"
	"time"

	"github.com/millrace/millrace/internal/protocol"
)

// Limits that a token carries (live-views 1.4). Negative: absent.
type Limits struct {
	MaxConnections, MaxSubscriptions, MaxSnapshotRows, MaxMessagesPerMinute, MaxBytesPerMinute int64
}

// Principal is who a connection acts for. Immutable.
type Principal struct {
	Subject, Issuer, KeyClass, MeteringKey, DeploymentID, Scope, Plan, Origin, ClientIP, ID string
	Expires                                                                                 time.Time // zero: never
	Limits                                                                                  Limits
}

// Credentials are what a handshake or a refresh brings.
type Credentials struct {
	Token    string
	HasToken bool
	Origin   string // of the request; empty: none
	ClientIP string // after trusted proxies
}

// Authenticator is one auth plugin (live-views 1.3). Safe for concurrent use.
type Authenticator interface {
	Authenticate(ctx context.Context, c Credentials) (*Principal, *protocol.Issue)
	// Refresh checks a new token for a live connection; old is its principal (live-views 1.9).
	Refresh(ctx context.Context, old *Principal, c Credentials) (*Principal, *protocol.Issue)
	// QueryNames are the query parameters that may hold the token, in order.
	QueryNames() []string
}

// FromRequest finds the token: header first, then query (live-views 1.2).
func FromRequest(authorization, rawQuery string, names []string) (token string, ok bool) {
	panic("sketch")
}

func NewOpen() Authenticator { panic("sketch") }

type StaticToken struct{ Token, Label string }                       // Label: metering key; empty: a hash of the token
func NewStatic(tokens []StaticToken, queryName string) Authenticator { panic("sketch") }

type SignedOptions struct{}                            // issuer, audience, keys (Keys), origin required, client ip enforced, query name, revocations, clock
func NewSigned(o SignedOptions) (Authenticator, error) { panic("sketch") }

// Revocations are token ids that count no more. Safe for concurrent use; bounded by their expiry.
type Revocations struct{}
type RevocationStore interface {
	LoadRevocations(ctx context.Context, now time.Time, fn func(app, id string, until time.Time) error) error
	SaveRevocation(ctx context.Context, app, id string, until time.Time) error
}

func (r *Revocations) Revoke(ctx context.Context, app, id string, until time.Time) error {
	panic("sketch")
}                                                    // then tells the watchers
func (r *Revocations) Has(app, id string) bool       { panic("sketch") }
func (r *Revocations) Watch(fn func(app, id string)) { panic("sketch") } // before anything is served
