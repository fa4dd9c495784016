package token

import (
	"context"

	"github.com/google/uuid"

	"github.com/millrace/millrace/internal/protocol"
)

// open lets everybody in (live-views 1.3, allow-all).
type open struct{}

var _ Authenticator = open{}

// NewOpen makes an authenticator that lets everybody in.
func NewOpen() Authenticator { return open{} }

func (open) Authenticate(context.Context, Credentials) (*Principal, *protocol.Issue) {
	return &Principal{
		Subject:     "anonymous",
		Issuer:      "allow-all",
		KeyClass:    ClassSecret,
		MeteringKey: "dev",
		Scope:       "read write",
		ID:          uuid.NewString(),
		Limits:      NoLimits(),
	}, nil
}

func (open) Refresh(context.Context, *Principal, Credentials) (*Principal, *protocol.Issue) {
	return nil, nothingToRefresh()
}

func (open) QueryNames() []string { return nil }

func nothingToRefresh() *protocol.Issue {
	return protocol.IssueTokenFormat.Withf("This server uses no session tokens, so there is nothing to refresh")
}
