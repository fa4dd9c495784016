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
	numRoutes
)

// String names the route, for metrics.
func (r route) String() string {
	return [numRoutes]string{"events", "batch_events", "channels", "channel", "channel_users", "terminate_connections"}[r]
}

func (r route) method() string {
	switch r {
	case routeEvents, routeBatch, routeTerminate:
		return http.MethodPost
	default:
		return http.MethodGet
	}
}

func (r route) publishes() bool { return r == routeEvents || r == routeBatch }

// target is what a path below /apps/ means.
type target struct {
	route route
	appID string
	name  string // the channel or user, decoded
}

// match reads what follows /apps/ in a raw path. Segments are split before they are
// decoded, so an escaped slash is part of a name.
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
	default:
		return target{}, false
	}
	var err1, err2 error
	t.appID, err1 = url.PathUnescape(appID)
	t.name, err2 = url.PathUnescape(name)
	return t, err1 == nil && err2 == nil
}
