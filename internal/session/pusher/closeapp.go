package pusher

import (
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/session"
)

// CloseApp ends the live connections of an app that has been removed or turned off, as new
// ones are refused: with 4003.
func (ss *Sessions) CloseApp(appID string) {
	ss.forgetScopes(func(s *scope) bool { return s.app.ID == appID })
	all := session.Select(ss.group.Table, func(s *Session) bool { return s.app.ID == appID })
	session.CloseAll(ss.group.Table, all, func(s *Session) { s.close(protocol.ErrAppDisabled) })
}
