package token

import (
	"context"

	"github.com/google/uuid"

	"github.com/millrace/millrace/internal/access"
	"github.com/millrace/millrace/internal/protocol"
)

// open admits all clients (views 1.3, allow-all).
type open struct {
	_ byte // so that two of them differ, and a comparison tells that the rules have changed
}

var _ Authenticator = (*open)(nil)

// NewOpen makes an authenticator that admits all clients.
func NewOpen() Authenticator { return new(open) }

func (*open) Authenticate(context.Context, Credentials) (*Principal, *protocol.Issue) {
	return &Principal{
		Subject:     "anonymous",
		Issuer:      openIssuer,
		KeyClass:    ClassSecret,
		MeteringKey: "dev",
		Scope:       "read write",
		ID:          uuid.NewString(),
		Limits:      NoLimits(),
		Clearance:   access.Token,
	}, nil
}

func (*open) Refresh(context.Context, *Principal, Credentials) (*Principal, *protocol.Issue) {
	return nil, nothingToRefresh()
}

func (*open) QueryNames() []string { return nil }

func nothingToRefresh() *protocol.Issue {
	return protocol.IssueTokenFormat.Withf("This server uses no session tokens, so there is nothing to refresh")
}
