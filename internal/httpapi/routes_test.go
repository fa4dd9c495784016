package httpapi_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/httpapi"
	"github.com/millrace/millrace/internal/httpapi/apitest"
	"github.com/millrace/millrace/internal/httpapi/channels"
	"github.com/millrace/millrace/internal/httpapi/operators"
	"github.com/millrace/millrace/internal/httpapi/views"
)

// everyRoute has the routes of all parts of the API.
func everyRoute(t *testing.T) (all []httpapi.Route) {
	t.Helper()
	apitest.New(t, func(_ *app.App, o *apitest.Options) {
		all = slices.Concat(channels.Routes(o.Channels), views.Routes(o.Views), operators.Routes(o.Operators))
	})
	return all
}

// TestEveryRouteNeedsARight holds each route against this table: the author of a new one decides here,
// too, who may ask for it.
func TestEveryRouteNeedsARight(t *testing.T) {
	t.Parallel()
	want := map[string]app.Rights{
		"events": app.RightsPublish, "batch_events": app.RightsPublish, "mutations": app.RightsPublish,
		"channels": app.RightsRead, "channel": app.RightsRead, "channel_users": app.RightsRead,
		"history": app.RightsRead, "history_state": app.RightsRead,
		"views": app.RightsRead, "view": app.RightsRead,
		"webhooks": app.RightsRead, "dead_webhooks": app.RightsRead, "online_users": app.RightsRead,
		"connections": app.RightsRead, "connection": app.RightsRead,
		"terminate_connections": "", "define_view": "", "remove_view": "", // which is all of them
		"revoke_session": "", "replay_webhooks": "", "discard_webhooks": "",
		"close_connection": "", "trace_connection": "", "history_reset": "", "history_purge": "",
	}
	routes := everyRoute(t)
	if len(want) != len(routes) {
		t.Errorf("the table has %d routes, want %d", len(want), len(routes))
	}
	seen, paths := map[string]bool{}, map[string]bool{}
	for _, r := range routes {
		if needs, ok := want[r.Name]; !ok || r.Needs != needs {
			t.Errorf("%s needs the right %q, want %q", r.Name, r.Needs, needs)
		}
		if r.Needs == app.RightsRead && r.Method != http.MethodGet {
			t.Errorf("%s changes something, and the right to read suffices", r.Name)
		}
		if r.IsPublish != (r.Needs == app.RightsPublish) {
			t.Errorf("%s: it publishes is %v, and it needs the right %q", r.Name, r.IsPublish, r.Needs)
		}
		if seen[r.Name] || paths[r.Method+r.Path] || r.Serve == nil {
			t.Errorf("%s %s: route %q has no name, path or answer of its own", r.Method, r.Path, r.Name)
		}
		seen[r.Name], paths[r.Method+r.Path] = true, true
	}
}

// TestRoutesMeanWhatTheirPathsSay asks for paths with names in them.
func TestRoutesMeanWhatTheirPathsSay(t *testing.T) {
	t.Parallel()
	apitest.In(t, nil, func(n *apitest.Node) {
		for path, allow := range map[string]string{
			"/apps/77/channels/users":                  "GET, HEAD",
			"/apps/77/channels/users/users":            "GET, HEAD",
			"/apps/77/channels/history/history":        "GET, HEAD",
			"/apps/77/channels/history/history/reset":  "POST",
			"/apps/77/views/a/b/c":                     "GET, HEAD, DELETE",
			"/apps/77/views//":                         "GET, HEAD, DELETE",
			"/apps/77/users/a/b/terminate_connections": "POST",
			"/users/a/b/terminate_connections":         "POST",
			"/apps/77/users":                           "GET, HEAD",
			"/apps/77/webhooks/dead":                   "GET, HEAD",
		} {
			if w := n.Raw("PUT", path, ""); w.Code != 405 || w.Header().Get("Allow") != allow {
				t.Errorf("%s: got %d, Allow %q; want 405, %q", path, w.Code, w.Header().Get("Allow"), allow)
			}
		}
	})
}
