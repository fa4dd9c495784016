package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/auth"
)

// params are the decoded parameters of a request.
type params = auth.Params

// authenticate finds the app and checks the signature (pusher 5.2), or the token
// of a reader of a view who has none. It comes before the body is read, of which the MD5 is signed.
func (h *handler) authenticate(c *call, r *http.Request, now time.Time) *failure {
	if c.unreadable != nil {
		return unauthorized(c.unreadable)
	}
	key := c.query.Key()
	switch {
	case c.isForReader() && h.o.Readers != nil:
		return h.authenticateReader(c, r, now)
	case key == h.o.Admin.Key && key != "":
		return h.authenticateAdmin(c, r, now)
	}
	a, err := h.o.Apps.ByKey(r.Context(), key)
	switch {
	case errors.Is(err, app.ErrNotFound):
		return unauthorized(&auth.Error{Reason: auth.ReasonKey, Message: "auth_key is missing or no app has it"})
	case err != nil:
		return h.failLookup(err)
	case c.target.appID == "":
		c.target.appID = a.ID
	case !a.HasID(c.target.appID):
		return unauthorized(&auth.Error{Reason: auth.ReasonKey, Message: "auth_key belongs to another app than the path"})
	}
	credential, ok := a.Credential(key)
	if !ok {
		return unauthorized(&auth.Error{Reason: auth.ReasonKey, Message: "auth_key is missing or no app has it"})
	}
	signed := auth.Request{Method: r.Method, Path: c.path, Prefix: h.o.PathPrefix}
	if err := c.verifier.VerifyHead(signed, &c.query, credential.Secret, now); err != nil {
		return unauthorized(err)
	}
	return c.enter(a, credential.Rights)
}

// authenticateAdmin admits an operator, who signs with the admin key, to any app.
func (h *handler) authenticateAdmin(c *call, r *http.Request, now time.Time) *failure {
	signed := auth.Request{Method: r.Method, Path: c.path, Prefix: h.o.PathPrefix}
	if err := c.verifier.VerifyHead(signed, &c.query, h.o.Admin.Secret, now); err != nil {
		return unauthorized(err)
	}
	if c.target.appID == "" {
		return unauthorized(&auth.Error{Reason: auth.ReasonKey, Message: "The admin key belongs to no app; put /apps/{app_id} before the path"})
	}
	a, err := h.o.Apps.ByID(r.Context(), c.target.appID)
	switch {
	case errors.Is(err, app.ErrNotFound):
		return fail(codeNotFound, "No app has this id")
	case err != nil:
		return h.failLookup(err)
	}
	return c.enter(a, app.RightsAll)
}

// enter makes c a request to a, by a key with these rights.
func (c *call) enter(a *app.App, has app.Rights) *failure {
	if !a.Enabled {
		return fail(codeForbidden, "This app is disabled").because(causeDisabled)
	}
	if needs := c.target.route.needs(); has != app.RightsAll && has != needs {
		return fail(codeForbidden, fmt.Sprintf("This key may not do that: it lacks the right %q and has only %q", needs, has)).because(causeRights)
	}
	c.app = a
	return nil
}

func (h *handler) failLookup(err error) *failure {
	h.o.Log.Error("app lookup failed", "err", err)
	return fail(codeUnavailable, "The app cannot be looked up right now; try again").because(causeRegistry)
}

func unauthorized(err error) *failure {
	f := fail(codeAuth, err.Error())
	if refused, ok := errors.AsType[*auth.Error](err); ok {
		f.cause = cause(refused.Reason)
	}
	return f
}
