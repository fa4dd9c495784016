package token

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"

	"github.com/google/uuid"

	"github.com/millrace/millrace/internal/access"
	"github.com/millrace/millrace/internal/protocol"
)

// StaticToken is a token that is good for as long as it is configured.
type StaticToken struct {
	Token string // empty: matches nothing
	Label string // the metering key; empty: a hash of the token
}

// static knows a set of tokens by their hashes.
type static struct {
	tokens []staticToken
	names  []string
}

type staticToken struct {
	hash          [sha256.Size]byte
	subject, name string
}

var _ Authenticator = (*static)(nil)

// NewStatic makes an authenticator for holders of one of these tokens. The token may be in
// the query parameter queryName, "token" if empty, or in hs_token.
func NewStatic(tokens []StaticToken, queryName string) Authenticator {
	if queryName == "" {
		queryName = "token"
	}
	s := &static{names: []string{queryName}}
	if queryName != QueryName {
		s.names = append(s.names, QueryName)
	}
	for _, t := range tokens {
		if t.Token == "" {
			continue
		}
		hash := sha256.Sum256([]byte(t.Token))
		subject := "static:" + hex.EncodeToString(hash[:8])
		name := t.Label
		if name == "" {
			name = subject
		}
		s.tokens = append(s.tokens, staticToken{hash: hash, subject: subject, name: name})
	}
	return s
}

// Authenticate compares with every token, in constant time for each, so that its duration
// tells nothing about any of them.
func (s *static) Authenticate(_ context.Context, c Credentials) (*Principal, *protocol.Issue) {
	if !c.HasToken {
		return nil, protocol.IssueTokenMissing
	}
	hash := sha256.Sum256([]byte(c.Token))
	var found *staticToken
	for i := range s.tokens {
		if subtle.ConstantTimeCompare(hash[:], s.tokens[i].hash[:]) == 1 {
			found = &s.tokens[i]
		}
	}
	if found == nil {
		return nil, protocol.IssueTokenStatic
	}
	return &Principal{
		Subject:     found.subject,
		Issuer:      "static-token",
		KeyClass:    ClassSecret,
		MeteringKey: found.name,
		Scope:       "read",
		Origin:      c.Origin,
		ID:          uuid.NewString(),
		Limits:      NoLimits(),
		Clearance:   access.Token,
	}, nil
}

func (*static) Refresh(context.Context, *Principal, Credentials) (*Principal, *protocol.Issue) {
	return nil, nothingToRefresh()
}

func (s *static) QueryNames() []string { return s.names }
