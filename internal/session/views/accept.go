package views

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/protocol/views"
	"github.com/millrace/millrace/internal/session"
	"github.com/millrace/millrace/internal/socket"
	"github.com/millrace/millrace/internal/websocket"
)

// ServeHTTP takes requests for /views/{app key} and whatever is below it, and, with a
// default app, for any other path. Refusals are plain answers before the upgrade (views
// 1.6): after one, clients take an open socket for success and come back at once when it
// closes.
func (ss *Sessions) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if ss.o.Draining() {
		ss.reject(w, r, nil, protocol.IssueDraining)
		return
	}
	if status, hint := websocket.CheckUpgrade(r); status != 0 {
		ss.refused(r, nil, strconv.Itoa(status), hint)
		session.AnswerPlain(w, status, hint)
		return
	}
	if ss.o.Sockets.IsFull() {
		ss.reject(w, r, nil, protocol.IssueNodeFull.Withf(session.NoDescriptors))
		return
	}
	a, issue := ss.lookUp(r.Context(), r.URL.EscapedPath())
	if issue != nil {
		ss.reject(w, r, a, issue)
		return
	}
	h := ss.newHandshake(r, a)
	if issue := h.admit(r.Context()); issue != nil {
		ss.reject(w, r, a, issue)
		return
	}
	conn, err := ss.o.Sockets.Upgrade(w, r, &ss.endpoint)
	if err != nil { // answered by Upgrade
		ss.refused(r, a, "400", err.Error())
		h.dismiss()
		return
	}
	if conn.IsSpare() {
		ss.refused(r, a, protocol.IssueNodeFull.Code, session.NoDescriptors)
		h.dismiss()
		conn.Close(socket.Disconnect{Code: closeTryAgain, Reason: "the server has no descriptor for the connection"})
		conn.Start(session.Dismissed{})
		return
	}
	h.welcome(conn) //nolint:contextcheck // the connection outlives its request
}

// refused accounts for a refusal. a is nil when the app is not known.
func (ss *Sessions) refused(r *http.Request, a *app.App, code, why string) {
	refusal := session.Refusal{Code: code, Why: why, ClientIP: ss.o.ClientIP(r)}
	if a != nil {
		refusal.AppID = a.ID
	}
	ss.group.Refused(&refusal)
}

// reject answers as views 1.6 has it. a is nil when the app is not known.
func (ss *Sessions) reject(w http.ResponseWriter, r *http.Request, a *app.App, i *protocol.Issue) {
	ss.refused(r, a, i.Code, i.Message)
	body := views.AppendRejection(nil, i)
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Error-Code", i.Code)
	if seconds := views.RetryAfter(i); seconds > 0 {
		h.Set("Retry-After", strconv.Itoa(seconds))
	}
	h.Set("Connection", "close")
	w.WriteHeader(i.Status)
	_, _ = w.Write(body) // fails only when the peer went away
}

// lookUp finds the app that a path leads to.
func (ss *Sessions) lookUp(ctx context.Context, path string) (*app.App, *protocol.Issue) {
	key, ok := appKey(path)
	var a *app.App
	err := app.ErrNotFound
	switch {
	case ok:
		a, err = ss.o.Apps.ByKey(ctx, key)
	case ss.o.DefaultApp != "":
		a, err = ss.o.Apps.ByID(ctx, ss.o.DefaultApp)
	}
	switch {
	case errors.Is(err, app.ErrNotFound):
		return nil, protocol.IssueAppUnknown
	case err != nil:
		ss.o.Log.Error("app lookup failed", "err", err)
		return nil, protocol.IssueInternal
	case !a.Enabled:
		return a, protocol.IssueAppDisabled
	}
	return a, nil
}

// appKey takes the app key from an escaped path: the segment below /views, percent-decoded
// after the split. What comes below it means nothing.
func appKey(path string) (key string, ok bool) {
	below, ok := strings.CutPrefix(path, "/views/")
	if !ok {
		return "", false
	}
	segment, _, _ := strings.Cut(below, "/")
	key, err := url.PathUnescape(segment)
	return key, err == nil && key != ""
}

// peerIP is the address of the other end of the connection: the client or the last proxy.
func peerIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr // a unix socket
	}
	return host
}
