package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/auth"
	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/reader"
	"github.com/millrace/millrace/internal/token"
)

// Channels is what the API asks of the channel engine; see [channel.Engine]. Publish must
// keep neither the slice of events nor the context.
type Channels interface {
	Publish(ctx context.Context, a *app.App, events []channel.Event) error
	Channels(ctx context.Context, a *app.App, prefix string) ([]channel.Status, error)
	Channel(ctx context.Context, a *app.App, name string) (channel.Status, error)
	Members(ctx context.Context, a *app.App, name string) ([]protocol.Member, error)
	Cached(ctx context.Context, a *app.App, name string) (*bus.Retained, error)
}

var _ Channels = (*channel.Engine)(nil)

const (
	defaultMaxBody  = 10 << 20
	defaultMaxWait  = time.Second
	defaultMaxBatch = 1000
	defaultMaxRows  = 1000

	operatorWait = 20 * time.Second // for what operators ask; less than a connection has for its answer
)

// Options of a handler. Apps and Channels are required; other zero fields mean the default.
// The routes of an engine that is not given do not exist.
type Options struct {
	Apps     app.Registry
	Channels Channels

	Users       Users       // terminates connections; without it there are none to terminate
	Entities    Entities    // takes mutations
	Views       Views       // answers for views
	Revocations Revocations // ends session tokens
	Webhooks    Webhooks    // its dead letters and who is online

	Connections Connections // lists and closes connections

	// Admin signs requests to every app, with all rights; without a key no request is signed so.
	Admin app.Credential

	// Readers says who may read which views of an app without a signature; default
	// no client may.
	Readers      *reader.Rules
	ReaderLimits ReaderLimits
	// PathPrefix is what clients reach the server below. Requests come without it, and may be
	// signed with it.
	PathPrefix string
	// ClientIP is where a request comes from, after trusted proxies; default its peer.
	ClientIP func(*http.Request) string
	// IsSecure reports whether a request came over TLS, to this server or a trusted proxy; default
	// to this server.
	IsSecure func(*http.Request) bool
	// HasEntity reports whether an app has an entity type; default any.
	HasEntity func(appID, name string) bool

	MaxBatch int // mutations of a batch; default 1000
	MaxRows  int // of the answer to one read of a view; default 1000

	// Requests bounds what one client address asks of routes of apps; default unlimited.
	Requests    limit.Rate
	CORS        CORS
	Idempotency Idempotency

	// Health is how the parts do that everything needs; default HealthOK.
	Health func(context.Context) Health
	// Stats serves /stats and /usage to every client; see NewStats. Default none: they
	// do not exist here.
	Stats http.Handler

	MaxBody  int64            // bytes of a request body; default 10 MB
	Bodies   *limit.Budget    // of the bytes of all bodies; as many again are for answers of views; default none
	MaxWait  time.Duration    // for room in the fan-out, or for a body, before 503; default 1 s
	Draining func() bool      // whether shutdown has begun; default never
	Now      func() time.Time // default time.Now
	Log      *slog.Logger     // default none
	Metrics  *Metrics         // default unregistered
}

func (o Options) withDefaults() Options {
	if o.MaxBody <= 0 {
		o.MaxBody = defaultMaxBody
	}
	if o.MaxWait <= 0 {
		o.MaxWait = defaultMaxWait
	}
	if o.MaxBatch <= 0 {
		o.MaxBatch = defaultMaxBatch
	}
	if o.MaxRows <= 0 {
		o.MaxRows = defaultMaxRows
	}
	if o.ClientIP == nil {
		o.ClientIP = peer
	}
	if o.IsSecure == nil {
		o.IsSecure = func(r *http.Request) bool { return r.TLS != nil }
	}
	if o.HasEntity == nil {
		o.HasEntity = func(string, string) bool { return true }
	}
	if o.Health == nil {
		o.Health = func(context.Context) Health { return HealthOK }
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
	return o
}

// handler serves everything below /apps and /users, /up and /live.
type handler struct {
	o       Options
	limits  limits
	clients *limit.Windows[netip.Addr]
	readers readers
	samples map[code]*limit.Sampler // of refusals; immutable
	calls   sync.Pool               // of *call
	large   *large                  // bounds of large bodies
	answers *answers                // bounds of large answers to readers without a signature
	headers headers
}

// New makes the handler. It answers 404 to every path it does not know, and compares raw
// paths: put no mux before it that cleans them.
func New(o Options) http.Handler {
	o = o.withDefaults()
	o.Idempotency.setDefaults()
	return &handler{
		o:       o,
		answers: newAnswers(o.Bodies),
		clients: limit.NewWindows[netip.Addr](0),
		readers: newReaders(),
		calls:   sync.Pool{New: func() any { return new(call) }},
		headers: newHeaders(&o),
		samples: newSamples(),
		large:   newLarge(o.Bodies, o.MaxBody),
	}
}

// ServeHTTP implements http.Handler.
//
//millrace:hot BenchmarkPublishHandler TestPublishAllocs
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := rawPath(r)
	if isAPI(path) {
		h.serveApps(w, r, path)
		return
	}
	if h.o.Stats != nil && isStats(path) {
		h.o.Stats.ServeHTTP(w, r)
		return
	}
	h.serveHealth(w, r, path)
}

// rawPath is the path as it stands on the request line, which the backend has signed.
func rawPath(r *http.Request) string {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	if strings.HasPrefix(path, "/") {
		return path
	}
	if _, rest, ok := strings.Cut(path, "://"); ok { // a proxy's absolute form
		if at := strings.IndexByte(rest, '/'); at >= 0 {
			return rest[at:]
		}
	}
	return r.URL.EscapedPath()
}

// serveApps applies the checks in this order (pusher 5.1): the client's limit, route,
// method, authentication, limits of the app, body, then what the route wants.
func (h *handler) serveApps(w http.ResponseWriter, r *http.Request, path string) {
	start := h.o.Now()
	isAllowed := h.headers.cors.allow(w, r)
	if !h.admit(w, r, path, start) {
		return
	}
	t, ok := matchPath(path)
	if !ok || !h.has(t.route) {
		h.refusePath(r, path, codeNotFound, causeRoute, start)
		h.headers.notFound(w)
		return
	}
	c := h.calls.Get().(*call)
	c.target, c.path, c.header, c.keys = t, path, w.Header(), r.Header["X-Idempotency-Key"]
	c.unreadable = auth.ParseQuery(&c.query, r.URL.RawQuery)
	isNarrowed := c.isForReader() && h.narrow(w, r, t.appID, &isAllowed)
	if r.Method == http.MethodOptions {
		h.headers.cors.preflight(w, t.route, isAllowed, isNarrowed)
	} else {
		c.target.route = t.route.with(r.Method)
		h.respond(w, c, r, start)
	}
	c.reset()
	h.calls.Put(c)
}

func (h *handler) respond(w http.ResponseWriter, c *call, r *http.Request, start time.Time) {
	defer h.freeBody(c) // gives its reserved bytes back whatever happens
	defer h.freeAnswer(c)
	f := h.serve(c, r, start)
	if f != nil {
		h.headers.refuse(w, c, f)
		h.refuse(c, r, f, start)
	} else {
		if c.answered > 0 {
			h.answers.press(w, c.answered)
		}
		h.headers.answer(w, c)
	}
	h.o.Metrics.observe(c.target.route, f, h.o.Now().Sub(start))
}

// has reports whether the engine that answers r was given.
func (h *handler) has(r route) bool {
	switch r {
	case routeMutations:
		return h.o.Entities != nil
	case routeViews, routeView:
		return h.o.Views != nil
	case routeRevoke:
		return h.o.Revocations != nil
	case routeWebhooks, routeDead, routeReplay, routeDiscard, routeOnline:
		return h.o.Webhooks != nil
	case routeConnections, routeConnection, routeTrace:
		return h.o.Connections != nil
	default:
		return true
	}
}

// call is one request under way. Its buffers are used again by later ones.
type call struct {
	target target
	path   string
	query  params // empty if it is unreadable
	body   *bufpool.Buffer
	keys   []string // X-Idempotency-Key

	verifier auth.Verifier // goes on from one request to the next
	wait     *waitContext  // nil, or unused
	app      *app.App

	unreadable error // why the query string cannot be read

	reserved int64      // bytes of the budget of all bodies
	large    int64      // bytes taken from the budget of large bodies
	answered int64      // bytes taken from the budget of large answers
	taker    netip.Addr // whose share of it they are

	reader   *token.Principal // who reads without a signature; else nil
	readerID string           // what its budgets are kept under
	publish  publish

	header      http.Header // of the answer
	out         []byte      // its body
	isUnchanged bool        // the client has the answer already
}

const maxKeptOut = 64 << 10

// reset forgets the request, so that nothing of it is kept alive by the pool.
func (c *call) reset() {
	c.target, c.path, c.app, c.header, c.keys, c.isUnchanged = target{}, "", nil, nil, nil, false
	c.reader, c.readerID, c.unreadable, c.taker = nil, "", nil, netip.Addr{}
	c.query.Reset()
	c.publish.reset()
	if cap(c.out) > maxKeptOut {
		c.out = nil
	}
	c.out = c.out[:0]
}

// serve answers into c.out, or fails.
func (h *handler) serve(c *call, r *http.Request, now time.Time) *failure {
	route := c.target.route
	if !route.takes(r.Method) {
		return failMethod(route.methods())
	}
	if f := h.authenticate(c, r, now); f != nil {
		return f
	}
	if f := h.limits.check(c.app, route.publishes(), now); f != nil {
		return f
	}
	if c.reader == nil { // a token signs no body, and no route that takes one has any
		if f := h.readBody(c, r); f != nil {
			return f
		}
	}
	switch route {
	case routeEvents:
		return h.publishEvent(r.Context(), c, now)
	case routeBatch:
		return h.publishBatch(r.Context(), c, now)
	case routeChannels:
		return h.listChannels(r.Context(), c)
	case routeChannel:
		return h.showChannel(r.Context(), c)
	case routeUsers:
		return h.listUsers(r.Context(), c)
	case routeMutations:
		return h.mutate(r.Context(), c, now)
	case routeViews:
		return h.listViews(c, now)
	case routeDefine:
		return h.defineView(r.Context(), c)
	case routeView:
		return h.showView(c, r, now)
	case routeRemove:
		return h.removeView(r.Context(), c)
	case routeRevoke:
		return h.revoke(r.Context(), c, now)
	case routeTerminate:
		return h.terminate(c)
	default:
		return h.operate(r.Context(), c)
	}
}

// operate answers what only operators ask.
func (h *handler) operate(ctx context.Context, c *call) *failure {
	ctx, cancel := context.WithTimeout(ctx, operatorWait)
	defer cancel()
	switch c.target.route {
	case routeWebhooks:
		return h.listWebhooks(c)
	case routeDead:
		return h.listDead(ctx, c)
	case routeReplay:
		return h.treatDead(ctx, c, "replayed", h.o.Webhooks.Replay)
	case routeDiscard:
		return h.treatDead(ctx, c, "discarded", h.o.Webhooks.Discard)
	case routeOnline:
		return h.listOnline(c)
	case routeConnections:
		return h.listConnections(ctx, c)
	case routeConnection:
		return h.showConnection(ctx, c)
	case routeClose:
		return h.closeConnection(c)
	default: // routeTrace
		return h.traceConnection(c)
	}
}
