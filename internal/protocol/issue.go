package protocol

import (
	"fmt"
	"strings"
	"time"
)

// Issue is an error as clients of views see it: in the answer to a refused handshake, in a
// socket issue, and as the first word of a close reason (views 1.6, 1.7, 1.10). It
// carries no internals. Compare Code, never Message.
type Issue struct {
	Code       string
	Name       string // the member "error" where it says more than Code; may be empty
	Status     int    // of HTTP
	Retryable  bool   // whether trying again, if need be with a fresh token, can succeed
	Message    string
	Action     string        // what to do about it; may be empty
	RetryAfter time.Duration // told to the client in whole seconds; zero: not told

	// Of a refused subscription: which it is. View is empty for other issues.
	View string
	Key  *string
}

func (i *Issue) Error() string { return i.Code + ": " + i.Message }

// Withf is a copy of i with another message.
func (i *Issue) Withf(format string, args ...any) *Issue {
	c := *i
	c.Message = fmt.Sprintf(format, args...)
	return &c
}

// Of is a copy of i that names the subscription which is refused, so that a client that has
// many knows which it is without. The message names it too: clients show little else. An issue
// that names one already is returned as it is.
func (i *Issue) Of(view string, key *string) *Issue {
	if i.View != "" {
		return i
	}
	c := *i
	c.View, c.Key = view, key
	c.Message = fmt.Sprintf("%s: %q", i.Message, shown(view))
	if key != nil {
		c.Message += fmt.Sprintf(", key %q", shown(*key))
	}
	return &c
}

// shown bounds what a message repeats.
func shown(name string) string {
	const longest = 256
	if len(name) > longest {
		return strings.ToValidUTF8(name[:longest], "") + "..."
	}
	return name
}

// After is a copy of i that tells when to try again.
func (i *Issue) After(d time.Duration) *Issue {
	c := *i
	c.RetryAfter = d
	return &c
}

// Every issue that a client of views can be sent (views 1.7).
var (
	IssueTokenMissing      = &Issue{Code: "token-missing", Status: 401, Message: "No token", Action: "Send a token in the Authorization header or in hs_token"}
	IssueTokenExpired      = &Issue{Code: "token-expired", Status: 401, Retryable: true, Message: "The token has expired"}
	IssueTokenSignature    = &Issue{Code: "token-invalid-signature", Status: 401, Retryable: true, Message: "The signature of the token does not match"}
	IssueTokenFormat       = &Issue{Code: "token-invalid-format", Status: 400, Retryable: true, Message: "The token is malformed"}
	IssueTokenIssuer       = &Issue{Code: "token-invalid-issuer", Status: 401, Retryable: true, Message: "The token has another issuer"}
	IssueTokenAudience     = &Issue{Code: "token-invalid-audience", Status: 401, Retryable: true, Message: "The token is for another audience"}
	IssueTokenClaim        = &Issue{Code: "token-missing-claim", Status: 400, Message: "The token lacks a claim that is needed"}
	IssueTokenKey          = &Issue{Code: "token-key-not-found", Status: 401, Retryable: true, Message: "The key of the token is not known"}
	IssueTokenStatic       = &Issue{Code: "invalid-static-token", Status: 401, Message: "The token is not known"}
	IssueOriginMismatch    = &Issue{Code: "origin-mismatch", Status: 403, Message: "The token is bound to another origin or address"}
	IssueOriginRequired    = &Issue{Code: "origin-required", Status: 403, Message: "The token is bound to an origin and the request has none"}
	IssueRateLimit         = &Issue{Code: "rate-limit-exceeded", Status: 429, Retryable: true, Message: "Too many requests", Action: "Wait, then try again"}
	IssueConnectionLimit   = &Issue{Code: "connection-limit-exceeded", Status: 429, Retryable: true, Message: "Too many connections", Action: "Close connections that are not needed"}
	IssueSubscriptionLimit = &Issue{Code: "subscription-limit-exceeded", Status: 429, Retryable: true, Message: "Too many subscriptions", Action: "Unsubscribe from something first"}
	IssueSnapshotLimit     = &Issue{Code: "snapshot-limit-exceeded", Status: 429, Retryable: true, Message: "The snapshot has too many rows", Action: "Subscribe with a key, a cursor or a snapshotLimit"}
	IssueEgressLimit       = &Issue{Code: "egress-limit-exceeded", Status: 429, Retryable: true, Message: "Too many bytes sent in this minute", Action: "Subscribe to less, or try again later"}
	IssueInternal          = &Issue{Code: "internal-error", Status: 500, Retryable: true, Message: "Internal error"}
)

// Refusals of a handshake that the original has no case for, in codes that clients know.
var (
	IssueAppUnknown       = &Issue{Code: "invalid-api-key", Status: 404, Message: "No app with this key; connect to /views/{key}"}
	IssueAppDisabled      = &Issue{Code: "deployment-access-denied", Status: 403, Message: "This app is disabled"}
	IssueOriginNotAllowed = &Issue{Code: "origin-not-allowed", Status: 403, Message: "Connections from this origin are not allowed"}
	IssueNodeFull         = &Issue{Code: "connection-limit-exceeded", Status: 503, Retryable: true, Message: "The server is at its connection limit", Action: "Wait, then try again", RetryAfter: time.Second}
	IssueDraining         = &Issue{Code: "internal-error", Status: 503, Retryable: true, Message: "The server is shutting down", RetryAfter: time.Second}
)

// Refusals of one view, in codes that clients know. They are worth another try, with another token,
// and must say so: one client does not come back after an issue that is not (views 1.10).
var (
	IssueViewDenied = &Issue{
		Code: "deployment-access-denied", Name: "view-access-denied", Status: 403, Retryable: true, Message: "The token may not read this view",
		Action: "Use a token whose claim views names it, and give the view access: in its definition, a base view in [[apps.views.access]]",
	}
	IssueViewNeedsToken = &Issue{Code: "token-missing", Name: "view-access-denied", Status: 401, Retryable: true, Message: "This view is not public; connect with a token", Action: "Connect with a session token"}
)

// What the endpoint that mints session tokens answers besides IssueRateLimit,
// IssueOriginNotAllowed and IssueInternal (views 1.12).
var (
	IssueMintNoKey      = &Issue{Code: "missing-authorization-header", Status: 401, Message: "No API key", Action: "Send it as Authorization: Bearer <key>"}
	IssueMintKey        = &Issue{Code: "invalid-api-key", Status: 401, Message: "The API key is not known"}
	IssueMintDeployment = &Issue{Code: "deployment-access-denied", Status: 403, Message: "The API key is for another deployment"}
	IssueMintRequest    = &Issue{Code: "invalid-request", Status: 400, Message: "The request is malformed"}
)
