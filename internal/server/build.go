package server

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/forwarded"
	"github.com/millrace/millrace/internal/gate"
	"github.com/millrace/millrace/internal/http1"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/listen"
	"github.com/millrace/millrace/internal/metrics"
	"github.com/millrace/millrace/internal/page"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/protocol/pusher"
	"github.com/millrace/millrace/internal/protocol/v2"
	"github.com/millrace/millrace/internal/protocol/v2/messagepack"
	"github.com/millrace/millrace/internal/protocol/v2/protobuf"
	"github.com/millrace/millrace/internal/provision"
	"github.com/millrace/millrace/internal/session"
	pushersession "github.com/millrace/millrace/internal/session/pusher"
	"github.com/millrace/millrace/internal/socket"
	"github.com/millrace/millrace/internal/token"
)

const (
	// requestTimeout is how long a client may take to send a request, and to take its answer.
	requestTimeout = 30 * time.Second
)

// New wires a node and loads what it has stored. It opens no listener; Run does. A caller that does
// not call Run calls Close. ctx bounds the loading only.
func New(ctx context.Context, cfg *config.Config, log *slog.Logger) (_ *Server, err error) {
	if problems := provision.Check(cfg); len(problems) > 0 {
		return nil, &config.Error{Source: "configuration", Problems: problems}
	}
	s := &Server{cfg: cfg, log: log, ready: make(chan struct{}), gate: gate.New()}
	prom := metrics.NewRegistry()
	s.acceptFailed = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "millrace_server_accept_failures_total",
		Help: "Connections that could not be accepted, or were turned away, mostly for want of descriptors.",
	})
	prom.MustRegister(s.acceptFailed)

	native := v2Codecs(&cfg.Filters)
	s.hub = hub.New(hub.Options{
		Codecs: [protocol.NumVariants]protocol.Codec{
			protocol.VariantPusher: pusher.Codec{}, protocol.VariantViews: viewCodec(&cfg.Views),
			protocol.VariantV2: native.JSON, protocol.VariantV2MessagePack: native.MessagePack, protocol.VariantV2Protobuf: native.Protobuf,
		},
		Metrics: hub.NewMetrics(prom),
	})
	s.reserve = listen.ProcessReserve()
	if s.sockets, err = socket.New(socket.Options{
		FirstSpare: s.reserve.First, MostSpare: s.reserve.MostSpare, Log: log, Metrics: socket.NewMetrics(prom),
	}); err != nil {
		return nil, fmt.Errorf("connection engine: %w", err)
	}
	defer func() { err = s.closeAfter(err) }()
	if err := s.wireOperations(ctx, prom); err != nil {
		return nil, err
	}
	if cfg.Views.Enabled {
		s.makeViews(prom)
	}
	if err := s.wireDirectory(ctx, prom); err != nil {
		return nil, err
	}
	s.watchStores(prom)
	if err := s.wireWebhooks(ctx, prom); err != nil {
		return nil, err
	}
	if err := s.wireBus(ctx, prom); err != nil {
		return nil, err
	}
	s.channels = channel.New(s.hub, s.bus, channel.Options{
		Log: log, Metrics: channel.NewMetrics(prom), MaxRewind: cfg.History.MaxPageSize, Replay: replay(&cfg.WebSocket),
	})
	s.applyWebhooks(nil, s.apps.All())
	s.sessions = session.New(session.Options{
		MaxConnections: cfg.WebSocket.MaxConnections,
		Log:            log,
		Metrics:        session.NewMetrics(prom),
		Cleanup:        cleanup(&cfg.Cleanup),
		Hub:            s.hub,
	})
	if cfg.Views.Enabled {
		if err := s.loadViews(ctx); err != nil {
			return nil, err
		}
	}
	s.proxies = forwarded.New(forwarded.Options{Trusted: cfg.HTTP.TrustedProxies, Header: cfg.HTTP.ForwardedHeader, Log: s.log})
	s.channelSessions = s.newChannelSessions()
	return s, s.wireHTTP(prom)
}

func (s *Server) newChannelSessions() *pushersession.Sessions {
	cfg := s.cfg
	return pushersession.New(pushersession.Options{
		Table:           s.sessions,
		Apps:            s.apps,
		Channels:        s.channels,
		Views:           s.shownViews(),
		Hub:             s.hub,
		Sockets:         s.sockets,
		Codec:           pusher.Codec{},
		V2:              v2Codecs(&cfg.Filters),
		Endpoint:        endpoint(&cfg.WebSocket),
		ActivityTimeout: cfg.WebSocket.ActivityTimeout.D(),
		PongTimeout:     cfg.WebSocket.PongTimeout.D(),
		StrictProtocol:  cfg.Handshake.StrictProtocol,
		QuotaRetry:      cfg.Handshake.QuotaCloseCode == protocol.ErrAppQuotaRetry.Code,
		Refusals:        refusals(cfg.WebSocket.SubscriptionRefusals),
		MaxSnapshotRows: cfg.Views.DefaultMaxSnapshotRows,
		Snapshots:       snapshotRate(&cfg.Views),
		MaxViews:        cfg.Views.DefaultMaxSubscriptions,
		Filters:         filters(&cfg.Filters),
		Connects:        rate(cfg.Limits.Connects),
		ClientIP:        s.proxies.ClientIP,
		IsSecure:        s.proxies.IsSecure,
		Draining:        s.Draining,
		HandsOver:       s.handsOver,
		Log:             s.log,
	})
}

// wireHTTP makes what listens.
func (s *Server) wireHTTP(prom *prometheus.Registry) error {
	cfg := s.cfg
	ip, bodies := s.proxies.ClientIP, bodies(&cfg.HTTP)
	var all handlers
	if cfg.Views.Enabled {
		s.viewSessions = s.newViewSessions(ip)
		all.views, all.mint = s.viewSessions, s.newMintEndpoint(ip)
	}
	stats := s.stats()
	all.api = s.telemetry.Middleware(s.newAPI(prom, bodies, stats))
	all.page = s.page()

	public, private := s.adminHandlers(prom, bodies)
	root := belowPrefix(cfg.HTTP.PathPrefix, beside(public, s.route(all)))
	if all.page != nil && cfg.HTTP.PathPrefix != "" {
		root = toFolder(cfg.HTTP.PathPrefix, root)
	}
	h := s.httpServer(root)
	h.ReadTimeout, h.WriteTimeout = requestTimeout, requestTimeout // end with an upgrade
	s.public = http1.New(h, http1.Options{
		IsOff:   !cfg.HTTP.FastPath,
		MaxHead: int(cfg.HTTP.MaxHeader), HeaderTimeout: h.ReadHeaderTimeout,
		IdleTimeout: h.IdleTimeout, RequestTimeout: requestTimeout, Log: s.log, Metrics: http1.NewMetrics(prom),
	})
	if cfg.Metrics.Listen != "" {
		s.operator = s.httpServer(beside(private, operatorHandler(prom, stats)))
	}
	return s.wireTLS(h)
}

// bodies is the room for the bodies of all requests: at least for one as large as may be.
func bodies(c *config.HTTP) *limit.Budget {
	return limit.NewBudget(max(int64(c.MaxBodyMemory), int64(bufpool.Room(int(c.MaxBody)+1))))
}

// Bounds of an outgoing queue (pusher 7.7).
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

// replay is what a connection takes at once of a replay: half of its queue is free where it is not congested.
func replay(c *config.WebSocket) channel.Replay {
	e := endpoint(c)
	return channel.Replay{MaxFrames: max(e.MaxQueueFrames/2, 1), MaxBytes: e.MaxQueueBytes / 2}
}

// cleanup is how connections that end are cleaned up after.
func cleanup(c *config.Cleanup) session.Cleanup {
	if !c.Async {
		return session.Cleanup{}
	}
	return session.Cleanup{
		QueueSize: c.QueueSize, BatchSize: c.BatchSize, Workers: c.Workers,
		BreakerFailures: c.BreakerFailures, BreakerPause: c.BreakerPause.D(),
	}
}

// v2Codecs are the codecs of protocol V2, which is served to every app.
func v2Codecs(c *config.Filters) pushersession.V2 {
	return pushersession.V2{
		JSON:        v2.JSON{ShowsTags: c.ShowTags},
		MessagePack: messagepack.Codec{ShowsTags: c.ShowTags},
		Protobuf:    protobuf.Codec{ShowsTags: c.ShowTags},
	}
}

// filters are the bounds of event filters, zero where these mean nothing.
func filters(c *config.Filters) pusher.FilterLimits {
	if !c.Enabled {
		return pusher.FilterLimits{}
	}
	return pusher.FilterLimits{Events: c.MaxEvents, NameLength: c.MaxEventNameLength}
}

func (s *Server) httpServer(h http.Handler) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true) // the upgrade needs it
	server := &http.Server{
		Handler:           h,
		Protocols:         protocols,
		ReadHeaderTimeout: s.cfg.HTTP.ReadHeaderTimeout.D(),
		IdleTimeout:       s.cfg.HTTP.KeepAlive.D(),
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	limitHeader(server, s.cfg.HTTP.MaxHeader)
	return server
}

// refusals is how a setting of subscription_refusals reads to sessions.
func refusals(setting string) pushersession.Refusals {
	switch setting {
	case "subscription_error":
		return pushersession.RefusalsAreSubscriptionErrors
	case "error":
		return pushersession.RefusalsAreErrors
	default:
		return pushersession.RefusalsAreBoth
	}
}

// page is the development page for the first app, nil unless it is turned on.
func (s *Server) page() http.Handler {
	if !s.cfg.IsDevelopment() || len(s.cfg.Apps) == 0 {
		return nil
	}
	first := &s.cfg.Apps[0]
	o := page.Options{
		AppID:     first.ID,
		Key:       first.Key,
		Secret:    first.Secret.Reveal(),
		Origins:   s.cfg.Development.Origins,
		IsExposed: !s.cfg.IsLocal(),
		Program:   func() string { return cmp.Or(s.program, "millrace") },
		HasOwnApp: !config.IsDevelopmentApp(first),
		Publish: func(ctx context.Context, name, event string, data []byte) error {
			a, err := s.apps.ByID(ctx, first.ID)
			if err != nil {
				return err
			}
			return s.publisher.Publish(ctx, a, []channel.Event{{Channel: name, Name: event, Data: data}})
		},
		Log: s.log,
	}
	if s.entities != nil {
		o.Mutate = func(ctx context.Context, mutations []entity.Mutation) error {
			b := &entity.Batch{App: first.ID, Mutations: mutations}
			if err := s.views.Reserve(ctx, b); err != nil {
				return err
			}
			_, err := s.mutator().Apply(ctx, b)
			return err
		}
	}
	return page.New(o)
}

// handlers are the HTTP handlers of the node; all but api may be nil.
type handlers struct {
	api, page, mint http.Handler
	views           http.Handler // WebSocket connections
}

// route sends a request to the handler that it means. It compares paths as they are: a mux would
// redirect what it finds unclean, and the HTTP API signs the raw path.
func (s *Server) route(h handlers) http.Handler {
	isViewsAnywhere := h.views != nil && s.cfg.Views.DefaultApp != ""
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path
		switch {
		case s.hasNoRoom && (needsStore(path) || isViewsAnywhere && isUpgrade(r) && !isChannels(path)):
			s.refuseWithoutStore(w, r)
		case isChannels(path):
			s.proxies.NoteHandshake(r)
			s.channelSessions.ServeHTTP(w, r)
		case h.views != nil && (path == "/views" || strings.HasPrefix(path, "/views/")):
			s.proxies.NoteHandshake(r)
			h.views.ServeHTTP(w, r)
		case h.mint != nil && token.Serves(path) && len(s.minters()) > 0:
			h.mint.ServeHTTP(w, r)
		case isViewsAnywhere && !strings.HasPrefix(path, "/apps/") && isUpgrade(r):
			h.views.ServeHTTP(w, r)
		case h.page != nil && page.Serves(path):
			h.page.ServeHTTP(w, r)
		default:
			h.api.ServeHTTP(w, r)
		}
	})
}

func isChannels(path string) bool { return path == "/app" || strings.HasPrefix(path, "/app/") }

func isUpgrade(r *http.Request) bool { return strings.EqualFold(r.Header.Get("Upgrade"), "websocket") }

// operatorHandler serves metrics, numbers and profiles. It must not be reachable by clients.
func operatorHandler(g prometheus.Gatherer, stats http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /stats", stats)
	mux.Handle("GET /usage", stats)
	mux.Handle("GET /metrics", metrics.Handler(g))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}
