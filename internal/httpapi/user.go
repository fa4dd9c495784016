package httpapi

import (
	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/channel"
)

// Users is what the API asks about signed-in users; see [channel.Engine].
type Users interface {
	Terminate(a *app.App, userID string)
}

var _ Users = (*channel.Engine)(nil)

// terminate is POST /apps/{app_id}/users/{user_id}/terminate_connections (pusher
// 5.8). The answer is the same if the user has no connection.
func (h *handler) terminate(c *call) *failure {
	if h.o.Users != nil {
		h.o.Users.Terminate(c.app, c.target.name)
	}
	c.out = append(c.out, usualAnswer...)
	return nil
}
