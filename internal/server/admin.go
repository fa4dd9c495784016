package server

import (
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/admin"
)

// adminFaces is the admin API, on the listener that serves it; both are nil when it is turned
// off.
func (s *Server) adminFaces(prom prometheus.Registerer) (public, private http.Handler) {
	c := &s.cfg.Admin
	if c.Key == "" {
		return nil, nil
	}
	face := admin.New(admin.Options{
		Apps:     s.directory,
		Key:      c.Key,
		Secret:   c.Secret.Reveal(),
		Import:   importApps,
		Rotated:  s.audit.KeyRotation,
		ClientIP: s.proxies.clientIP,
		Requests: rate(s.cfg.Limits.APIRequests),
		MaxBody:  int64(s.cfg.HTTP.MaxBody),
		Log:      s.log,
		Metrics:  admin.NewMetrics(prom),
	})
	if c.Private {
		return nil, face
	}
	return face, nil
}

func isAdmin(path string) bool { return strings.HasPrefix(path, "/admin/") }

// beside sends requests to the admin API, if there is one, and all others to h. It compares
// paths as they are, for they are signed.
func beside(face, h http.Handler) http.Handler {
	if face == nil {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isAdmin(r.URL.Path) {
			face.ServeHTTP(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}
