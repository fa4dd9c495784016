// Package pusher has the sessions of channels: it makes WebSocket connections to /app sessions of
// Pusher protocol 7. It admits or refuses them, checks liveness and limits, verifies channel
// signatures, and turns commands into calls of the channel engine, and of the view engine
// where a channel stands for a view.
//
// It must never know how frames are written (socket), who else is subscribed (hub, channel,
// view) or the HTTP API. It starts no goroutine: package socket calls a session's methods
// one at a time, so a session needs no lock of its own. Replies and broadcasts share the
// connection's one ordered queue; a reply is never dropped, and what a session loses to a
// full queue is the socket's decision.
package pusher

import (
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/locks"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/protocol/pusher"
	"github.com/millrace/millrace/internal/session"
	"github.com/millrace/millrace/internal/socket"
	"github.com/millrace/millrace/internal/view"
)

// Options of New. A field is required unless its comment names a default.
type Options struct {
	Table    *session.Table
	Apps     app.Registry
	Channels *channel.Engine
	Views    *view.Engine // default none: channels that stand for views are refused
	Hub      *hub.Hub
	Sockets  *socket.Engine
	Codec    protocol.Codec
	V2       V2 // default none: protocol V2 is an unknown version

	// Endpoint bounds messages and queues; New fills in how slow consumers are disconnected.
	Endpoint socket.Endpoint

	ActivityTimeout time.Duration // whole seconds are announced to clients
	PongTimeout     time.Duration
	StrictProtocol  bool // refuse a missing or unknown protocol version (pusher 1.3)
	QuotaRetry      bool // who is above the quota of an app is told to try again (pusher 7.4)
	Refusals        Refusals
	MaxSnapshotRows int // of a view; default unlimited
	Snapshots       session.SnapshotRate
	MaxViews        int // that one connection is subscribed to; default unlimited

	Filters pusher.FilterLimits // default none: filters mean nothing

	Connects limit.Rate                 // of one client address; default unlimited
	ClientIP func(*http.Request) string // after trusted proxies; not needed without Connects
	IsSecure func(*http.Request) bool   // over TLS; default where this server speaks it

	Draining func() bool // whether shutdown has begun
	// HandsOver reports whether another process takes over the socket that clients connect to, so
	// that they find it open at any time; default never.
	HandsOver func() bool
	Log       *slog.Logger // default none
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.IsSecure == nil {
		o.IsSecure = func(r *http.Request) bool { return r.TLS != nil }
	}
	return o
}

// Sessions accepts connections. Safe for concurrent use.
//
// Invariant: a refused connection has no socket id.
type Sessions struct {
	o        Options
	group    *session.Group
	connects *limit.Windows[netip.Addr]
	dialects [protocol.NumVariants]*dialect // nil where none is spoken

	atLimit limit.Sampler // of lines about limits of subscriptions

	signed  signed
	proxied proxied
	hinted  atomic.Bool // what hint says has been said

	mu     locks.Mutex
	scopes map[scopeKey]*scope // guarded by mu
}

// scope is what the sessions share that were opened by one key of an app on the same terms. It is
// immutable.
type scope struct {
	*Sessions
	*dialect
	app *app.App
	key string

	isEchoOff bool // a sender receives its client events only if they say so
}

type scopeKey struct {
	key       string
	dialect   *dialect
	isEchoOff bool
}

// New makes the sessions of one node.
func New(o Options) *Sessions {
	o = o.withDefaults()
	ss := &Sessions{
		o:        o,
		group:    o.Table.Group(session.ProtocolChannels),
		connects: limit.NewWindows[netip.Addr](0),
		scopes:   make(map[scopeKey]*scope),
	}
	for _, codec := range []protocol.Codec{o.Codec, o.V2.JSON, o.V2.MessagePack, o.V2.Protobuf} {
		if codec != nil {
			ss.dialects[codec.Variant()] = newDialect(codec, &o)
		}
	}
	return ss
}

// scopeOf finds or makes the scope of an app, one of its keys and terms. An app whose settings have
// changed gets a new one: its older sessions keep theirs.
func (ss *Sessions) scopeOf(a *app.App, key string, t terms) *scope {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	of := scopeKey{key, t.dialect, t.isEchoOff}
	s := ss.scopes[of]
	if s == nil || s.app != a {
		of.key = strings.Clone(key) // it is a part of a request's head
		s = &scope{Sessions: ss, dialect: t.dialect, app: a, key: of.key, isEchoOff: t.isEchoOff}
		ss.scopes[of] = s
	}
	return s
}

// forgetScopes lets go of scopes of which there will be no more sessions.
func (ss *Sessions) forgetScopes(isGone func(*scope) bool) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	maps.DeleteFunc(ss.scopes, func(_ scopeKey, s *scope) bool { return isGone(s) })
}
