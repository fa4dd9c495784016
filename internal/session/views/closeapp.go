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
