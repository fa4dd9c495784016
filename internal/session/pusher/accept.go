package pusher

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/session"
	"github.com/millrace/millrace/internal/socket"
	"github.com/millrace/millrace/internal/websocket"
)

// ServeHTTP takes requests for /app and below. The checks come in the order of
// pusher 1.2 and the first failure decides. Refusals come after the upgrade,
// because browsers can read a close code but not the status of a refused upgrade.
func (ss *Sessions) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !ss.pass(w, r) {
		return
	}
	key, pathOK := appKey(r.URL.EscapedPath())
	if status, hint := websocket.CheckUpgrade(r); status != 0 {
		ss.answerPlain(w, r, pathOK, status, hint)
		return
	}
	if ss.o.Sockets.IsExhausted() {
		ss.refuseHTTP(w, r, http.StatusServiceUnavailable, session.NoDescriptors)
		return
	}
	t, problem := ss.negotiate(r)
	if problem != "" {
		ss.refuseHTTP(w, r, http.StatusBadRequest, problem)
		return
	}
	a, refusal := ss.admit(r, key, pathOK, &t)
	conn, err := ss.o.Sockets.Upgrade(w, r, &t.endpoint)
	if err != nil { // answered by Upgrade
		ss.refused(r, a, "400", err.Error())
		if refusal == nil {
			ss.group.Release(a)
		}
		return
	}
	if refusal == nil && conn.IsSpare() {
		ss.group.Release(a)
		refusal = protocol.ErrNodeFull.Withf(session.NoDescriptors)
	}
	if refusal != nil {
		ss.refuse(conn, r, a, t.dialect, refusal)
		return
	}
	ss.welcome(conn, r, a, key, t) //nolint:contextcheck // the connection outlives its request
}

// pass counts a request against the limit of its client's address, and answers it if that
// is exceeded (pusher 7.3).
func (ss *Sessions) pass(w http.ResponseWriter, r *http.Request) bool {
	if ss.o.Connects.IsUnlimited() {
		return true
	}
	count, ok := ss.connects.Allow(limit.Address(ss.o.ClientIP(r)), ss.group.Now(), ss.o.Connects)
	if ok {
		return true
	}
	reset := strconv.Itoa(int((count.Reset + time.Second - 1) / time.Second))
	header := w.Header()
	header.Set("X-RateLimit-Limit", strconv.Itoa(count.Max))
	header.Set("X-RateLimit-Remaining", strconv.Itoa(count.Left))
	header.Set("X-RateLimit-Reset", reset)
	header.Set("Retry-After", reset)
	ss.refuseHTTP(w, r, http.StatusTooManyRequests, "Too many connections from this address; try again in "+reset+" s")
	return false
}

// admit decides checks 2 to 11. Without an error the connection counts against the quotas;
// with one, the app is nil when it is not known.
func (ss *Sessions) admit(r *http.Request, key string, pathOK bool, t *terms) (*app.App, *protocol.Error) {
	if ss.o.Draining() {
		return nil, ss.shutdown()
	}
	if !pathOK {
		return nil, protocol.ErrPathUnknown
	}
	if !t.isV2 {
		if err := checkProtocol(t.version, ss.o.StrictProtocol); err != nil {
			ss.hint(r, err)
			return nil, err
		}
	}
	a, err := ss.o.Apps.ByKey(r.Context(), key)
	switch {
	case errors.Is(err, app.ErrNotFound):
		return nil, protocol.ErrAppUnknown
	case err != nil:
		ss.o.Log.Error("app lookup failed", "err", err)
		return nil, protocol.ErrBackend
	case !a.Enabled:
		return a, protocol.ErrAppDisabled
	case a.Features.RequireTLS && !ss.o.IsSecure(r):
		return a, protocol.ErrTLSOnly
	case !a.AllowedOrigins.Allows(r.Header.Get("Origin")):
		return a, protocol.ErrOrigin
	}
	switch err := ss.group.Acquire(a); {
	case errors.Is(err, session.ErrNodeFull):
		return a, protocol.ErrNodeFull
	case err != nil && ss.o.QuotaRetry:
		return a, protocol.ErrAppQuotaRetry
	case err != nil:
		return a, protocol.ErrAppOverQuota
	}
	return a, nil
}

// shutdown is what those are told who come while the node ends. It is no status: after a refused
// upgrade pusher-js waits 15 s, after a close a second at most (docs/ops.md).
func (ss *Sessions) shutdown() *protocol.Error {
	if ss.o.HandsOver != nil && ss.o.HandsOver() {
		return protocol.ErrReconnect
	}
	return protocol.ErrShutdown
}

// welcome makes conn a session. The greeting is queued before the connection reads its
// first byte, so it precedes every reply, and leaves with the 101 in one write.
func (ss *Sessions) welcome(conn *socket.Conn, r *http.Request, a *app.App, key string, t terms) {
	s := &Session{scope: ss.scopeOf(a, key, t), Place: session.Place{Conn: conn}}
	if a.AuthorizeWithin() > 0 {
		s.unauthorized = ss.group.Clock()
	}
	s.channels.Init(a, s)
	id := ss.group.Begin(ss.o.Hub, &s.channels.Subscriber, conn, s.codec.Variant())
	if ss.o.ClientIP != nil {
		ss.proxied.note(s, r, ss.o.ClientIP(r))
	}
	ss.group.Add(&s.Link, s)
	if s.checkAdmission() {
		s.Reply(&protocol.Message{Kind: protocol.MessageEstablished, SocketID: id, ActivityTimeout: ss.o.ActivityTimeout})
		conn.SetTimer(s.firstDeadline())
	}
	conn.Start(s)
}

// refused accounts for a refusal. a is nil when the app is not known.
func (ss *Sessions) refused(r *http.Request, a *app.App, code, why string) {
	refusal := session.Refusal{Code: code, Why: why, ClientIP: ss.clientIP(r)}
	if a != nil {
		refusal.AppID = a.ID
	}
	ss.group.Refused(&refusal)
}

// refuse closes an upgraded connection that never became a session.
func (ss *Sessions) refuse(conn *socket.Conn, r *http.Request, a *app.App, d *dialect, e *protocol.Error) {
	ss.refused(r, a, strconv.Itoa(e.Code), e.Message)
	conn.Close(d.disconnect(e))
	conn.Start(session.Dismissed{})
}

func (ss *Sessions) refuseHTTP(w http.ResponseWriter, r *http.Request, status int, text string) {
	ss.refused(r, nil, strconv.Itoa(status), text)
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	w.Header().Set("Connection", "close")
	http.Error(w, text, status)
}

// answerPlain answers a request that is no upgrade with plain HTTP.
func (ss *Sessions) answerPlain(w http.ResponseWriter, r *http.Request, pathOK bool, status int, hint string) {
	if !pathOK {
		status, hint = http.StatusNotFound, "404 NOT FOUND"
	}
	ss.refused(r, nil, strconv.Itoa(status), hint)
	session.AnswerPlain(w, status, hint)
}

// appKey takes the app key from an escaped path: exactly one segment below /app, which is
// percent-decoded after the split.
func appKey(path string) (key string, ok bool) {
	segment, ok := strings.CutPrefix(path, "/app/")
	if !ok || segment == "" || strings.Contains(segment, "/") {
		return "", false
	}
	key, err := url.PathUnescape(segment)
	return key, err == nil
}

// clientIP is where a request comes from, as far as the sessions are told.
func (ss *Sessions) clientIP(r *http.Request) string {
	if ss.o.ClientIP != nil {
		return ss.o.ClientIP(r)
	}
	return r.RemoteAddr
}

// hint says once per process what an operator can do for clients that tell no protocol version,
// as some that are not by Pusher do.
func (ss *Sessions) hint(r *http.Request, err *protocol.Error) {
	if err == protocol.ErrProtocolMissing && ss.hinted.CompareAndSwap(false, true) {
		ss.o.Log.Warn("client without the parameter protocol refused; handshake.strict_protocol = false admits such clients",
			"code", err.Code, "ip", ss.clientIP(r))
	}
}

// maxQuotedVersion bounds how much of a client's text an error message repeats.
const maxQuotedVersion = 32

// checkProtocol is pusher 1.3.
func checkProtocol(version string, strict bool) *protocol.Error {
	digits := version
	if !strict {
		if version == "" {
			return nil
		}
		digits = strings.TrimPrefix(version, "-")
	}
	switch {
	case version == "":
		return protocol.ErrProtocolMissing
	case !isDecimal(digits):
		return protocol.ErrProtocolMalformed
	case !strict:
		return nil
	}
	switch strings.TrimLeft(digits, "0") {
	case "5", "6", "7":
		return nil
	}
	return protocol.ErrProtocolUnknown.Withf("Unsupported protocol version %s; use protocol=7",
		version[:min(len(version), maxQuotedVersion)])
}

func isDecimal(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
