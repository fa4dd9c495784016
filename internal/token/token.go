package token

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/millrace/millrace/internal/access"
	"github.com/millrace/millrace/internal/protocol"
)

// Classes of API keys, and of the tokens minted with them.
const (
	ClassSecret      = "secret"
	ClassPublishable = "publishable"
)

// Limits that a token carries (views 1.4). Negative: absent, the server's default
// holds. Zero: nothing of the kind is allowed.
type Limits struct {
	MaxConnections, MaxSubscriptions, MaxSnapshotRows, MaxMessagesPerMinute, MaxBytesPerMinute int64
}

// NoLimits are limits that are all absent.
func NoLimits() Limits { return Limits{-1, -1, -1, -1, -1} }

// Principal is who a connection acts for. Immutable.
type Principal struct {
	Subject, Issuer, KeyClass, MeteringKey, DeploymentID, Scope, Plan string

	// Origin is the origin that the token is bound to, or of the request with a static token.
	Origin string
	// ClientIP is the address that the token is bound to.
	ClientIP string
	// ID is the token's jti, which revocation goes by; random where there is no token.
	ID string

	Expires time.Time // zero: never
	Limits  Limits

	// Clearance is which views are open to it, Views which of these besides the public ones; nil:
	// all of them.
	Clearance access.Level
	Views     access.Views
}

// visitorIssuer and openIssuer are the issuers for clients without a token, where public views, or
// all views, need none (views 1.3).
const (
	visitorIssuer = "no-token"
	openIssuer    = "allow-all"
)

// Visitor makes the principal of a client without a token, where there are public views.
func Visitor() *Principal {
	return &Principal{
		Subject:     "anonymous",
		Issuer:      visitorIssuer,
		KeyClass:    ClassPublishable,
		MeteringKey: "public",
		Scope:       "read",
		ID:          uuid.NewString(),
		Limits:      NoLimits(),
		Clearance:   access.Public,
	}
}

// IsVisitor reports whether p has no token where one is needed for all but public views.
func (p *Principal) IsVisitor() bool { return p.Clearance < access.Token }

// IsAnonymous reports whether p stands for all clients without a token: its limits and usage are
// shared by all of them.
func (p *Principal) IsAnonymous() bool {
	return (p.Issuer == openIssuer || p.Issuer == visitorIssuer) && p.Expires.IsZero()
}

// Credentials are what a handshake or a refresh brings. The credentials of a refresh have the new
// token, but the origin and the address of the handshake (views 1.9).
type Credentials struct {
	Token    string
	HasToken bool
	Origin   string // of the request; empty: none
	ClientIP string // after trusted proxies
}

// Authenticator is one auth plugin (views 1.3). Safe for concurrent use.
type Authenticator interface {
	Authenticate(ctx context.Context, c Credentials) (*Principal, *protocol.Issue)
	// Refresh checks a new token for a live connection; old is its principal (views
	// 1.9). A refusal changes nothing: old stays good until it expires.
	Refresh(ctx context.Context, old *Principal, c Credentials) (*Principal, *protocol.Issue)
	// QueryNames are the query parameters that may hold the token, in order.
	QueryNames() []string
}

// QueryName is the query parameter that every client uses.
const QueryName = "hs_token"
