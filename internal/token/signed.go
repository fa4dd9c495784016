package token

import (
	"context"
	"crypto/ed25519"
	"errors"
	"net/netip"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/millrace/millrace/internal/access"
	"github.com/millrace/millrace/internal/protocol"
)

// Keys are the public keys that session tokens are verified with: a [Ring] or a [Remote].
type Keys interface {
	// Find returns the keys that may have signed a token whose header names keyID, empty if
	// it names none; the likeliest first.
	Find(ctx context.Context, keyID string) ([]ed25519.PublicKey, *protocol.Issue)
}

// SignedOptions of an authenticator for session tokens. App, Issuer, Audience and Keys are required;
// other zero fields mean the default.
type SignedOptions struct {
	App              string // whose revocations count
	Issuer, Audience string
	Keys             Keys
	QueryName        string           // default hs_token
	OriginRequired   bool             // views 1.5, R
	ClientIPRequired bool             // a token without client_ip is refused; one with it is always held to it
	Revocations      *Revocations     // default none: nothing is ever revoked
	Now              func() time.Time // default time.Now
}

func (o SignedOptions) withDefaults() SignedOptions {
	if o.QueryName == "" {
		o.QueryName = QueryName
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// signed lets holders of session tokens in (views 1.4).
type signed struct {
	o     SignedOptions
	names []string
}

var _ Authenticator = (*signed)(nil)

// NewSigned makes an authenticator for holders of session tokens.
func NewSigned(o SignedOptions) (Authenticator, error) {
	var errs []error
	if o.Issuer == "" {
		errs = append(errs, errors.New("token: no issuer; name the one whose tokens are good"))
	}
	if o.Audience == "" {
		errs = append(errs, errors.New("token: no audience; name the one that tokens must be for"))
	}
	if o.Keys == nil {
		errs = append(errs, errors.New("token: no keys to verify tokens with"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	return &signed{o: o, names: []string{o.QueryName}}, nil
}

func (s *signed) QueryNames() []string { return s.names }

func (s *signed) Authenticate(ctx context.Context, c Credentials) (*Principal, *protocol.Issue) {
	if !c.HasToken {
		return nil, protocol.IssueTokenMissing
	}
	cl, issue := s.verify(ctx, c.Token)
	if issue != nil {
		return nil, issue
	}
	if issue := s.admit(cl, c); issue != nil {
		return nil, issue
	}
	return cl.principal(), nil
}

func (s *signed) Refresh(ctx context.Context, old *Principal, c Credentials) (*Principal, *protocol.Issue) {
	if !old.Expires.IsZero() && !s.o.Now().Before(old.Expires) {
		return nil, protocol.IssueTokenExpired.Withf("The session has expired; connect again")
	}
	if old.IsAnonymous() {
		return nil, protocol.IssueTokenAudience.Withf("This connection has no token to replace; connect again with the new one")
	}
	p, issue := s.Authenticate(ctx, c)
	if issue != nil {
		return nil, issue
	}
	if p.Subject != old.Subject {
		return nil, protocol.IssueTokenAudience.Withf("The token is for another subject; connect again to act for that one")
	}
	return p, nil
}

// verify takes the steps up to the signature in the order of the table in views 1.4,
// which is observable. A key set by URL is asked before the claims are read.
func (s *signed) verify(ctx context.Context, text string) (*claims, *protocol.Issue) {
	parts, issue := readCompact(text)
	if issue != nil {
		return nil, issue
	}
	keys, issue := s.o.Keys.Find(ctx, parts.keyID)
	if issue != nil {
		return nil, issue
	}
	cl, issue := readClaims(parts.payload)
	if issue != nil {
		return nil, issue
	}
	signature, issue := readSignature(parts.signature)
	if issue != nil {
		return nil, issue
	}
	for _, key := range keys {
		if jwt.SigningMethodEdDSA.Verify(parts.signed, signature, key) == nil {
			return cl, nil
		}
	}
	return nil, protocol.IssueTokenSignature
}

// admit takes the steps after the signature.
func (s *signed) admit(cl *claims, c Credentials) *protocol.Issue {
	now := s.o.Now()
	switch seconds := now.Unix(); {
	case cl.issuer != s.o.Issuer:
		return protocol.IssueTokenIssuer
	case cl.audience != s.o.Audience:
		return protocol.IssueTokenAudience
	case cl.expires <= seconds:
		return protocol.IssueTokenExpired
	case cl.notBefore > seconds:
		return protocol.IssueTokenFormat.Withf("The token is not valid yet; compare the clocks of issuer and server")
	}
	if issue := s.checkOrigin(cl.origin, c.Origin); issue != nil {
		return issue
	}
	if issue := s.checkClientIP(cl.clientIP, c.ClientIP); issue != nil {
		return issue
	}
	if s.o.Revocations.Has(s.o.App, cl.id) {
		return protocol.IssueTokenExpired.Withf("The token was revoked")
	}
	return nil
}

// checkOrigin is the table in views 1.5.
func (s *signed) checkOrigin(bound *string, origin string) *protocol.Issue {
	switch {
	case bound == nil && s.o.OriginRequired:
		return protocol.IssueTokenClaim.Withf("The token must be bound to an origin; mint it with one")
	case bound == nil:
		return nil
	case origin == "" && s.o.OriginRequired:
		return protocol.IssueOriginRequired
	case origin != "" && origin != *bound:
		return protocol.IssueOriginMismatch.Withf("The token is bound to another origin")
	}
	return nil
}

func (s *signed) checkClientIP(bound *string, ip string) *protocol.Issue {
	switch {
	case bound == nil && s.o.ClientIPRequired:
		return protocol.IssueTokenClaim.Withf("The token must be bound to a client address; mint it with one")
	case bound != nil && !isSameAddress(*bound, ip):
		return protocol.IssueOriginMismatch.Withf("The token is bound to another client address")
	}
	return nil
}

// isSameAddress compares addresses, however they are spelled.
func isSameAddress(a, b string) bool {
	x, errX := netip.ParseAddr(a)
	y, errY := netip.ParseAddr(b)
	if errX != nil || errY != nil {
		return a == b
	}
	return x.Unmap() == y.Unmap()
}

// lastSecond of year 9999; what expires later is as good as never, and time.Time can
// compare it.
const lastSecond = 253_402_300_799

func (c *claims) principal() *Principal {
	return &Principal{
		Subject:      c.subject,
		Issuer:       c.issuer,
		KeyClass:     c.keyClass,
		MeteringKey:  c.meteringKey,
		DeploymentID: orEmpty(c.deployment),
		Scope:        c.scope,
		Plan:         orEmpty(c.plan),
		Origin:       orEmpty(c.origin),
		ClientIP:     orEmpty(c.clientIP),
		ID:           c.id,
		Expires:      time.Unix(min(c.expires, lastSecond), 0).UTC(),
		Limits:       c.limits,
		Clearance:    access.Token,
		Views:        c.views,
	}
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
