package httpapi

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/millrace/millrace/internal/app"
)

// route is one endpoint below /apps/{app_id}, or the one beside it; see matchBeside.
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
	routeWebhooks
	routeDead
	routeReplay
	routeDiscard
	routeOnline
	routeConnections
	routeConnection
	routeClose
	routeTrace
	numRoutes
)

// String names the route, for metrics.
func (r route) String() string {
	return [numRoutes]string{
		"events", "batch_events", "channels", "channel", "channel_users", "terminate_connections",
		"mutations", "views", "define_view", "view", "remove_view", "revoke_session",
		"webhooks", "dead_webhooks", "replay_webhooks", "discard_webhooks", "online_users",
		"connections", "connection", "close_connection", "trace_connection",
	}[r]
}

func (r route) method() string {
	switch r {
	case routeEvents, routeBatch, routeTerminate, routeMutations, routeDefine, routeRevoke, routeReplay, routeDiscard, routeTrace:
		return http.MethodPost
	case routeRemove, routeClose:
		return http.MethodDelete
	default:
		return http.MethodGet
	}
}

// takes reports whether r has a method. HEAD is GET without a body of the answer.
func (r route) takes(method string) bool {
	own := r.method()
	return method == own || method == http.MethodHead && own == http.MethodGet
}

// publishes reports whether r spends the app's events per second instead of its requests.
func (r route) publishes() bool {
	return r == routeEvents || r == routeBatch || r == routeMutations
}

// needs is the right that a key must have for r: all of them, unless r is named here.
func (r route) needs() app.Rights {
	switch r {
	case routeEvents, routeBatch, routeMutations:
		return app.RightsPublish
	case routeChannels, routeChannel, routeUsers, routeViews, routeView, routeWebhooks, routeDead, routeOnline,
		routeConnections, routeConnection:
		return app.RightsRead
	default:
		return app.RightsAll
	}
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
	case r == routeConnection && method == http.MethodDelete:
		return routeClose
	default:
		return r
	}
}

// methods are those that the path of r has, for Allow.
func (r route) methods() string {
	switch {
	case r == routeViews:
		return "GET, HEAD, POST"
	case r == routeView, r == routeConnection:
		return "GET, HEAD, DELETE"
	case r.method() == http.MethodGet:
		return "GET, HEAD"
	default:
		return r.method()
	}
}

// target is what a path of the API means.
type target struct {
	route route
	appID string // empty: the path leaves the app to auth_key
	name  string // the channel, user, view or connection, decoded
}

const (
	appsPath        = "/apps/"
	usersPath       = "/users/"
	terminateSuffix = "/terminate_connections"
)

// isAPI reports whether a raw path is for the API to answer or to refuse.
func isAPI(path string) bool {
	return strings.HasPrefix(path, appsPath) || strings.HasPrefix(path, usersPath) && strings.HasSuffix(path, terminateSuffix)
}

// matchPath reads a raw path.
func matchPath(path string) (target, bool) {
	if rest, ok := strings.CutPrefix(path, appsPath); ok {
		return match(rest)
	}
	return matchBeside(path)
}

// matchBeside reads the only path without an app: pusher-http-python leaves the app out when it
// closes the connections of a user, and signs the shorter path.
func matchBeside(path string) (target, bool) {
	name, ok := strings.CutPrefix(path, usersPath)
	if !ok {
		return target{}, false
	}
	r, name, ok := matchUser(name)
	name, err := url.PathUnescape(name)
	return target{route: r, name: name}, ok && err == nil
}

// matchUser reads what follows users/, and the id in it.
func matchUser(rest string) (r route, id string, ok bool) {
	// Server libraries write the id as it is, so it may have slashes of its own.
	id, ok = strings.CutSuffix(rest, terminateSuffix)
	return routeTerminate, id, ok && id != ""
}

// match reads what follows /apps/ in a raw path. Segments are split before they are
// decoded, so an escaped slash is part of a name. The id of a view is the whole rest of a
// path, for it has slashes of its own.
func match(rest string) (target, bool) {
	appID, rest, ok := strings.Cut(rest, "/")
	if !ok || appID == "" {
		return target{}, false
	}
	r, name, ok := matchBelow(rest)
	if !ok {
		return target{}, false
	}
	appID, err1 := url.PathUnescape(appID)
	name, err2 := url.PathUnescape(name)
	return target{r, appID, name}, err1 == nil && err2 == nil
}

// matchFixed knows the paths without a name in them.
func matchFixed(rest string) (route, bool) {
	switch rest {
	case "events":
		return routeEvents, true
	case "batch_events":
		return routeBatch, true
	case "channels":
		return routeChannels, true
	case "mutations":
		return routeMutations, true
	case "views":
		return routeViews, true
	case "sessions/revoke":
		return routeRevoke, true
	case "webhooks":
		return routeWebhooks, true
	case "webhooks/dead":
		return routeDead, true
	case "webhooks/dead/replay":
		return routeReplay, true
	case "webhooks/dead/discard":
		return routeDiscard, true
	case "users":
		return routeOnline, true
	case "connections":
		return routeConnections, true
	default:
		return 0, false
	}
}

// matchBelow reads what follows the app, and the name in it.
func matchBelow(rest string) (r route, name string, ok bool) {
	if r, ok = matchFixed(rest); ok {
		return r, "", true
	}
	first, rest, _ := strings.Cut(rest, "/")
	name, last, deeper := strings.Cut(rest, "/")
	switch {
	case rest == "":
		return 0, "", false
	case first == "views":
		return routeView, rest, true
	case first == "users":
		return matchUser(rest)
	case name == "":
		return 0, "", false
	case first == "channels" && !deeper:
		return routeChannel, name, true
	case first == "channels" && last == "users":
		return routeUsers, name, true
	case first == "connections" && !deeper:
		return routeConnection, name, true
	case first == "connections" && last == "trace":
		return routeTrace, name, true
	default:
		return 0, "", false
	}
}
