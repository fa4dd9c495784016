package views

import (
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/session"
)

// CloseApp ends the live connections of an app that has been removed or turned off, with the
// issue by which new ones are refused.
func (ss *Sessions) CloseApp(appID string) {
	all := session.Select(ss.face.Registry, func(s *Session) bool { return s.app.ID == appID })
	session.CloseAll(ss.face.Registry, all, func(s *Session) { s.end(ss.disabled, protocol.IssueAppDisabled.Code) })
}

// Readmit ends the live connections that the present authenticators of their apps have not
// admitted, with the close of a server that is going down. It does not wait for that: clients come
// back, one after the other, and are asked again.
func (ss *Sessions) Readmit() {
	all := session.Select(ss.face.Registry, func(s *Session) bool { return !s.isAdmitted() })
	session.RestartAll(ss.face.Registry, all, (*Session).checkAuthenticator)
}
