package session

import (
	"io"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/socket"
)

// Protocol names a way to connect; a metric's label.
type Protocol string

// The protocols of a node.
const (
	ProtocolChannels Protocol = "channels"
	ProtocolViews    Protocol = "views"
)

// Group is the sessions of one protocol: they are listed in the Table, and counted under the name of the protocol.
type Group struct {
	*Table
	name Protocol

	opened, messages prometheus.Counter
	closings         limit.Sampler // of lines of Forced

	closed, refused, errors, forced *prometheus.CounterVec
}

// Group is r as the sessions of one protocol use it.
func (r *Table) Group(name Protocol) *Group {
	m, label := r.o.Metrics, prometheus.Labels{"protocol": string(name)}
	return &Group{
		Table:    r,
		name:     name,
		opened:   m.opened.With(label),
		messages: m.messages.With(label),
		closed:   m.closed.MustCurryWith(label),
		refused:  m.refused.MustCurryWith(label),
		errors:   m.errors.MustCurryWith(label),
		forced:   m.forced.MustCurryWith(label),
	}
}

// Name is the protocol of the group.
func (f *Group) Name() Protocol { return f.name }

// Add lists s, for which a place has been acquired, under l, which is s's own.
func (f *Group) Add(l *Link, s Session) {
	f.add(l, s)
	f.o.Metrics.connections.Inc()
	f.opened.Inc()
}

// Ended frees the place of a connection of a that is dead. It stays listed until Remove.
func (f *Group) Ended(a *app.App, reason socket.CloseReason) {
	f.Release(a)
	f.o.Metrics.connections.Dec()
	f.closed.WithLabelValues(string(reason)).Inc()
}

// Remove says that all effects of a connection have ended.
func (f *Group) Remove(l *Link) { f.remove(l) }

// Received counts one message from a client.
func (f *Group) Received() { f.messages.Inc() }

// Reported counts one error told to a client.
func (f *Group) Reported(code string) { f.errors.WithLabelValues(code).Inc() }

// Refusal is why a connection is refused.
type Refusal struct {
	Code     string // of a bounded set: a close code, an issue's code or a status of HTTP
	Why      string
	AppID    string // empty: not known
	ClientIP string // after trusted proxies
}

// Refused counts a connection that is refused. It says so at info once per second at most,
// because a flood of refusals must not become a flood of logs.
func (f *Group) Refused(r *Refusal) {
	f.refused.WithLabelValues(r.Code).Inc()
	if skipped, ok := f.sample.Pass(f.Now()); ok {
		f.o.Log.Info("connection refused", "protocol", string(f.name), "code", r.Code, "why", r.Why,
			"app", r.AppID, "ip", r.ClientIP, "more_since_last", skipped)
	}
}

// Forced counts and logs, as Refused does, that the server closes a connection that was open.
func (f *Group) Forced(p Peer, code, why string) {
	f.forced.WithLabelValues(code).Inc()
	if skipped, ok := f.closings.Pass(f.Now()); ok {
		f.o.Log.Info("connection closed by the server", "protocol", string(f.name), "code", code, "why", why,
			"app", p.AppID(), "socket_id", p.SocketID().String(), "ip", p.IP().String(), "more_since_last", skipped)
	}
}

// AnswerPlain answers a request that is no upgrade with the result of websocket.CheckUpgrade.
func AnswerPlain(w http.ResponseWriter, status int, hint string) {
	if status == http.StatusUpgradeRequired {
		w.Header().Set("Upgrade", "websocket")
		hint += "; a proxy in front must forward the Upgrade and Connection headers"
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, hint) // fails only when the peer went away
}
