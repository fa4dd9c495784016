package operators

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/httpapi"
)

// Health is how a node does.
type Health uint8

// A node that is degraded serves all clients, but a part that can wait does not work.
const (
	HealthOK Health = iota
	HealthDegraded
	HealthError
)

// NodeOptions of NewNode. Apps is required; other zero fields mean the default.
type NodeOptions struct {
	Apps app.Registry
	// Health is how the parts do that everything needs; default HealthOK.
	Health   func(context.Context) Health
	Draining func() bool // whether shutdown has begun; default never
	// Stats serves /stats and /usage to every client; see NewStats. Default none: they do not exist
	// here.
	Stats http.Handler
}

// withDefaults is o with defaults in the place of zero fields.
func (o NodeOptions) withDefaults() NodeOptions {
	if o.Health == nil {
		o.Health = func(context.Context) Health { return HealthOK }
	}
	if o.Draining == nil {
		o.Draining = func() bool { return false }
	}
	return o
}

// node answers what is asked about a node.
type node struct {
	o    NodeOptions
	text []string // a value of Content-Type, shared by all answers
}

// NewNode makes the handler of /live, /up and /up/{app_id} (pusher 5.10), of / as /up for balancers
// that ask for no other path, and 404 for every other path. These are not signed.
func NewNode(o NodeOptions) http.Handler {
	return &node{o.withDefaults(), []string{"text/plain; charset=utf-8"}}
}

// ServeHTTP implements http.Handler.
func (n *node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := httpapi.RawPath(r)
	if n.o.Stats != nil && isStats(path) {
		n.o.Stats.ServeHTTP(w, r)
		return
	}
	id, isApp := strings.CutPrefix(path, "/up/")
	isApp = isApp && id != "" && !strings.Contains(id, "/")
	if path != "/live" && path != "/up" && path != "/" && !isApp {
		httpapi.NotFound(w)
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
	case n.o.Draining():
		n.answer(w, http.StatusServiceUnavailable, "DRAINING")
	case isApp:
		n.appHealth(w, r, id)
	case n.noApps():
		n.answer(w, http.StatusServiceUnavailable, "ERROR")
	default:
		n.health(w, r)
	}
}

// health answers what NodeOptions.Health says.
func (n *node) health(w http.ResponseWriter, r *http.Request) {
	switch n.o.Health(r.Context()) {
	case HealthOK:
		n.answer(w, http.StatusOK, "OK")
	case HealthDegraded:
		n.answer(w, http.StatusOK, "DEGRADED")
	default:
		n.answer(w, http.StatusServiceUnavailable, "ERROR")
	}
}

// appHealth answers for the app with an id, as it stands in the path.
func (n *node) appHealth(w http.ResponseWriter, r *http.Request, rawID string) {
	id, err := url.PathUnescape(rawID)
	if err != nil {
		n.answer(w, http.StatusNotFound, "NOT_FOUND")
		return
	}
	a, err := n.o.Apps.ByID(r.Context(), id)
	switch {
	case errors.Is(err, app.ErrNotFound):
		n.answer(w, http.StatusNotFound, "NOT_FOUND")
	case err != nil || !a.Enabled:
		n.answer(w, http.StatusServiceUnavailable, "ERROR")
	default:
		n.health(w, r)
	}
}

// noApps reports whether the registry can tell that it is empty.
func (n *node) noApps() bool {
	counted, ok := n.o.Apps.(interface{ Len() int })
	return ok && counted.Len() == 0
}

func (n *node) answer(w http.ResponseWriter, status int, word string) {
	w.Header()["Content-Type"] = n.text
	w.Header()["X-Health-Check"] = []string{word}
	w.WriteHeader(status)
	_, _ = w.Write([]byte(word))
}
