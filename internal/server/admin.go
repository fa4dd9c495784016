package server

import (
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/admin"
	"github.com/millrace/millrace/internal/audit"
	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/provision"
	"github.com/millrace/millrace/internal/store/embedded"
	"github.com/millrace/millrace/internal/store/postgres"
)

var (
	_ admin.Signatures = (*embedded.Store)(nil)
	_ admin.Signatures = (*postgres.Store)(nil)
)

// adminHandlers is the admin API, on the listener that serves it; both are nil when it is turned
// off.
func (s *Server) adminHandlers(prom prometheus.Registerer, bodies *limit.Budget) (public, private http.Handler) {
	c := &s.cfg.Admin
	if c.Key == "" {
		return nil, nil
	}
	o := admin.Options{
		Apps:     s.directory,
		Key:      c.Key,
		Secret:   c.Secret.Reveal(),
		Import:   provision.Import,
		Rotated:  s.audit.KeyRotation,
		Replayed: s.replayed,
		ClientIP: s.proxies.ClientIP, PathPrefix: s.cfg.HTTP.PathPrefix,
		Requests: rate(s.cfg.Limits.APIRequests),
		MaxBody:  int64(s.cfg.HTTP.MaxBody),
		Bodies:   bodies,
		Log:      s.log,
		Metrics:  admin.NewMetrics(prom),
	}
	switch { // all nodes that share the apps carry out a request once, over restarts too
	case s.postgres != nil:
		o.Signatures = s.postgres
	case s.store != nil:
		o.Signatures = s.store
	}
	handler := admin.New(o)
	if c.Private {
		return nil, handler
	}
	return handler, nil
}

// replayed tells the audit log of a request to the admin API that came again.
func (s *Server) replayed(clientIP, method, path string) {
	s.audit.SuspiciousPattern(audit.Source{ClientIP: clientIP, Path: path}, "replayed_request", method+" that was received already")
}

func isAdmin(path string) bool { return strings.HasPrefix(path, "/admin/") }

// beside sends requests to the admin API, if there is one, and all others to h. It compares
// paths as they are, for they are signed.
func beside(first, h http.Handler) http.Handler {
	if first == nil {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isAdmin(r.URL.Path) {
			first.ServeHTTP(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}
