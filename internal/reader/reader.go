// Package reader decides who may read live views, and which: the same people and the same views
// at every door without the app's signature, which are WebSocket connections and plain HTTP.
//
// It must never know rows, connections or how an answer travels. A refusal tells nothing about
// which views there are: one that a reader may not read and one that does not exist are refused
// alike.
//
// It starts no goroutine. What decides is asked each time, so a change of an app's rules
// holds from the next question on; ending what was admitted before is for the caller.
package reader

import (
	"context"

	"github.com/millrace/millrace/internal/access"
	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/token"
)

// Rules are what decides about an app. Both functions are required.
type Rules struct {
	// Authenticator is the present one of an app; nil: it admits no reader.
	Authenticator func(appID string) token.Authenticator
	// Base are the levels of an app's base views; nil: all are the server's.
	Base func(appID string) *access.Rules
	// HasPublic reports whether an app has a derived view for all clients; may be nil: none.
	HasPublic func(appID string) bool
}

// Request is what a reader brings.
type Request struct {
	Authorization, RawQuery string // where the token may be
	Origin                  string // of the page; empty: none
	ClientIP                string // after trusted proxies
	IsSecure                bool   // over TLS, to this server or a trusted proxy
}

// Admission is who was admitted, and by what.
type Admission struct {
	Principal     *token.Principal
	Authenticator token.Authenticator
}

// Admit finds out who a reader is, or refuses. It may wait for a key set, until ctx ends.
func (r *Rules) Admit(ctx context.Context, a *app.App, q Request) (Admission, *protocol.Issue) {
	if !a.AllowedOrigins.Allows(q.Origin) {
		return Admission{}, protocol.IssueOriginNotAllowed
	}
	if a.Features.RequireTLS && !q.IsSecure {
		return Admission{}, protocol.IssueAppDisabled.Withf("This app admits encrypted connections only; use wss or https")
	}
	auth := r.Authenticator(a.ID)
	if auth == nil {
		return Admission{}, protocol.IssueAppDisabled.Withf("The views of this app can be read with its signature only")
	}
	c := token.Credentials{Origin: q.Origin, ClientIP: q.ClientIP}
	c.Token, c.HasToken = token.FromRequest(q.Authorization, q.RawQuery, auth.QueryNames())
	p, issue := auth.Authenticate(ctx, c)
	if issue == protocol.IssueTokenMissing && r.hasPublic(a.ID) {
		p, issue = token.Visitor(), nil
	}
	return Admission{p, auth}, issue
}

func (r *Rules) hasPublic(appID string) bool {
	if base := r.base(appID); base.HasPublic() {
		return true
	}
	return r.HasPublic != nil && r.HasPublic(appID)
}

func (r *Rules) base(appID string) *access.Rules {
	if r.Base != nil {
		if base := r.Base(appID); base != nil {
			return base
		}
	}
	return new(access.Rules)
}

// Clearance is the level up to which a principal may read a view: the level that it was admitted for,
// or public if its token names other views only.
func Clearance(p *token.Principal, view string) access.Level {
	if p.Views != nil && !p.Views.Has(view) {
		return min(p.Clearance, access.Public)
	}
	return p.Clearance
}

// Refusal says why a principal may not read a view, as far as the id alone tells: nil for every
// view that is no base view. The view engine, which is given the clearance, knows the others; see
// [Unknown].
func (r *Rules) Refusal(appID string, p *token.Principal, view string, key *string) *protocol.Issue {
	if !access.IsBase(view) || r.May(appID, p, view, 0) {
		return nil
	}
	return Forbidden(p, view, key)
}

// May reports whether a principal may read a view of a level. Of a base view the rules say the
// level.
func (r *Rules) May(appID string, p *token.Principal, view string, level access.Level) bool {
	return Clearance(p, view).May(r.Level(appID, view, level))
}

// Level is the level of a view: of a base view the one that the rules say, else level.
func (r *Rules) Level(appID, view string, level access.Level) access.Level {
	if access.IsBase(view) {
		return r.base(appID).Of(view)
	}
	return level
}

// Unknown is what to say of a view that the engine does not know for this principal: known, that
// there is none, or that it may read no such view, if there is one.
func Unknown(p *token.Principal, view string, key *string, known *protocol.Issue) *protocol.Issue {
	if Clearance(p, view) >= access.Token {
		return known.Of(view, key)
	}
	return Forbidden(p, view, key)
}

// Forbidden is the same for every view, whatever there is and whatever the rules say of it.
func Forbidden(p *token.Principal, view string, key *string) *protocol.Issue {
	if p.IsVisitor() {
		return protocol.IssueViewNeedsToken.Of(view, key)
	}
	return protocol.IssueViewDenied.Of(view, key)
}
