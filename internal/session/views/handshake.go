package views

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/audit"
	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/reader"
	"github.com/millrace/millrace/internal/session"
	"github.com/millrace/millrace/internal/socket"
	"github.com/millrace/millrace/internal/token"
)

// handshake is one upgrade request on its way to become a session.
type handshake struct {
	*Sessions
	r       *http.Request
	app     *app.App
	auth    token.Authenticator
	request reader.Request
	source  audit.Source
	grant   *grant
	places  limit.Reservation[string]
}

func (ss *Sessions) newHandshake(r *http.Request, a *app.App) *handshake {
	h := &handshake{Sessions: ss, r: r, app: a}
	origin := strings.Clone(r.Header.Get("Origin")) // kept as long as the session; the rest of the request is not
	h.request = reader.Request{
		Authorization: r.Header.Get("Authorization"), RawQuery: r.URL.RawQuery, Origin: origin, ClientIP: ss.o.ClientIP(r),
		IsSecure: ss.o.IsSecure(r),
	}
	h.source = audit.Source{
		ClientIP: h.request.ClientIP, Origin: h.request.Origin,
		UserAgent: r.UserAgent(), Path: r.URL.Path,
	}
	return h
}

// admit decides in the order of views 2; the first failure wins. Without an issue the
// connection counts everywhere until dismiss.
func (h *handshake) admit(ctx context.Context) *protocol.Issue {
	if issue := h.authenticate(ctx); issue != nil {
		return issue
	}
	switch err := h.group.Acquire(h.app); {
	case errors.Is(err, session.ErrNodeFull):
		return protocol.IssueNodeFull
	case err != nil:
		return protocol.IssueConnectionLimit.Withf("The app has too many connections")
	}
	if refusal := h.reserve(); refusal != nil {
		h.group.Release(h.app)
		h.o.Audit.RateLimitExceeded(h.source, refusal.Name, refusal.Used, refusal.Max)
		return issueOf(refusal)
	}
	return nil
}

func issueOf(r *limit.Refusal) *protocol.Issue {
	what := strings.ReplaceAll(r.Name, "_", " ")
	if r.Wait > 0 {
		return protocol.IssueRateLimit.Withf("Too many %s", what).After(r.Wait)
	}
	return protocol.IssueConnectionLimit.Withf("Too many %s: %d of %d in use", what, r.Used, r.Max)
}

// authenticate finds out who is asking.
func (h *handshake) authenticate(ctx context.Context) *protocol.Issue {
	ctx, cancel := context.WithTimeout(ctx, h.o.HandshakeTimeout)
	defer cancel()
	admitted, issue := h.o.Readers.Admit(ctx, h.app, h.request)
	if issue == protocol.IssueOriginNotAllowed {
		h.o.Audit.OriginValidationFailed(h.source, "", h.request.Origin)
		return issue
	}
	if issue == nil {
		h.source = identified(h.source, admitted.Principal)
	}
	auditAttempt(h.o.Audit, h.source, issue)
	if issue != nil {
		return issue
	}
	h.auth, h.grant = admitted.Authenticator, h.o.Limits.grant(admitted.Principal)
	return nil
}

// identified is s with who it turned out to be.
func identified(s audit.Source, p *token.Principal) audit.Source {
	s.DeploymentID, s.Subject, s.MeteringKey = p.DeploymentID, p.Subject, p.MeteringKey
	return s
}

// auditAttempt writes what came of an attempt to authenticate.
func auditAttempt(l *audit.Log, s audit.Source, issue *protocol.Issue) {
	if issue == nil {
		l.AuthAttempt(s, true, "", "")
		return
	}
	l.AuthAttempt(s, false, issue.Code, issue.Message)
	if issue.Code == protocol.IssueOriginMismatch.Code || issue.Code == protocol.IssueOriginRequired.Code {
		l.OriginValidationFailed(s, "", s.Origin)
	}
}

// reserve takes a place under every limit on handshakes, or none. Subjects, metering keys
// and origins belong to an app; an address counts over all apps. Clients that the open authenticator
// admits have no identity that could be limited: only their addresses count. The addresses of one
// IPv6 site count as one (pusher 7.3).
func (h *handshake) reserve() *limit.Refusal {
	l, c, p, now := &h.o.Limits, &h.counters, h.grant.principal, h.group.Now()
	ip := limit.Address(h.request.ClientIP).String()
	of := func(name string) string { return h.app.ID + "\x00" + name }
	hasIdentity := !p.IsAnonymous()
	r := &h.places
	r.Pass("handshakes_per_ip", c.handshakes, ip, now, l.HandshakesPerIP)
	if hasIdentity {
		r.Pass("connects_per_subject", c.subjectConnects, of(p.Subject), now, l.ConnectsPerSubject)
		r.Pass("connects_per_metering_key", c.meteringKeyCounts, of(p.MeteringKey), now, l.ConnectsPerMeteringKey)
	}
	r.Hold("connections_per_ip", &c.ips, ip, l.MaxConnectionsPerIP)
	if hasIdentity {
		r.Hold("connections_per_subject", &c.subjects, of(p.Subject), h.grant.maxConnections)
		r.Hold("connections_per_metering_key", &c.meteringKeys, of(p.MeteringKey), l.MaxConnectionsPerMeteringKey)
	}
	if p.Origin != "" {
		r.Hold("connections_per_origin", &c.origins, of(p.Origin), l.MaxConnectionsPerOrigin)
	}
	return r.Refusal()
}

// dismiss gives back what admit took.
func (h *handshake) dismiss() {
	h.places.Release()
	h.group.Release(h.app)
}

// welcome makes conn a session.
func (h *handshake) welcome(conn *socket.Conn) {
	s := &Session{Sessions: h.Sessions, app: h.app, auth: h.auth, Place: session.Place{Conn: conn}, places: h.places}
	s.origin, s.clientIP = h.request.Origin, h.request.ClientIP
	s.out.init(h.Sessions, conn, h.grant)
	h.group.Begin(h.o.Hub, &s.subscriber, &s.out, protocol.VariantViews)
	s.views.Init(h.app.ID, &s.subscriber, s)
	h.group.Add(&s.Link, s)
	s.out.established(&s.views.Connection, h.r.RemoteAddr)
	s.checkAdmission()
	s.checkRevoked() // now that Revoked would find it
	s.setTimer(h.group.Now())
	conn.Start(s)
}
