package admin

import (
	"net/http"
	"slices"
	"strings"
)

// route is one endpoint.
type route uint8

const (
	routeNone route = iota
	routeList
	routeCreate
	routeShow
	routeChange
	routeDelete
	routeAddKey
	routeRemoveKey
	routeRotate
	routeImport
	numRoutes
)

// String names the route, for metrics.
func (r route) String() string {
	return [numRoutes]string{
		"unknown", "list_apps", "create_app", "show_app", "change_app", "delete_app", "add_key", "remove_key", "rotate", "import",
	}[r]
}

// target is what a path means: which route with which method.
type target struct {
	route    route // chosen by the method
	routes   []methodRoute
	app, key string // decoded
}

type methodRoute struct {
	method string
	route  route
}

// choose takes the route of a method; false if the path has none. HEAD is GET without a body of
// the answer.
func (t *target) choose(method string) bool {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	i := slices.IndexFunc(t.routes, func(m methodRoute) bool { return m.method == method })
	if i >= 0 {
		t.route = t.routes[i].route
	}
	return i >= 0
}

func (t *target) isImport() bool { return t.routes[0].route == routeImport }

// methods lists the methods of the path, for Allow.
func (t *target) methods() string {
	var names []string
	for _, m := range t.routes {
		names = append(names, m.method)
		if m.method == http.MethodGet {
			names = append(names, http.MethodHead)
		}
	}
	return strings.Join(names, ", ")
}

// match reads a raw path. Segments are split before they are decoded, so an escaped slash is
// part of a name.
func match(path string) (t target, ok bool) {
	segments := strings.Split(strings.TrimPrefix(path, "/admin/"), "/")
	if len(segments) == 1 && segments[0] == "import" {
		t.routes = []methodRoute{{http.MethodPost, routeImport}}
		return t, true
	}
	if segments[0] != "apps" {
		return t, false
	}
	if len(segments) > 1 {
		if t.app, ok = unescape(segments[1]); !ok {
			return t, false
		}
	}
	switch {
	case len(segments) == 1:
		t.routes = []methodRoute{{http.MethodGet, routeList}, {http.MethodPost, routeCreate}}
	case len(segments) == 2:
		t.routes = []methodRoute{{http.MethodGet, routeShow}, {http.MethodPatch, routeChange}, {http.MethodDelete, routeDelete}}
	case len(segments) == 3 && segments[2] == "keys":
		t.routes = []methodRoute{{http.MethodPost, routeAddKey}}
	case len(segments) == 3 && segments[2] == "rotate":
		t.routes = []methodRoute{{http.MethodPost, routeRotate}}
	case len(segments) == 4 && segments[2] == "keys":
		t.routes = []methodRoute{{http.MethodDelete, routeRemoveKey}}
		t.key, ok = unescape(segments[3])
		return t, ok
	default:
		return t, false
	}
	return t, true
}
