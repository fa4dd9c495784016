package httpapi

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/problem"
)

// Route is one thing that can be asked of an app.
type Route struct {
	Name   string // in metrics and logs
	Method string // GET takes HEAD, too: it is GET without a body of the answer
	// Path is what follows /apps/{app_id}/ in a raw path. {name} in it is one segment, and {name...} is
	// any text: some names have slashes of their own. Either is decoded, and not empty.
	Path string
	// Needs is the right that a key must have, unless it has all.
	Needs app.Rights
	// IsPublish: it spends the app's events per second (see [Request.Spend]) instead of its requests.
	IsPublish bool
	// HasNoApp: the path may stand without /apps/{app_id} before it. The app is then that one whose key
	// has signed.
	HasNoApp bool
	// Unsigned admits a client that names no key: it sets Reader, or says why not. Pages of origins that
	// the app does not admit may not read the answers of such a path. Without Unsigned every request must
	// be signed.
	Unsigned func(ctx context.Context, r *Request) *problem.Problem
	// Serve answers into Out and Header of r, or returns a problem.
	Serve func(ctx context.Context, r *Request) *problem.Problem
}

// endpoint is a route with what it is counted in.
type endpoint struct {
	Route
	ok      prometheus.Counter
	seconds prometheus.Observer
}

// resource is a path with its routes by method.
type resource struct {
	endpoints []*endpoint
	allow     string // their methods
	hasReader bool   // one of them admits clients that do not sign
	hasNoApp  bool   // see Route.HasNoApp

	prefix, suffix string // around the name
	isDeep         bool   // the name may have slashes
}

// choose is the endpoint of a method, nil if the path has none.
func (p *resource) choose(method string) *endpoint {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for _, e := range p.endpoints {
		if e.Method == method {
			return e
		}
	}
	return nil
}

// name is the name of a request with that method, for logs and metrics: where the path does not have
// the method, the name of its first route.
func (p *resource) name(method string) string {
	if e := p.choose(method); e != nil {
		return e.Name
	}
	return p.endpoints[0].Name
}

// table has the routes of the API. It is immutable.
type table struct {
	fixed map[string]*resource // by path
	named []*resource          // with a name in the path
	alone []*resource          // of them, those that may stand without an app
}

// newTable makes a table. Routes of one path stand in the order in which Allow names their methods.
func newTable(routes []Route, m *Metrics) *table {
	t := &table{fixed: map[string]*resource{}}
	byPath := map[string]*resource{}
	for _, route := range routes {
		p := byPath[route.Path]
		if p == nil {
			p = t.add(route.Path)
			byPath[route.Path] = p
		}
		e := &endpoint{Route: route, ok: m.requests.WithLabelValues(route.Name, "ok"), seconds: m.seconds.WithLabelValues(route.Name)}
		p.endpoints = append(p.endpoints, e)
		p.hasReader = p.hasReader || route.Unsigned != nil
		if route.HasNoApp && !p.hasNoApp {
			p.hasNoApp = true
			t.alone = append(t.alone, p)
		}
		if p.allow != "" {
			p.allow += ", "
		}
		p.allow += route.Method
		if route.Method == http.MethodGet {
			p.allow += ", " + http.MethodHead
		}
	}
	return t
}

// add makes the resource of a path.
func (t *table) add(path string) *resource {
	p := new(resource)
	prefix, rest, hasName := strings.Cut(path, "{")
	if !hasName {
		t.fixed[path] = p
		return p
	}
	pattern, suffix, _ := strings.Cut(rest, "}")
	p.prefix, p.suffix, p.isDeep = prefix, suffix, strings.HasSuffix(pattern, "...")
	t.named = append(t.named, p)
	return p
}

// nameIn is the name in a path, not decoded.
func (p *resource) nameIn(path string) (name string, ok bool) {
	name, hasPrefix := strings.CutPrefix(path, p.prefix)
	name, hasSuffix := strings.CutSuffix(name, p.suffix)
	return name, hasPrefix && hasSuffix && name != "" && (p.isDeep || !strings.Contains(name, "/"))
}

// target is what a path of the API means.
type target struct {
	resource *resource // nil: nothing
	appID    string    // empty: the path leaves the app to auth_key
	name     string    // in the path, decoded
}

const appsPath = "/apps/"

// isAPI reports whether a raw path is for the API to answer or to refuse.
func (t *table) isAPI(path string) bool {
	if strings.HasPrefix(path, appsPath) {
		return true
	}
	for _, p := range t.alone {
		if strings.HasPrefix(path, "/") && strings.HasPrefix(path[1:], p.prefix) && strings.HasSuffix(path, p.suffix) {
			return true
		}
	}
	return false
}

// match reads a raw path. Segments are split before they are decoded, so an escaped slash is part of
// a name.
func (t *table) match(path string) target {
	rest, ok := strings.CutPrefix(path, appsPath)
	if !ok {
		return t.matchAlone(path)
	}
	appID, rest, ok := strings.Cut(rest, "/")
	if !ok || appID == "" {
		return target{}
	}
	p, name := t.fixed[rest], ""
	if p == nil {
		p, name = find(t.named, rest)
	}
	if p == nil {
		return target{}
	}
	appID, err1 := url.PathUnescape(appID)
	name, err2 := url.PathUnescape(name)
	if err1 != nil || err2 != nil {
		return target{}
	}
	return target{p, appID, name}
}

// matchAlone reads a raw path without an app.
func (t *table) matchAlone(path string) target {
	path, ok := strings.CutPrefix(path, "/")
	if !ok {
		return target{}
	}
	p, name := find(t.alone, path)
	name, err := url.PathUnescape(name)
	if p == nil || err != nil {
		return target{}
	}
	return target{resource: p, name: name}
}

// find is the first of list that a path means, nil for none, and the name in the path.
func find(list []*resource, path string) (*resource, string) {
	for _, p := range list {
		if name, ok := p.nameIn(path); ok {
			return p, name
		}
	}
	return nil, ""
}

// RawPath is the path as it stands on the request line, which the backend has signed.
func RawPath(r *http.Request) string {
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
