package session

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/socket"
	"github.com/millrace/millrace/internal/websocket"
)

// ServeHTTP takes requests for /app and below. The checks come in the order of
// pusher-protocol 1.2 and the first failure decides. Refusals come after the upgrade,
// because browsers can read a close code but not the status of a refused upgrade.
func (ss *Sessions) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if ss.o.Draining() {
		ss.refuseHTTP(w, r, http.StatusServiceUnavailable, "DRAINING")
		return
	}
	key, pathOK := appKey(r.URL.EscapedPath())
	if status, hint := websocket.CheckUpgrade(r); status != 0 {
		ss.answerPlain(w, pathOK, status, hint)
		return
	}
	a, q, refusal := ss.admit(r, key, pathOK)
	conn, err := ss.o.Sockets.Upgrade(w, r, &ss.endpoint)
	if err != nil { // answered by Upgrade
		ss.o.Metrics.refused.WithLabelValues("400").Inc()
		if refusal == nil {
			ss.dismiss(q)
		}
		return
	}
	if refusal != nil {
		ss.refuse(conn, r, refusal)
		return
	}
	ss.welcome(conn, a)
}

// admit decides checks 3 to 11. Without an error the connection counts against the quotas.
func (ss *Sessions) admit(r *http.Request, key string, pathOK bool) (*app.App, *limit.Quota, *protocol.Error) {
	if !pathOK {
		return nil, nil, protocol.ErrPathUnknown
	}
	if err := checkProtocol(r.URL.Query().Get("protocol"), ss.o.StrictProtocol); err != nil {
		return nil, nil, err
	}
	a, err := ss.o.Apps.ByKey(r.Context(), key)
	switch {
	case errors.Is(err, app.ErrNotFound):
		return nil, nil, protocol.ErrAppUnknown
	case err != nil:
		ss.o.Log.Error("app lookup failed", "err", err)
		return nil, nil, protocol.ErrBackend
	case !a.Enabled:
		return nil, nil, protocol.ErrAppDisabled
	case !a.AllowedOrigins.Allows(r.Header.Get("Origin")):
		return nil, nil, protocol.ErrOrigin
	}
	if !ss.node.Acquire(ss.o.MaxConnections) {
		return nil, nil, protocol.ErrNodeFull
	}
	q := ss.quotaOf(a.ID)
	if !q.Acquire(a.Limits.MaxConnections) {
		ss.node.Release()
		return nil, nil, protocol.ErrAppOverQuota
	}
	return a, q, nil
}

// dismiss gives back what admit took.
func (ss *Sessions) dismiss(q *limit.Quota) {
	q.Release()
	ss.node.Release()
}

// welcome makes conn a session. The greeting is queued before the connection reads its
// first byte, so it precedes every reply, and leaves with the 101 in one write.
func (ss *Sessions) welcome(conn *socket.Conn, a *app.App) {
	s := &Session{sessions: ss, conn: conn, app: a, opened: ss.clock()}
	s.channels.Init(a, s)
	id := protocol.NewSocketID()
	for !ss.o.Hub.Attach(&s.channels.Subscriber, conn, id, ss.o.Codec.Variant()) {
		id = protocol.NewSocketID()
	}
	ss.add(s)
	ss.o.Metrics.connections.Inc()
	ss.o.Metrics.opened.Inc()
	s.Reply(&protocol.Message{Kind: protocol.MessageEstablished, SocketID: id, ActivityTimeout: ss.o.ActivityTimeout})
	conn.SetTimer(s.firstDeadline())
	conn.Start(s)
}

// refuse closes an upgraded connection that never became a session.
func (ss *Sessions) refuse(conn *socket.Conn, r *http.Request, e *protocol.Error) {
	ss.countRefusal(r, strconv.Itoa(e.Code), e.Message)
	conn.Close(ss.farewell(e))
	conn.Start(refused{})
}

func (ss *Sessions) refuseHTTP(w http.ResponseWriter, r *http.Request, status int, text string) {
	ss.countRefusal(r, strconv.Itoa(status), text)
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	w.Header().Set("Connection", "close")
	http.Error(w, text, status)
}

// answerPlain answers what is no upgrade request with plain HTTP.
func (ss *Sessions) answerPlain(w http.ResponseWriter, pathOK bool, status int, hint string) {
	switch {
	case !pathOK:
		status, hint = http.StatusNotFound, "404 NOT FOUND"
	case status == http.StatusUpgradeRequired:
		w.Header().Set("Upgrade", "websocket")
		hint += "; a proxy in front must forward the Upgrade and Connection headers"
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, hint) // the peer went away: nobody is left to tell
}

// countRefusal says at info once per second at most that connections are being refused,
// because a flood of them must not become a flood of logs.
func (ss *Sessions) countRefusal(r *http.Request, code, why string) {
	ss.o.Metrics.refused.WithLabelValues(code).Inc()
	if skipped, ok := ss.sample.pass(ss.o.Now()); ok {
		ss.o.Log.Info("connection refused", "code", code, "why", why, "remote", r.RemoteAddr, "more_since_last", skipped)
	}
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

// maxQuotedVersion bounds how much of a client's text an error message repeats.
const maxQuotedVersion = 32

// checkProtocol is pusher-protocol 1.3.
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

// refused is the handler of a connection that only says goodbye.
type refused struct{}

func (refused) Message(*socket.Conn, socket.Opcode, []byte) {}
func (refused) Timeout(*socket.Conn)                        {}
func (refused) Drained(*socket.Conn)                        {}
func (refused) Closed(*socket.Conn, socket.CloseReason)     {}
