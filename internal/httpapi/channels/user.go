package channels

import (
	"context"

	"github.com/millrace/millrace/internal/httpapi"
	"github.com/millrace/millrace/internal/problem"
)

// terminate is POST /apps/{app_id}/users/{user_id}/terminate_connections (pusher
// 5.8). The answer is the same if the user has no connection.
func (h *handler) terminate(ctx context.Context, r *httpapi.Request) *problem.Problem {
	if h.o.Users != nil {
		if err := h.o.Users.Terminate(ctx, r.App, r.Name); err != nil {
			return h.unterminated(r.App, err)
		}
	}
	r.Out = append(r.Out, UsualAnswer...)
	return nil
}
