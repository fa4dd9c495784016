package httpapi

import (
	"net/http"
	"net/url"
	"strings"
)

// route is one endpoint below /apps/{app_id}.
type route uint8

const (
	routeEvents route = iota
	routeBatch
	routeChannels
	routeChannel
	routeUsers
	routeTerminate
	routeMutations
	routeViews
	routeDefine
	routeView
	routeRemove
	routeRevoke
	numRoutes
)

// String names the route, for metrics.
func (r route) String() string {
	return [numRoutes]string{
		"events", "batch_events", "channels", "channel", "channel_users", "terminate_connections",
		"mutations", "views", "define_view", "view", "remove_view", "revoke_session",
	}[r]
}

func (r route) method() string {
	switch r {
	case routeEvents, routeBatch, routeTerminate, routeMutations, routeDefine, routeRevoke:
		return http.MethodPost
	case routeRemove:
		return http.MethodDelete
	default:
		return http.MethodGet
	}
}

// publishes reports whether r spends the app's events per second instead of its requests.
func (r route) publishes() bool {
	return r == routeEvents || r == routeBatch || r == routeMutations
}

// readsViews reports whether r may be asked with the token of a session, unsigned.
func (r route) readsViews() bool { return r == routeViews || r == routeView }

// with is the route that the same path has with another method, r itself if none is.
func (r route) with(method string) route {
	switch {
	case r == routeViews && method == http.MethodPost:
		return routeDefine
	case r == routeView && method == http.MethodDelete:
		return routeRemove
	default:
		return r
	}
}

// methods are those that the path of r has, for Allow.
func (r route) methods() string {
	switch r {
	case routeViews:
		return "GET, POST"
	case routeView:
		return "GET, DELETE"
	default:
		return r.method()
	}
}

// target is what a path below /apps/ means.
type target struct {
	route route
	appID string
	name  string // the channel, user or view, decoded
}

// match reads what follows /apps/ in a raw path. Segments are split before they are
// decoded, so an escaped slash is part of a name. The id of a view is the whole rest of a
// path, for it has slashes of its own.
func match(rest string) (target, bool) {
	appID, rest, ok := strings.Cut(rest, "/")
	if !ok || appID == "" {
		return target{}, false
	}
	first, rest, deeper := strings.Cut(rest, "/")
	name, last, third := strings.Cut(rest, "/")
	t := target{}
	switch {
	case first == "events" && !deeper:
		t.route = routeEvents
	case first == "batch_events" && !deeper:
		t.route = routeBatch
	case first == "channels" && !deeper:
		t.route = routeChannels
	case first == "channels" && name != "" && !third:
		t.route = routeChannel
	case first == "channels" && name != "" && last == "users":
		t.route = routeUsers
	case first == "users" && name != "" && last == "terminate_connections":
		t.route = routeTerminate
	case first == "mutations" && !deeper:
		t.route = routeMutations
	case first == "views" && !deeper:
		t.route = routeViews
	case first == "views" && rest != "":
		t.route, name = routeView, rest
	case first == "sessions" && rest == "revoke":
		t.route, name = routeRevoke, ""
	default:
		return target{}, false
	}
	var err1, err2 error
	t.appID, err1 = url.PathUnescape(appID)
	t.name, err2 = url.PathUnescape(name)
	return t, err1 == nil && err2 == nil
}
