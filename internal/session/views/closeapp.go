package views

import (
	"github.com/millrace/millrace/internal/access"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/protocol/views"
	"github.com/millrace/millrace/internal/reader"
	"github.com/millrace/millrace/internal/session"
)

// CloseApp ends the live connections of an app that has been removed or turned off, with the
// issue by which new ones are refused.
func (ss *Sessions) CloseApp(appID string) {
	all := session.Select(ss.group.Table, func(s *Session) bool { return s.app.ID == appID })
	session.CloseAll(ss.group.Table, all, func(s *Session) { s.end(ss.disabled, protocol.IssueAppDisabled.Code) })
}

// Restrict ends the live connections of an app that may not read a view once it has a level, with the
// close of a server that is going down, and returns when the last one is closed: they may be watching
// it, and nothing of what it is to be may reach them.
func (ss *Sessions) Restrict(appID, name string, level access.Level) {
	all := session.Select(ss.group.Table, func(s *Session) bool {
		return s.app.ID == appID && !reader.Clearance(s.grant().principal, name).May(level)
	})
	session.CloseAll(ss.group.Table, all, func(s *Session) { s.end(s.restart, views.CodeOf(views.CloseShutdown)) })
}

// Readmit ends the live connections that the present authenticators of their apps have not
// admitted, with the close of a server that is going down. It does not wait for that: clients come
// back, one after the other, and are asked again.
func (ss *Sessions) Readmit() {
	all := session.Select(ss.group.Table, func(s *Session) bool { return !s.isAdmitted() })
	session.RestartAll(ss.group.Table, all, (*Session).checkAuthenticator)
}
