package httpapi

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/millrace/millrace/internal/jsontext"
	"github.com/millrace/millrace/internal/token"
)

// Revocations is what the API asks of the list of revoked session tokens; see [token.Revocations].
type Revocations interface {
	Revoke(ctx context.Context, app, id string, until time.Time) error
}

var _ Revocations = (*token.Revocations)(nil)

// maxTokenID is the longest jti, in bytes.
const maxTokenID = 256

// revoke is POST /apps/{app_id}/sessions/revoke: the token with this jti counts no more, and
// connections that live on it end.
func (h *handler) revoke(ctx context.Context, c *call, now time.Time) *failure {
	v, f := parseObject(c.bytes())
	if f != nil {
		return f
	}
	var id, until jsontext.Value
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
		return invalid("jti must be the id of a token, a string")
	}
	if given(until) {
		seconds, err := strconv.ParseInt(string(until), 10, 64)
		if end = time.Unix(seconds, 0); err != nil || !end.After(now) {
			return invalid("until must be a time to come, in Unix seconds: the exp of the token")
		}
	}
	err := h.o.Revocations.Revoke(ctx, c.app.ID, jti, end)
	if errors.Is(err, token.ErrRevocationsFull) {
		return fail(codeUnavailable, "Too many revocations are in force; change the signing key instead")
	}
	if err != nil {
		h.o.Log.Error("session not revoked", "app", c.app.ID, "err", err)
		return fail(codeUnavailable, "The revocation cannot be stored right now; try again")
	}
	c.out = append(c.out, `{"ok":true}`...)
	return nil
}
