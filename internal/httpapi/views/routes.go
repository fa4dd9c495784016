package views

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/definition"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/entity/owner"
	"github.com/millrace/millrace/internal/httpapi"
	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/query"
	"github.com/millrace/millrace/internal/reader"
	"github.com/millrace/millrace/internal/token"
	"github.com/millrace/millrace/internal/view"
)

// Engine is what the API asks of the view engine; see [view.Engine].
type Engine interface {
	Views(app string) []view.Info
	Read(app string, r *protocol.ViewRequest, l view.Limits) (*view.Result, *protocol.Issue)
	// Reserve waits until there is room for what b will publish.
	Reserve(ctx context.Context, b *entity.Batch) error
}

// Definitions is what the API asks of the catalog of derived views; see [definition.Catalog].
type Definitions interface {
	Define(ctx context.Context, app string, d *query.Definition, isStored bool) error
	Remove(ctx context.Context, app, id string) error
}

// Entities is what the API asks of the owner of entities; see [owner.Owner].
type Entities interface {
	// Apply keeps nothing of b but the Append of its mutations.
	Apply(ctx context.Context, b *entity.Batch) (entity.Seq, error)
}

// Revocations is what the API asks of the list of revoked session tokens; see [token.Revocations].
type Revocations interface {
	Revoke(ctx context.Context, app, id string, until time.Time) error
}

var (
	_ Engine      = (*view.Engine)(nil)
	_ Definitions = (*definition.Catalog)(nil)
	_ Entities    = (*owner.Owner)(nil)
	_ Revocations = (*token.Revocations)(nil)
)

const (
	defaultMaxBatch = 1000
	defaultMaxRows  = 1000
)

// Options of the routes. Zero fields mean the default; the routes of an engine that is not given do
// not exist.
type Options struct {
	Views       Engine
	Definitions Definitions // changes what derived views there are; with Views
	Entities    Entities    // takes mutations
	Revocations Revocations // ends session tokens

	// Readers says who may read which views of an app without a signature; nil: no client.
	Readers      *reader.Rules
	ReaderLimits ReaderLimits
	// IsSecure reports whether a request came over TLS, to this server or a trusted proxy; default
	// to this server.
	IsSecure func(*http.Request) bool
	// HasEntity reports whether an app has an entity type; default any.
	HasEntity func(appID, name string) bool

	MaxBatch int           // mutations of a batch; default 1000
	MaxRows  int           // of the answer to one read of a view; default 1000
	Answers  *limit.Budget // as many bytes bound the answers to readers that are under way; default none

	Log *slog.Logger // default none
}

// withDefaults is o with defaults in the place of zero fields.
func (o Options) withDefaults() Options {
	if o.MaxBatch <= 0 {
		o.MaxBatch = defaultMaxBatch
	}
	if o.MaxRows <= 0 {
		o.MaxRows = defaultMaxRows
	}
	if o.IsSecure == nil {
		o.IsSecure = func(r *http.Request) bool { return r.TLS != nil }
	}
	if o.HasEntity == nil {
		o.HasEntity = func(string, string) bool { return true }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// handler answers the routes.
type handler struct {
	o       Options
	readers readers
	answers *answers  // bounds of large answers to readers without a signature
	batches sync.Pool // of *entity.Batch, empty

	exposed, revalidate []string // values of headers that all answers share
}

// Routes are what can be asked about the views of an app.
func Routes(o Options) []httpapi.Route {
	h := newHandler(o)
	var routes []httpapi.Route
	if o.Entities != nil {
		routes = append(routes,
			httpapi.Route{Name: "mutations", Method: http.MethodPost, Path: "mutations", Needs: app.RightsPublish, IsPublish: true, Serve: h.mutate})
	}
	if o.Views != nil {
		const all, one = "views", "views/{name...}" // the id of a view has slashes of its own
		routes = append(routes,
			httpapi.Route{Name: "views", Method: http.MethodGet, Path: all, Needs: app.RightsRead, Unsigned: h.admitReader, Serve: h.listViews},
			httpapi.Route{Name: "define_view", Method: http.MethodPost, Path: all, Serve: h.defineView},
			httpapi.Route{Name: "view", Method: http.MethodGet, Path: one, Needs: app.RightsRead, Unsigned: h.admitReader, Serve: h.showView},
			httpapi.Route{Name: "remove_view", Method: http.MethodDelete, Path: one, Serve: h.removeView})
	}
	if o.Revocations != nil {
		routes = append(routes, httpapi.Route{Name: "revoke_session", Method: http.MethodPost, Path: "sessions/revoke", Serve: h.revoke})
	}
	return routes
}

func newHandler(o Options) *handler {
	o = o.withDefaults()
	return &handler{
		o: o, readers: newReaders(), answers: newAnswers(o.Answers),
		batches: sync.Pool{New: func() any { return new(entity.Batch) }},
		exposed: []string{"ETag, " + positionHeader}, revalidate: []string{"private, no-cache"},
	}
}
