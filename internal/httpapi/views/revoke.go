package views

import (
	"context"
	"strconv"
	"time"

	"github.com/millrace/millrace/internal/httpapi"
	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/problem"
)

// maxTokenID is the longest jti, in bytes.
const maxTokenID = 256

// revoke is POST /apps/{app_id}/sessions/revoke: the token with this jti counts no more, and
// connections that live on it end.
func (h *handler) revoke(ctx context.Context, r *httpapi.Request) *problem.Problem {
	v, bad := r.Object()
	if bad != nil {
		return bad
	}
	var id, until jsonscan.Value
	for name, v := range v.Members() {
		switch name {
		case "jti":
			id = v
		case "until":
			until = v
		}
	}
	jti, end := id.Text(), time.Time{} // zero: Revocations decides for how long
	if jti == "" || len(jti) > maxTokenID {
		return problem.Invalid("jti must be the id of a token, a string")
	}
	if until.IsGiven() {
		seconds, err := strconv.ParseInt(string(until), 10, 64)
		if end = time.Unix(seconds, 0); err != nil || !end.After(r.Now) {
			return problem.Invalid("until must be a time to come, in Unix seconds: the exp of the token")
		}
	}
	if err := h.o.Revocations.Revoke(ctx, r.App.ID, jti, end); err != nil {
		return h.unrevoked(r, err)
	}
	r.Out = append(r.Out, `{"ok":true}`...)
	return nil
}
