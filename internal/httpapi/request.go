package httpapi

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/auth"
	"github.com/millrace/millrace/internal/bufpool"
)

// params are the decoded parameters of a request.
type params = auth.Params

// The buffer lent for a body before any of it has come.
const (
	smallRead = 4 << 10  // for a body of unknown length
	firstRead = 64 << 10 // at most: announcing a length costs the sender nothing
)

// readBody reads the whole body, or fails as soon as it is too large.
func (h *handler) readBody(c *call, r *http.Request) *failure {
	if r.ContentLength > h.o.MaxBody {
		return h.tooLarge(r)
	}
	if r.ContentLength == 0 || r.Body == nil {
		return nil
	}
	size := int64(smallRead)
	if r.ContentLength > 0 {
		size = min(r.ContentLength+1, firstRead) // one more, to read the end without growing
	}
	c.body = bufpool.Get(int(size))
	for {
		if len(c.body.B) == cap(c.body.B) {
			c.grow()
		}
		n, err := r.Body.Read(c.body.B[len(c.body.B):cap(c.body.B)])
		c.body.B = c.body.B[:len(c.body.B)+n]
		if int64(len(c.body.B)) > h.o.MaxBody {
			return h.tooLarge(r)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return invalid("The body could not be read")
		}
	}
}

// grow moves the body to a buffer of twice the size.
func (c *call) grow() {
	larger := bufpool.Get(2 * cap(c.body.B))
	larger.B = append(larger.B, c.body.B...)
	c.body.Release()
	c.body = larger
}

// tooLarge lets the sender finish, within reason, because one that is still writing when
// its connection is closed never sees the answer.
func (h *handler) tooLarge(r *http.Request) *failure {
	if r.Header.Get("Expect") == "" {
		_, _ = io.CopyN(io.Discard, r.Body, h.o.MaxBody)
	}
	return fail(codeTooLarge, fmt.Sprintf("The body is larger than %d bytes", h.o.MaxBody))
}

// bytes is the body, empty without one.
func (c *call) bytes() []byte {
	if c.body == nil {
		return nil
	}
	return c.body.B
}

// authenticate finds the app and checks the signature (pusher-protocol 5.2), or the token
// of whoever reads a view without one.
func (h *handler) authenticate(c *call, r *http.Request, now time.Time) *failure {
	if err := auth.ParseQuery(&c.query, r.URL.RawQuery); err != nil {
		return unauthorized(err)
	}
	key := c.query.Key()
	switch {
	case key == "" && c.target.route.readsViews() && h.o.Readers != nil:
		return h.authenticateReader(c, r)
	case key == h.o.Admin.Key && key != "":
		return h.authenticateAdmin(c, r, now)
	}
	a, err := h.o.Apps.ByKey(r.Context(), key)
	switch {
	case errors.Is(err, app.ErrNotFound):
		return unauthorized(&auth.Error{Reason: auth.ReasonKey, Message: "auth_key is missing or no app has it"})
	case err != nil:
		return h.failLookup(err)
	case a.ID != c.target.appID:
		return unauthorized(&auth.Error{Reason: auth.ReasonKey, Message: "auth_key belongs to another app than the path"})
	}
	credential, ok := a.Credential(key)
	if !ok {
		return unauthorized(&auth.Error{Reason: auth.ReasonKey, Message: "auth_key is missing or no app has it"})
	}
	signed := auth.Request{Method: r.Method, Path: c.path, Body: c.bytes(), Prefix: h.o.PathPrefix}
	if err := auth.VerifyRequest(signed, &c.query, credential.Secret, now); err != nil {
		return unauthorized(err)
	}
	return c.enter(a, credential.Rights)
}

// authenticateAdmin lets in whoever signs with the admin key, to any app.
func (h *handler) authenticateAdmin(c *call, r *http.Request, now time.Time) *failure {
	signed := auth.Request{Method: r.Method, Path: c.path, Body: c.bytes(), Prefix: h.o.PathPrefix}
	if err := auth.VerifyRequest(signed, &c.query, h.o.Admin.Secret, now); err != nil {
		return unauthorized(err)
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
