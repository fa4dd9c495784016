// Package server puts a node together and runs it: the only place that knows every part.
//
// It owns the wiring (build.go, by hand), the order in which parts start and end (run.go, drain.go), what
// a new configuration changes while it runs (reload.go), and the installing of apps as they come, change
// and go (registry.go, appviews.go). It must never hold a rule of the protocol: those live in the packages
// that it wires.
//
// Goroutines: one per listener, one per part that runs, one for memory; Run joins them all.
package server

import (
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/audit"
	"github.com/millrace/millrace/internal/bus/local"
	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/definition"
	"github.com/millrace/millrace/internal/directory"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/entity/owner"
	"github.com/millrace/millrace/internal/forwarded"
	"github.com/millrace/millrace/internal/gate"
	"github.com/millrace/millrace/internal/http1"
	"github.com/millrace/millrace/internal/httpapi/channels"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/listen"
	embeddedlog "github.com/millrace/millrace/internal/log/embedded"
	"github.com/millrace/millrace/internal/meter"
	"github.com/millrace/millrace/internal/query"
	"github.com/millrace/millrace/internal/session"
	pushersession "github.com/millrace/millrace/internal/session/pusher"
	viewsession "github.com/millrace/millrace/internal/session/views"
	"github.com/millrace/millrace/internal/socket"
	"github.com/millrace/millrace/internal/store/embedded"
	"github.com/millrace/millrace/internal/store/postgres"
	"github.com/millrace/millrace/internal/telemetry"
	"github.com/millrace/millrace/internal/token"
	"github.com/millrace/millrace/internal/view"
	"github.com/millrace/millrace/internal/webhook/outbox"
)

// Server is one node. Its methods are safe for concurrent use; Run is called once.
type Server struct {
	cfg *config.Config
	log *slog.Logger

	apps            *app.Static // of directory
	directory       *directory.Directory
	postgres        *postgres.Store // of directory; nil: it uses store, or none
	hub             *hub.Hub
	bus             *local.Bus
	history         *embeddedlog.Log // of bus; nil: no channel is kept
	keptApps        []string         // whose channels bus keeps; guarded by the turn of directory
	channels        *channel.Engine
	webhooks        *outbox.Outbox
	sockets         *socket.Engine
	proxies         *forwarded.Proxies
	sessions        *session.Table
	channelSessions *pushersession.Sessions // /app
	viewSessions    *viewsession.Sessions   // /views; nil when they are turned off
	publisher       channels.Publisher      // channels, with projections before them

	// Of views; nil when they are turned off.
	entities    *entity.State
	owner       *owner.Owner // of entities
	views       *view.Engine
	definitions *definition.Catalog // of views
	revocations *token.Revocations
	viewTable   atomic.Pointer[viewTable]
	defined     map[string][]*query.Definition // that are declared, by app; guarded by the turn of directory

	store       *embedded.Store      // nil: nothing is kept
	hasNoRoom   bool                 // store is nil because the disk was full at the start
	unserved    limit.Sampler        // of lines about requests that are refused for that
	telemetry   *telemetry.Telemetry // nil: not exported
	meter       *meter.Meter         // nil: not counted
	audit       *audit.Log           // nil: not written
	tokens      *token.Metrics
	mints       *limit.Slidings[string] // requests for tokens
	storeChecks []*storeCheck           // the stores

	public       *http1.Server // clients and the HTTP API
	operator     *http.Server  // metrics and profiles; nil when turned off
	acceptFailed prometheus.Counter
	reserve      listen.Reserve

	// Followed; nil without TLS.
	publicCert, operatorCert *listen.Certificate

	gate     *gate.Gate    // of all that publishers are answered for
	unready  atomic.Bool   // balancers are to turn away
	draining atomic.Bool   // no new connection is admitted
	ready    chan struct{} // closed when the addresses are known and served

	reloading sync.Mutex     // held by Reload
	applied   *config.Config // what New or the last Reload took over; guarded by reloading

	program   string           // as it was called; empty: by its name
	inherited net.Listener     // instead of http.listen; nil: there is none
	listener  *listen.Listener // of clients; written before ready is closed

	addr, metricsAddr net.Addr // written before ready is closed
}

// Ready is closed when the server answers on its addresses.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Addr is where clients connect, valid after Ready.
func (s *Server) Addr() net.Addr { return s.addr }

// MetricsAddr is where operators look, valid after Ready; nil when turned off.
func (s *Server) MetricsAddr() net.Addr { return s.metricsAddr }

// Connections is the number of connections whose effects have not all ended.
func (s *Server) Connections() int { return s.sessions.Len() }

// Draining reports whether connections are being closed and new ones refused.
func (s *Server) Draining() bool { return s.draining.Load() }

// isUnready reports whether balancers should send clients elsewhere: from the first moment
// of the shutdown on.
func (s *Server) isUnready() bool { return s.unready.Load() }

// handsOver reports whether the socket of clients outlives the process.
func (s *Server) handsOver() bool { return s.inherited != nil }

// Inherit makes Run serve clients on l, which the parent process has opened, instead of opening
// http.listen. It is called before Run, if at all, and Run closes l.
func (s *Server) Inherit(l net.Listener) { s.inherited = l }

// CalledAs tells by which word a shell calls this program, for the commands that the development
// page shows. It is called before Run, if at all.
func (s *Server) CalledAs(program string) { s.program = program }
