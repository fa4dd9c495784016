package httpapi

import (
	"errors"
	"net/http"
	"strings"

	"github.com/millrace/millrace/internal/app"
)

// Health is how a node does.
type Health uint8

// A node that is degraded serves all clients, but a part that can wait does not work.
const (
	HealthOK Health = iota
	HealthDegraded
	HealthError
)

// serveHealth answers /live, /up and /up/{app_id} (pusher 5.10), / as /up for balancers
// that ask for no other path, and 404 to every other path. These are not signed.
func (h *handler) serveHealth(w http.ResponseWriter, r *http.Request, path string) {
	t, isApp := strings.CutPrefix(path, "/up/")
	isApp = isApp && t != "" && !strings.Contains(t, "/")
	if path != "/live" && path != "/up" && path != "/" && !isApp {
		h.headers.notFound(w)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header()["Allow"] = []string{"GET, HEAD"}
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	switch {
	case path == "/live":
		w.WriteHeader(http.StatusOK)
	case h.o.Draining():
		h.health(w, http.StatusServiceUnavailable, "DRAINING")
	case isApp:
		h.appHealth(w, r, t)
	case h.noApps():
		h.health(w, http.StatusServiceUnavailable, "ERROR")
	default:
		h.nodeHealth(w, r)
	}
}

// nodeHealth answers what Options.Health says.
func (h *handler) nodeHealth(w http.ResponseWriter, r *http.Request) {
	switch h.o.Health(r.Context()) {
	case HealthOK:
		h.health(w, http.StatusOK, "OK")
	case HealthDegraded:
		h.health(w, http.StatusOK, "DEGRADED")
	default:
		h.health(w, http.StatusServiceUnavailable, "ERROR")
	}
}

func (h *handler) appHealth(w http.ResponseWriter, r *http.Request, rawID string) {
	t, ok := match(rawID + "/channels") // decodes the id as every other route does
	a, err := h.o.Apps.ByID(r.Context(), t.appID)
	switch {
	case !ok || errors.Is(err, app.ErrNotFound):
		h.health(w, http.StatusNotFound, "NOT_FOUND")
	case err != nil || !a.Enabled:
		h.health(w, http.StatusServiceUnavailable, "ERROR")
	default:
		h.nodeHealth(w, r)
	}
}

// noApps reports whether the registry can tell that it is empty.
func (h *handler) noApps() bool {
	counted, ok := h.o.Apps.(interface{ Len() int })
	return ok && counted.Len() == 0
}

func (h *handler) health(w http.ResponseWriter, status int, word string) {
	w.Header()["Content-Type"] = h.headers.text
	w.Header()["X-Health-Check"] = []string{word}
	w.WriteHeader(status)
	_, _ = w.Write([]byte(word))
}
