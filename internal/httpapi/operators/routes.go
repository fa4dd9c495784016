package operators

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/httpapi"
	"github.com/millrace/millrace/internal/problem"
)

// timeout is how long operators wait for an answer; less than a connection has for it.
const timeout = 20 * time.Second

// Options of the routes. The routes of an engine that is not given do not exist.
type Options struct {
	Connections Connections // lists and closes connections
	Webhooks    Webhooks    // its dead letters and who is online

	Log *slog.Logger // default none
}

// handler answers the routes.
type handler struct{ o Options }

// Routes are what operators can ask about an app.
func Routes(o Options) []httpapi.Route {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	h := &handler{o}
	var routes []httpapi.Route
	if o.Webhooks != nil {
		routes = append(routes, h.webhooks()...)
	}
	if o.Connections != nil {
		routes = append(routes, h.connections()...)
	}
	for i := range routes {
		routes[i].Serve = limited(routes[i].Serve)
	}
	return routes
}

func (h *handler) webhooks() []httpapi.Route {
	return []httpapi.Route{
		{Name: "webhooks", Method: http.MethodGet, Path: "webhooks", Needs: app.RightsRead, Serve: h.listWebhooks},
		{Name: "dead_webhooks", Method: http.MethodGet, Path: "webhooks/dead", Needs: app.RightsRead, Serve: h.listDead},
		{Name: "replay_webhooks", Method: http.MethodPost, Path: "webhooks/dead/replay", Serve: h.replayDead},
		{Name: "discard_webhooks", Method: http.MethodPost, Path: "webhooks/dead/discard", Serve: h.discardDead},
		{Name: "online_users", Method: http.MethodGet, Path: "users", Needs: app.RightsRead, Serve: h.listOnline},
	}
}

func (h *handler) connections() []httpapi.Route {
	const one = "connections/{name}"
	return []httpapi.Route{
		{Name: "connections", Method: http.MethodGet, Path: "connections", Needs: app.RightsRead, Serve: h.listConnections},
		{Name: "connection", Method: http.MethodGet, Path: one, Needs: app.RightsRead, Serve: h.showConnection},
		{Name: "close_connection", Method: http.MethodDelete, Path: one, Serve: h.closeConnection},
		{Name: "trace_connection", Method: http.MethodPost, Path: one + "/trace", Serve: h.traceConnection},
	}
}

type serve = func(ctx context.Context, r *httpapi.Request) *problem.Problem

// limited is next with a bound on its time.
func limited(next serve) serve {
	return func(ctx context.Context, r *httpapi.Request) *problem.Problem {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		return next(ctx, r)
	}
}

// done is the answer to what has no other.
type done struct {
	OK bool `json:"ok"`
}
