package httpapi

import (
	"errors"
	"net"
	"net/http"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/auth"
	"github.com/millrace/millrace/internal/token"
)

// authenticateReader lets in whom a WebSocket connection of views would let in: the same
// tokens, in the same places, refused with the same codes (live-views 1.2 to 1.7).
func (h *handler) authenticateReader(c *call, r *http.Request) *failure {
	a, err := h.o.Apps.ByID(r.Context(), c.target.appID)
	switch {
	case errors.Is(err, app.ErrNotFound):
		return fail(codeAuth, "No app has this id").because(cause(auth.ReasonKey))
	case err != nil:
		return h.failLookup(err)
	case !a.Enabled:
		return fail(codeForbidden, "This app is disabled").because(causeDisabled)
	}
	readers := h.o.Readers(a.ID)
	if readers == nil {
		return fail(codeAuth, "Sign the request with the app's key and secret; this app lets nobody read its views otherwise").because(cause(auth.ReasonKey))
	}
	text, has := token.FromRequest(r.Header.Get("Authorization"), r.URL.RawQuery, readers.QueryNames())
	principal, issue := readers.Authenticate(r.Context(), token.Credentials{
		Token: text, HasToken: has, Origin: r.Header.Get("Origin"), ClientIP: h.o.ClientIP(r),
	})
	if issue != nil {
		return failIssue(issue)
	}
	c.app, c.reader = a, principal
	return nil
}

// peer is the address that a request came from.
func peer(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
