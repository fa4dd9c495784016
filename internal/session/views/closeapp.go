package views

import "github.com/millrace/millrace/internal/protocol"

// CloseApp ends the live connections of an app that has been removed or turned off, with the
// issue by which new ones are refused.
func (ss *Sessions) CloseApp(appID string) {
	for _, other := range ss.face.All() {
		if s, ok := other.(*Session); ok && s.app.ID == appID {
			s.end(ss.disabled, protocol.IssueAppDisabled.Code)
		}
	}
}

// Readmit ends the live connections that the present authenticators of their apps have not
// admitted, with the close of a server that is going down: clients come back, and are asked again.
func (ss *Sessions) Readmit() {
	for _, other := range ss.face.All() {
		if s, ok := other.(*Session); ok {
			s.checkAuthenticator()
		}
	}
}
