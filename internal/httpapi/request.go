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
		return h.unauthorized(err)
	}
	if c.query.Key() == "" && c.target.route.readsViews() && h.o.Readers != nil {
		return h.authenticateReader(c, r)
	}
	a, err := h.o.Apps.ByKey(r.Context(), c.query.Key())
	switch {
	case errors.Is(err, app.ErrNotFound):
		h.o.Metrics.unauthorized(auth.ReasonKey)
		return fail(codeAuth, "auth_key is missing or no app has it")
	case err != nil:
		h.o.Log.Error("app lookup failed", "err", err)
		return fail(codeUnavailable, "The app cannot be looked up right now; try again")
	case a.ID != c.target.appID:
		h.o.Metrics.unauthorized(auth.ReasonKey)
		return fail(codeAuth, "auth_key belongs to another app than the path")
	}
	signed := auth.Request{Method: r.Method, Path: c.path, Body: c.bytes()}
	if err := auth.VerifyRequest(signed, &c.query, a.Secret, now); err != nil {
		return h.unauthorized(err)
	}
	if !a.Enabled {
		return fail(codeForbidden, "This app is disabled")
	}
	c.app = a
	return nil
}

func (h *handler) unauthorized(err error) *failure {
	if refused, ok := errors.AsType[*auth.Error](err); ok {
		h.o.Metrics.unauthorized(refused.Reason)
	}
	return fail(codeAuth, err.Error())
}
