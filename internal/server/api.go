package server

import (
	"net/http"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/gate"
	"github.com/millrace/millrace/internal/httpapi"
	"github.com/millrace/millrace/internal/httpapi/channels"
	"github.com/millrace/millrace/internal/httpapi/operators"
	apiviews "github.com/millrace/millrace/internal/httpapi/views"
	"github.com/millrace/millrace/internal/idempotency"
	"github.com/millrace/millrace/internal/idempotency/local"
	"github.com/millrace/millrace/internal/limit"
)

// newAPI makes the HTTP API that backends and operators call.
func (s *Server) newAPI(prom prometheus.Registerer, bodies *limit.Budget, stats http.Handler) http.Handler {
	cfg, m := s.cfg, httpapi.NewMetrics(prom)
	node := operators.NodeOptions{Apps: s.apps, Health: s.health, Draining: s.isUnready}
	if cfg.HTTP.Stats {
		node.Stats = stats
	}
	routes := slices.Concat(
		channels.Routes(s.channelRoutes(prom, m)),
		operators.Routes(operators.Options{Connections: s.connections(), Webhooks: s.webhooks, Log: s.log}),
	)
	if cfg.Views.Enabled {
		routes = append(routes, apiviews.Routes(s.viewRoutes(bodies))...)
	}
	return httpapi.New(httpapi.Options{
		Apps:     s.apps,
		Routes:   routes,
		Node:     operators.NewNode(node),
		Admin:    app.Credential{Key: cfg.Admin.Key, Secret: cfg.Admin.Secret.Reveal(), Rights: app.RightsAll},
		ClientIP: s.proxies.ClientIP, PathPrefix: cfg.HTTP.PathPrefix,
		Requests: rate(cfg.Limits.APIRequests),
		CORS:     cors(&cfg.HTTP),
		MaxBody:  int64(cfg.HTTP.MaxBody),
		Bodies:   bodies,
		Log:      s.log,
		Metrics:  m,
	})
}

// channelRoutes are the options of what is asked about channels. Publishes pass the gate, and
// projections where there are views.
func (s *Server) channelRoutes(prom prometheus.Registerer, m *httpapi.Metrics) channels.Options {
	s.publisher = gate.Publisher{Next: s.channels, Gate: s.gate}
	if s.cfg.Views.Enabled {
		s.publisher = gate.Publisher{Next: s.project(prom), Gate: s.gate}
	}
	c := &s.cfg.Idempotency
	return channels.Options{
		Publisher: s.publisher,
		Reader:    s.channels,
		Users:     s.channels,
		History:   s.bus, MaxHistory: s.cfg.History.MaxPageSize,
		Idempotency: channels.Idempotency{
			Off: !c.Enabled, TTL: c.TTL.D(), MaxKey: c.MaxKeyLength,
			Owner: local.New(idempotency.Limits{
				Keys: c.MaxKeys, Bytes: int64(c.MaxMemory), BytesPerApp: int64(c.MaxMemoryPerApp), Usual: []byte(channels.UsualAnswer),
			}),
		},
		Log:     s.log,
		Metrics: m,
	}
}

// viewRoutes are the options of what is asked about views.
func (s *Server) viewRoutes(bodies *limit.Budget) apiviews.Options {
	c := &s.cfg.Views
	return apiviews.Options{
		Views: s.views, Definitions: s.definitions, Entities: s.mutator(), Revocations: s.revocations,
		Readers: s.readers(), ReaderLimits: readerLimits(c), IsSecure: s.proxies.IsSecure, HasEntity: s.hasEntity,
		MaxBatch: c.MaxBatch, MaxRows: c.ReadMaxRows,
		Answers: bodies,
		Log:     s.log,
	}
}

// cors is what pages of other origins may do; Check has found its origins good.
func cors(c *config.HTTP) httpapi.CORS {
	origins, err := app.ParseOrigins(c.CORSOrigins)
	return httpapi.CORS{
		Off: len(c.CORSOrigins) == 0 || err != nil, Origins: origins, Credentials: c.CORSCredentials,
		Methods: c.CORSMethods, Headers: c.CORSHeaders,
	}
}
