package views

import (
	"context"
	"time"

	"github.com/millrace/millrace/internal/audit"
	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/protocol/views"
	"github.com/millrace/millrace/internal/reader"
	"github.com/millrace/millrace/internal/token"
	"github.com/millrace/millrace/internal/view"
)

func (s *Session) dispatch(cmd *protocol.Command, now time.Time) {
	switch cmd.Kind {
	case protocol.CommandSubscribe:
		s.subscribe(cmd.View, now)
	case protocol.CommandUnsubscribe:
		if s.o.Views.Unsubscribe(&s.views.Connection, cmd.View.View, cmd.View.Key) {
			s.out.unsubscribed(cmd.View.View)
		}
	case protocol.CommandRefreshAuth:
		s.refresh(cmd.Token)
	default: // a ping is never answered, and an unknown message is ignored (views 3)
	}
}

// allowMessage applies the limit on all messages of a connection. It is checked before the message
// is decoded, so that it also bounds the cost of nonsense. A connection that exceeds it is closed.
func (s *Session) allowMessage(now time.Time) bool {
	l := &s.o.Limits
	if !s.budget.Allow(now, s.grant().maxMessages, l.budgetWindow()) {
		s.endOverLimit(l.budgetWindow())
		return false
	}
	if wait, ok := s.messages.Allow(now, l.MessagesPerConnection); !ok {
		s.endOverLimit(wait)
		return false
	}
	return true
}

func (s *Session) endOverLimit(wait time.Duration) {
	i := protocol.IssueRateLimit.Withf("Too many messages on this connection").After(wait)
	s.group.Reported(i.Code)
	s.end(s.disconnect(i, closePolicy, views.CloseReason(i, "too many messages")), i.Code)
}

// subscribe takes the steps of views 3.4.
func (s *Session) subscribe(r *protocol.ViewRequest, now time.Time) {
	g := s.grant()
	if i := s.refusal(g, r, now); i != nil {
		s.issue(i)
		return
	}
	p := g.principal
	if i := s.o.Readers.Refusal(s.app.ID, p, r.View, r.Key); i != nil {
		s.issue(i)
		return
	}
	had := s.out.subscribing(&s.views.Connection, r)
	i := s.o.Views.Subscribe(&s.views.Connection, r, view.Limits{MaxRows: g.maxSnapshotRows, Clearance: reader.Clearance(p, r.View)})
	s.out.subscribed(&s.views.Connection, r, had)
	if view.IsUnknownView(i) {
		i = reader.Unknown(p, r.View, r.Key, i)
	}
	isSilent := view.IsUnknownView(i) && p.IsAnonymous() && !s.o.ReportUnknownViews
	if i != nil && !isSilent {
		s.issue(i.Of(r.View, r.Key))
	}
}

// refusal says why r may not be tried at all; nil if it may. The number of subscriptions
// comes before anything else.
func (s *Session) refusal(g *grant, r *protocol.ViewRequest, now time.Time) *protocol.Issue {
	l, n := &s.o.Limits, s.views.Subscriptions()
	if g.maxSubscriptions > 0 && n >= g.maxSubscriptions || g.maxSubscriptions == limit.None {
		return protocol.IssueSubscriptionLimit.Withf("%d of %d in use", n, max(g.maxSubscriptions, 0)).Of(r.View, r.Key)
	}
	if wait, ok := s.subscribes.Allow(now, l.SubscribesPerConnection); !ok {
		return protocol.IssueRateLimit.Withf("Too many subscribes on this connection").After(wait).Of(r.View, r.Key)
	}
	if r.NoSnapshot {
		return nil
	}
	if g.maxSnapshotRows == limit.None {
		return protocol.IssueSnapshotLimit.Withf("The token allows no snapshots").Of(r.View, r.Key)
	}
	return nil
}

// refresh replaces what the session is allowed by what a new token allows (views 1.9).
// Counters go on, and subscriptions stay even where the new limits are lower, unless the new token
// may not read the view. Only this connection's turn waits for the authenticator.
func (s *Session) refresh(text string) {
	old := s.grant().principal
	ctx, cancel := context.WithTimeout(s.group.Context(), s.o.HandshakeTimeout)
	defer cancel()
	p, issue := s.auth.Refresh(ctx, old, token.Credentials{
		Token: text, HasToken: true, Origin: s.origin, ClientIP: s.clientIP,
	})
	source := audit.Source{ClientIP: s.clientIP, Origin: s.origin}
	auditAttempt(s.o.Audit, identified(source, old), issue)
	if issue != nil {
		s.Reply(&protocol.Message{Kind: protocol.MessageAuthRefreshed, Issue: issue})
		return
	}
	s.out.grant.Store(s.o.Limits.grant(p))
	s.Reply(&protocol.Message{Kind: protocol.MessageAuthRefreshed, Expires: p.Expires.Unix()})
	s.checkRevoked()
	s.endForbidden(p)
	s.setTimer(s.group.Now())
}

// endForbidden ends subscriptions to views that the present token may not read, and says so.
func (s *Session) endForbidden(p *token.Principal) {
	for name, key := range s.views.Subscribed() {
		if s.o.Readers.May(s.app.ID, p, name, s.o.Views.Level(s.app.ID, name)) {
			continue
		}
		if s.o.Views.Unsubscribe(&s.views.Connection, name, key) {
			s.out.unsubscribed(name)
		}
		s.issue(reader.Forbidden(p, name, key))
	}
}
