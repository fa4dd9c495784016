package channels

import (
	"context"
	"log/slog"
	"net/http"
	"sync"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/httpapi"
	"github.com/millrace/millrace/internal/protocol"
)

// Publisher takes validated events; see [channel.Engine.Publish]. It must keep neither the slice of
// events nor the context.
type Publisher interface {
	Publish(ctx context.Context, a *app.App, events []channel.Event) error
}

// Reader tells about channels. An error says that their owner could not be asked.
type Reader interface {
	Channels(ctx context.Context, a *app.App, prefix string) ([]channel.Status, error)
	Channel(ctx context.Context, a *app.App, name string) (channel.Status, error)
	Members(ctx context.Context, a *app.App, name string) ([]protocol.Member, error)
	ChannelAt(ctx context.Context, a *app.App, name string) (channel.Status, error)
	CachedAt(ctx context.Context, a *app.App, name string) (*bus.Retained, *protocol.StreamPosition, error)
}

// Users ends the connections of signed-in users. An error says that not all could be reached.
type Users interface {
	Terminate(ctx context.Context, a *app.App, userID string) error
}

var (
	_ Publisher = (*channel.Engine)(nil)
	_ Reader    = (*channel.Engine)(nil)
	_ Users     = (*channel.Engine)(nil)
)

// Options of the routes. Publisher and Reader are required; other zero fields mean the default.
type Options struct {
	Publisher   Publisher
	Reader      Reader
	Users       Users   // without it there are none to terminate
	History     History // without it no channel is kept
	MaxHistory  int     // events in one answer; default 100
	Idempotency Idempotency

	Log     *slog.Logger     // default none
	Metrics *httpapi.Metrics // default unregistered
}

// withDefaults is o with defaults in the place of zero fields.
func (o Options) withDefaults() Options {
	o.Idempotency = o.Idempotency.withDefaults()
	if o.MaxHistory <= 0 {
		o.MaxHistory = 100
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = httpapi.NewMetrics(nil)
	}
	return o
}

// handler answers the routes.
type handler struct {
	o         Options
	publishes sync.Pool // of *publish
}

// Routes are what can be asked about the channels of an app.
func Routes(o Options) []httpapi.Route {
	o = o.withDefaults()
	h := &handler{o: o, publishes: sync.Pool{New: func() any { return new(publish) }}}
	return []httpapi.Route{
		{Name: "events", Method: http.MethodPost, Path: "events", Needs: app.RightsPublish, IsPublish: true, Serve: h.publishEvent},
		{Name: "batch_events", Method: http.MethodPost, Path: "batch_events", Needs: app.RightsPublish, IsPublish: true, Serve: h.publishBatch},
		{Name: "channels", Method: http.MethodGet, Path: "channels", Needs: app.RightsRead, Serve: h.listChannels},
		{Name: "channel", Method: http.MethodGet, Path: "channels/{name}", Needs: app.RightsRead, Serve: h.showChannel},
		{Name: "channel_users", Method: http.MethodGet, Path: "channels/{name}/users", Needs: app.RightsRead, Serve: h.listUsers},
		{Name: "history", Method: http.MethodGet, Path: "channels/{name}/history", Needs: app.RightsRead, Serve: h.showHistory},
		{Name: "history_state", Method: http.MethodGet, Path: "channels/{name}/history/state", Needs: app.RightsRead, Serve: h.showHistoryState},
		{Name: "history_reset", Method: http.MethodPost, Path: "channels/{name}/history/reset", Serve: h.resetHistory},
		{Name: "history_purge", Method: http.MethodPost, Path: "channels/{name}/history/purge", Serve: h.purgeHistory},
		{
			// Server libraries write the id as it is, so it may have slashes of its own. pusher-http-python
			// leaves the app out, and signs the shorter path.
			Name: "terminate_connections", Method: http.MethodPost, Path: "users/{name...}/terminate_connections", HasNoApp: true, Serve: h.terminate,
		},
	}
}
