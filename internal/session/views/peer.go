package views

import (
	"context"
	"errors"
	"net/netip"
	"slices"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/protocol/views"
	"github.com/millrace/millrace/internal/session"
)

var _ session.Peer = (*Session)(nil)

// Protocol is session.ProtocolViews.
func (s *Session) Protocol() session.Protocol { return session.ProtocolViews }

// AppID is the app of s.
func (s *Session) AppID() string { return s.app.ID }

// SocketID is the id of s.
func (s *Session) SocketID() protocol.SocketID { return s.subscriber.ID() }

// Key is empty: tokens say who connects, a key only which app is meant.
func (s *Session) Key() string { return "" }

// IP is where the client is, after trusted proxies.
func (s *Session) IP() netip.Addr {
	a, _ := netip.ParseAddr(s.clientIP) // not valid for a unix socket
	return a.Unmap().WithZone("")
}

// Joined tells the subject of the present token, and the views.
func (s *Session) Joined() (userID string, ids []string) {
	for _, t := range s.subscriber.Topics() {
		if id, ok := protocol.ViewOfTopic(t); ok {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	if p := s.grant().principal; !p.IsAnonymous() {
		userID = p.Subject
	}
	return userID, slices.Compact(ids)
}

// End closes the connection because an operator wants it gone.
func (s *Session) End() { s.end(s.ended, views.CodeOf(closeTerminated)) }

// List returns connections of an app that q selects, by socket id. A view has many topics and
// subjects have none, so all connections are looked at, some at a time.
func (ss *Sessions) List(ctx context.Context, appID string, q *session.Query) ([]session.Info, error) {
	return ss.group.List(ctx, appID, q, ss.group.Walk())
}

// Group answers for single connections.
func (ss *Sessions) Group() *session.Group { return ss.group }

// checkAdmission ends a session whose app was removed, turned off or given another
// authenticator while it was being admitted, before CloseApp or Readmit could find it.
func (s *Session) checkAdmission() {
	a, err := s.o.Apps.ByID(s.group.Context(), s.app.ID)
	if errors.Is(err, app.ErrNotFound) || err == nil && !a.Enabled {
		s.end(s.disabled, protocol.IssueAppDisabled.Code)
		return
	}
	s.checkAuthenticator()
}

// checkAuthenticator ends a session that was admitted by rules that are no more.
func (s *Session) checkAuthenticator() {
	if !s.isAdmitted() {
		s.end(s.restart, views.CodeOf(views.CloseShutdown))
	}
}

// isAdmitted reports whether the rules by which s was admitted are the present ones.
func (s *Session) isAdmitted() bool { return s.o.Readers.Authenticator(s.app.ID) == s.auth }
