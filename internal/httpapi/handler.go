package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/protocol"
)

// Channels is what the API asks of the channel engine; see [channel.Engine]. Publish must
// not keep the slice of events.
type Channels interface {
	Publish(ctx context.Context, a *app.App, events []channel.Event) error
	Channels(a *app.App, prefix string) []channel.Status
	Channel(a *app.App, name string) channel.Status
	Members(a *app.App, name string) []protocol.Member
	Cached(ctx context.Context, a *app.App, name string) (*bus.Retained, error)
}

var _ Channels = (*channel.Engine)(nil)

const (
	defaultMaxBody = 10 << 20
	defaultMaxWait = time.Second
)

// Options of a handler. Apps and Channels are required; other zero fields mean the default.
type Options struct {
	Apps     app.Registry
	Channels Channels

	MaxBody  int64            // bytes of a request body; default 10 MB
	MaxWait  time.Duration    // for room in the fan-out, before 503; default 1 s
	Draining func() bool      // whether shutdown has begun; default never
	Now      func() time.Time // default time.Now
	Log      *slog.Logger     // default none
	Metrics  *Metrics         // default unregistered
}

// handler serves everything below /apps, /up and /live.
type handler struct {
	o       Options
	limits  limits
	calls   sync.Pool // of *call
	headers headers
}

// New makes the handler. It answers 404 to every path it does not know, and compares raw
// paths: put no mux before it that cleans them.
func New(o Options) http.Handler {
	if o.MaxBody <= 0 {
		o.MaxBody = defaultMaxBody
	}
	if o.MaxWait <= 0 {
		o.MaxWait = defaultMaxWait
	}
	if o.Draining == nil {
		o.Draining = func() bool { return false }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	return &handler{
		o:       o,
		calls:   sync.Pool{New: func() any { return new(call) }},
		headers: newHeaders(),
	}
}

// ServeHTTP implements http.Handler.
//
//millrace:hot BenchmarkPublishHandler TestPublishAllocs
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := rawPath(r)
	if rest, ok := strings.CutPrefix(path, "/apps/"); ok {
		h.serveApps(w, r, path, rest)
		return
	}
	h.serveHealth(w, r, path)
}

// rawPath is the path as it stands on the request line, which is what is signed.
func rawPath(r *http.Request) string {
	if !strings.HasPrefix(r.RequestURI, "/") { // a proxy's absolute form, or a request made by hand
		return r.URL.EscapedPath()
	}
	path, _, _ := strings.Cut(r.RequestURI, "?")
	return path
}

// serveApps applies the checks in the order of pusher-protocol 5.1: route, method, body
// size, authentication, limits, then whatever the route wants.
func (h *handler) serveApps(w http.ResponseWriter, r *http.Request, path, rest string) {
	h.headers.allowOrigin(w, r)
	t, ok := match(rest)
	if !ok {
		h.headers.notFound(w)
		return
	}
	if r.Method == http.MethodOptions {
		h.headers.preflight(w)
		return
	}
	start := h.o.Now()
	c := h.calls.Get().(*call)
	c.target, c.path = t, path
	f := h.serve(c, r, start)
	if f != nil {
		h.headers.refuse(w, c, f)
	} else {
		h.headers.answer(w, c.out)
	}
	h.o.Metrics.observe(t.route, f, h.o.Now().Sub(start))
	c.reset()
	h.calls.Put(c)
}

// call is one request under way. Its buffers are used again by later ones.
type call struct {
	target target
	path   string
	query  query
	body   *bufpool.Buffer
	app    *app.App

	publish publish
	out     []byte // the answer's body
}

const maxKeptOut = 64 << 10

// reset forgets the request, so that nothing of it is kept alive by the pool.
func (c *call) reset() {
	c.target, c.path, c.app = target{}, "", nil
	c.query.Reset()
	c.publish.reset()
	if c.body != nil {
		c.body.Release()
		c.body = nil
	}
	if cap(c.out) > maxKeptOut {
		c.out = nil
	}
	c.out = c.out[:0]
}

// serve answers into c.out, or fails.
func (h *handler) serve(c *call, r *http.Request, now time.Time) *failure {
	route := c.target.route
	if r.Method != route.method() {
		return failMethod(route.method())
	}
	if f := h.readBody(c, r); f != nil {
		return f
	}
	if f := h.authenticate(c, r, now); f != nil {
		return f
	}
	if f := h.limits.check(c.app, route.publishes(), now); f != nil {
		return f
	}
	switch route {
	case routeEvents:
		return h.publishEvent(r.Context(), c, now)
	case routeBatch:
		return h.publishBatch(r.Context(), c, now)
	case routeChannels:
		return h.listChannels(c)
	case routeChannel:
		return h.showChannel(r.Context(), c)
	case routeUsers:
		return h.listUsers(c)
	default: // routeTerminate: nobody can be signed in, so there is nobody to disconnect
		c.out = append(c.out, `{"ok":true}`...)
		return nil
	}
}
