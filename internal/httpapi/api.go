package httpapi

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/auth"
	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/problem"
)

const (
	defaultMaxBody = 10 << 20
	defaultMaxWait = time.Second
)

// Options of an API. Apps and Routes are required; other zero fields mean the default.
type Options struct {
	Apps   app.Registry
	Routes []Route
	// Node answers every path that is no path of an app, such as /up; default 404.
	Node http.Handler

	// Admin signs requests to every app, with all rights; without a key no request is signed so.
	Admin app.Credential
	// PathPrefix is what clients reach the server below. Requests come without it, and may be
	// signed with it.
	PathPrefix string
	// ClientIP is where a request comes from, after trusted proxies; default its peer.
	ClientIP func(*http.Request) string

	// Requests bounds what one client address asks of routes of apps; default unlimited.
	Requests limit.Rate
	CORS     CORS

	MaxBody int64            // bytes of a request body; default 10 MB
	Bodies  *limit.Budget    // of the bytes of all bodies; default none
	MaxWait time.Duration    // for room in the fan-out, or for a body, before 503; default 1 s
	Now     func() time.Time // default time.Now
	Log     *slog.Logger     // default none
	Metrics *Metrics         // default unregistered
}

// withDefaults is o with defaults in the place of zero fields.
func (o Options) withDefaults() Options {
	if o.Node == nil {
		o.Node = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { NotFound(w) })
	}
	if o.MaxBody <= 0 {
		o.MaxBody = defaultMaxBody
	}
	if o.MaxWait <= 0 {
		o.MaxWait = defaultMaxWait
	}
	if o.ClientIP == nil {
		o.ClientIP = peer
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

// api serves everything below /apps, and what may stand without it.
type api struct {
	o        Options
	table    *table
	limits   limits
	clients  *limit.Windows[netip.Addr]
	samples  samples   // of refusals
	requests sync.Pool // of *Request
	large    *large    // bounds of large bodies
	headers  headers
}

// New makes the handler of the API. It compares raw paths: put no mux before it that cleans them.
func New(o Options) http.Handler {
	o = o.withDefaults()
	a := &api{
		o:       o,
		table:   newTable(o.Routes, o.Metrics),
		clients: limit.NewWindows[netip.Addr](0),
		headers: newHeaders(&o),
		samples: newSamples(),
		large:   newLarge(o.Bodies, o.MaxBody),
	}
	a.requests.New = func() any { return &Request{api: a} }
	return a
}

// peer is the address that a request came from.
func peer(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// ServeHTTP implements http.Handler.
//
//millrace:hot BenchmarkPublishHandler TestPublishAllocs
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := RawPath(r)
	if !a.table.isAPI(path) {
		a.o.Node.ServeHTTP(w, r)
		return
	}
	a.serveApps(w, r, path)
}

// serveApps applies the checks in this order (pusher 5.1): the client's limit, route,
// method, authentication, limits of the app, body, then what the route wants.
func (a *api) serveApps(w http.ResponseWriter, r *http.Request, path string) {
	start := a.o.Now()
	isAllowed := a.headers.cors.allow(w, r)
	if !a.admit(w, r, path, start) {
		return
	}
	t := a.table.match(path)
	if t.resource == nil {
		a.refusePath(r, path, problem.NotFound, causeRoute, start)
		NotFound(w)
		return
	}
	c := a.requests.Get().(*Request)
	c.HTTP, c.Now, c.Name, c.Header = r, start, t.name, w.Header()
	c.appID, c.path = t.appID, path
	c.unreadable = auth.ParseQuery(&c.Query, r.URL.RawQuery)
	isNarrowed := t.resource.hasReader && c.Query.Key() == "" && a.narrow(w, r, t.appID, &isAllowed)
	if r.Method == http.MethodOptions {
		a.headers.cors.preflight(w, t.resource.hasReader, isAllowed, isNarrowed)
	} else {
		a.respond(r.Context(), w, c, t.resource)
	}
	c.reset()
	a.requests.Put(c)
}

// respond answers c, or says why not.
func (a *api) respond(ctx context.Context, w http.ResponseWriter, c *Request, of *resource) {
	defer a.freeBody(c) // gives its reserved bytes back whatever happens
	defer c.endHold()
	var p *problem.Problem
	e := of.choose(c.HTTP.Method)
	if e != nil {
		p = a.serve(ctx, c, e)
	} else {
		e, p = of.endpoints[0], problem.Method(of.allow)
	}
	if p != nil {
		a.headers.refuse(w, c, p)
		a.refuse(c, e.Name, p)
	} else {
		if c.hold != nil {
			c.hold.Begin(w)
		}
		a.headers.answer(w, c)
	}
	a.o.Metrics.observe(e, p, a.o.Now().Sub(c.Now))
}

// serve answers into c.Out, or fails.
func (a *api) serve(ctx context.Context, c *Request, e *endpoint) *problem.Problem {
	if p := a.authenticate(ctx, c, e); p != nil {
		return p
	}
	if p := a.limits.check(c.App, e.IsPublish, c.Now); p != nil {
		return p
	}
	if c.Reader == nil { // a token signs no body, and no route that takes one has any
		if p := a.readBody(ctx, c); p != nil {
			return p
		}
	}
	return e.Serve(ctx, c)
}
