package pusher

import "github.com/millrace/millrace/internal/protocol"

// CloseApp ends the live connections of an app that has been removed or turned off, as new
// ones are refused: with 4003.
func (ss *Sessions) CloseApp(appID string) {
	ss.forgetScopes(func(s *scope) bool { return s.app.ID == appID })
	for _, other := range ss.face.All() {
		if s, ok := other.(*Session); ok && s.app.ID == appID {
			s.close(protocol.ErrAppDisabled)
		}
	}
}
