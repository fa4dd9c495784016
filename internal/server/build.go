package server

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/httpapi"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/metrics"
	"github.com/millrace/millrace/internal/page"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/protocol/pusher"
	"github.com/millrace/millrace/internal/session"
	"github.com/millrace/millrace/internal/socket"
)

const (
	// idleTimeout is how long an HTTP connection may wait for its next request.
	idleTimeout = 75 * time.Second
	// requestTimeout is how long a client may take to send a request, and to take its answer.
	requestTimeout = 30 * time.Second
)

// New wires a node. It opens no listener; Run does.
func New(cfg *config.Config, log *slog.Logger) (*Server, error) {
	registry, err := apps(cfg)
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, log: log, ready: make(chan struct{})}
	prom := metrics.NewRegistry()
	s.acceptFailed = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "millrace_server_accept_failures_total",
		Help: "Connections that could not be accepted, mostly for want of descriptors.",
	})
	prom.MustRegister(s.acceptFailed)

	codec := pusher.Codec{}
	s.hub = hub.New(hub.Options{
		Codecs:  [protocol.NumVariants]protocol.Codec{protocol.VariantPusher: codec},
		Metrics: hub.NewMetrics(prom),
	})
	s.bus = bus.NewLocal(s.hub, time.Now)
	s.channels = channel.New(s.hub, s.bus, channel.Options{Log: log, Metrics: channel.NewMetrics(prom)})
	if s.sockets, err = socket.New(socket.Options{Log: log, Metrics: socket.NewMetrics(prom)}); err != nil {
		return nil, fmt.Errorf("connection engine: %w", err)
	}
	s.sessions = session.New(session.Options{
		Apps:            registry,
		Channels:        s.channels,
		Hub:             s.hub,
		Sockets:         s.sockets,
		Codec:           codec,
		Endpoint:        endpoint(&cfg.WebSocket),
		ActivityTimeout: cfg.WebSocket.ActivityTimeout.D(),
		PongTimeout:     cfg.WebSocket.PongTimeout.D(),
		StrictProtocol:  cfg.Handshake.StrictProtocol,
		MaxConnections:  cfg.WebSocket.MaxConnections,
		Draining:        s.Draining,
		Log:             log,
		Metrics:         session.NewMetrics(prom),
	})
	api := httpapi.New(httpapi.Options{
		Apps:     registry,
		Channels: s.channels,
		MaxBody:  int64(cfg.HTTP.MaxBody),
		Draining: s.Draining,
		Log:      log,
		Metrics:  httpapi.NewMetrics(prom),
	})
	s.public = s.httpServer(s.route(api, s.page(registry)))
	s.public.ReadTimeout, s.public.WriteTimeout = requestTimeout, requestTimeout // end with an upgrade
	if cfg.HTTP.TLSCertFile != "" {
		if s.public.TLSConfig, err = tlsConfig(cfg.HTTP.TLSCertFile, cfg.HTTP.TLSKeyFile); err != nil {
			return nil, err
		}
	}
	if cfg.Metrics.Listen != "" {
		s.operator = s.httpServer(operatorHandler(prom))
	}
	return s, nil
}

// Bounds of an outgoing queue (pusher-protocol 7.7).
const (
	defaultQueueFrames = 1000
	maxQueueFrames     = 10000 // when only bytes are bounded
)

func endpoint(c *config.WebSocket) socket.Endpoint {
	frames := c.MaxMessages
	switch {
	case frames > 0:
	case c.MaxBytes > 0:
		frames = maxQueueFrames
	default:
		frames = defaultQueueFrames
	}
	return socket.Endpoint{
		MaxMessage:     int(c.MaxMessage),
		MaxQueueFrames: frames,
		MaxQueueBytes:  int(c.MaxBytes),
		DropWhenFull:   !c.DisconnectOnBufferFull,
	}
}

func (s *Server) httpServer(h http.Handler) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true) // the upgrade needs it
	return &http.Server{
		Handler:           h,
		Protocols:         protocols,
		ReadHeaderTimeout: s.cfg.HTTP.ReadHeaderTimeout.D(),
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    int(s.cfg.HTTP.MaxHeader),
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

// page is the development page for the first app, nil unless it is turned on.
func (s *Server) page(registry app.Registry) http.Handler {
	if !s.cfg.Development.Page || len(s.cfg.Apps) == 0 {
		return nil
	}
	first := &s.cfg.Apps[0]
	return page.New(page.Options{
		AppID:  first.ID,
		Key:    first.Key,
		Secret: first.Secret.Reveal(),
		Publish: func(ctx context.Context, name, event string, data []byte) error {
			a, err := registry.ByID(ctx, first.ID)
			if err != nil {
				return err
			}
			return s.channels.Publish(ctx, a, []channel.Event{{Channel: name, Name: event, Data: data}})
		},
		Log: s.log,
	})
}

// route sends a request to the face it means. It compares paths as they are: a mux would
// redirect what it finds unclean, and the HTTP API signs the raw path.
func (s *Server) route(api, devPage http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path
		switch {
		case path == "/app" || strings.HasPrefix(path, "/app/"):
			s.sessions.ServeHTTP(w, r)
		case devPage != nil && isPagePath(path):
			devPage.ServeHTTP(w, r)
		default:
			api.ServeHTTP(w, r)
		}
	})
}

func isPagePath(path string) bool {
	return path == "/" || path == "/auth" || path == "/publish" || strings.HasPrefix(path, "/page/")
}

// operatorHandler serves metrics and profiles. It must not be reachable by clients.
func operatorHandler(g prometheus.Gatherer) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics.Handler(g))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}
