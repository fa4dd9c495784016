// Package views has the sessions of live views: it makes WebSocket connections to /views
// sessions of the protocol of live views (views 1 to 4.7). It admits or refuses them,
// knows who they act for and for how long, applies every limit of views 2, turns
// messages into calls of the view engine and accounts for what was sent.
//
// It must never know how frames are written (socket), what a view holds (view), how a token
// is verified (token) or the HTTP API. It starts no goroutine: package socket calls a
// session's handler methods one at a time. At the same time the view engine and the fan-out may
// answer on other goroutines; they touch only the outlet of a session, which has a lock of its own.
//
// Data goes out as binary messages, control as text, all through the connection's one
// ordered queue. A frame that the egress budget does not allow is not sent, and then the
// connection ends; nothing else is ever left out.
package views

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/audit"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/meter"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/protocol/views"
	"github.com/millrace/millrace/internal/reader"
	"github.com/millrace/millrace/internal/session"
	"github.com/millrace/millrace/internal/socket"
	"github.com/millrace/millrace/internal/view"
)

// Options of New. A field is required unless its comment names a default.
type Options struct {
	Table   *session.Table
	Apps    app.Registry
	Views   *view.Engine
	Hub     *hub.Hub
	Sockets *socket.Engine
	Codec   protocol.Codec

	// Readers decides who connections of an app are and what they may watch, at the moment. Its
	// authenticators can be compared. A caller that replaces one by another, which a change of the
	// rules for base views also takes, calls Sessions.Readmit.
	Readers *reader.Rules
	// IsRevoked reports whether a token was revoked; default never. The caller that revokes a token
	// also calls Sessions.Revoked.
	IsRevoked func(appID, tokenID string) bool
	// ClientIP is where a request comes from, after trusted proxies; default its peer.
	ClientIP func(*http.Request) string
	// IsSecure reports whether a request came over TLS, to this server or a trusted proxy; default to
	// this server.
	IsSecure func(*http.Request) bool

	// Endpoint bounds messages and queues; New fills in how slow consumers are disconnected.
	Endpoint socket.Endpoint

	DefaultApp         string        // id of the app that other paths than /views lead to; default none
	Limits             Limits        // default none
	IdleTimeout        time.Duration // of a client that sends nothing at all
	HandshakeTimeout   time.Duration // for the authenticator, also of a refresh
	ReportUnknownViews bool          // views 3.7, also to clients that have no token and need none

	Draining func() bool  // whether shutdown has begun
	Log      *slog.Logger // default none
	Meter    *meter.Meter // default none
	Audit    *audit.Log   // default none
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.ClientIP == nil {
		o.ClientIP = peerIP
	}
	if o.IsSecure == nil {
		o.IsSecure = func(r *http.Request) bool { return r.TLS != nil }
	}
	if o.IsRevoked == nil {
		o.IsRevoked = func(string, string) bool { return false }
	}
	return o
}

// Sessions accepts connections. Safe for concurrent use.
//
// Invariant: a connection counts against every limit of its handshake from before the
// upgrade until its socket is dead; a refused one counts in rate windows only.
type Sessions struct {
	o        Options
	group    *session.Group
	endpoint socket.Endpoint
	counters counters

	expired, revoked, idle, spent, restart, ended, disabled socket.Disconnect
}

// counters are what handshakes are limited by.
type counters struct {
	ips, subjects, meteringKeys, origins           limit.Keyed[string]
	handshakes, subjectConnects, meteringKeyCounts *limit.Slidings[string]
}

// New makes the sessions of one node.
func New(o Options) *Sessions {
	o = o.withDefaults()
	ss := &Sessions{
		o:        o,
		group:    o.Table.Group(session.ProtocolViews),
		endpoint: o.Endpoint,
		counters: counters{
			handshakes:        limit.NewSlidings[string](0),
			subjectConnects:   limit.NewSlidings[string](0),
			meteringKeyCounts: limit.NewSlidings[string](0),
		},
		revoked: socket.Disconnect{Code: closePolicy, Reason: views.CloseReason(protocol.IssueTokenExpired, "revoked")},
		idle:    socket.Disconnect{Code: closeGoingAway, Reason: views.CloseIdle},
		restart: socket.Disconnect{Code: closeGoingAway, Reason: views.CloseShutdown},
	}
	ss.endpoint.SlowConsumer = socket.Disconnect{Code: closeTryAgain, Reason: views.CloseSlowConsumer}
	ss.expired = ss.disconnect(protocol.IssueTokenExpired, closePolicy, views.CloseReason(protocol.IssueTokenExpired, "session expired"))
	ss.spent = ss.disconnect(protocol.IssueEgressLimit, closeTryAgain, views.CloseThrottled)
	ss.ended = socket.Disconnect{Code: closePolicy, Reason: closeTerminated}
	disabled := protocol.IssueAppDisabled
	ss.disabled = ss.disconnect(disabled, closePolicy, views.CloseReason(disabled, disabled.Message))
	return ss
}

// closeTerminated is the reason of a close after which clients are to stay away: it is the
// word quota, behind a code, that keeps them from coming back (views 1.8).
const closeTerminated = "terminated: the connection has no quota any more"

// Codes of the closes of views 1.8. The words of their reasons are chosen with care:
// clients decide by them whether they come back.
const (
	closeGoingAway = 1001
	closePolicy    = 1008
	closeTryAgain  = 1013
)

// disconnect is how a connection is closed for i: the issue, then the close.
func (ss *Sessions) disconnect(i *protocol.Issue, code int, reason string) socket.Disconnect {
	return socket.Disconnect{
		Message: ss.o.Codec.AppendMessage(nil, &protocol.Message{Kind: protocol.MessageIssue, Issue: i, IsFatal: true}),
		Code:    code,
		Reason:  reason,
	}
}

// Revoked ends the live connections of a token that counts no more (views 1.11).
func (ss *Sessions) Revoked(appID, tokenID string) {
	all := session.Select(ss.group.Table, func(s *Session) bool {
		return s.app.ID == appID && s.grant().principal.ID == tokenID
	})
	session.CloseAll(ss.group.Table, all, func(s *Session) { s.end(ss.revoked, protocol.IssueTokenExpired.Code) })
}
