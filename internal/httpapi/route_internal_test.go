package httpapi

import (
	"net/http"
	"testing"

	"github.com/millrace/millrace/internal/app"
)

// TestEveryRouteNeedsARight holds each route against this table: whoever adds one decides here,
// too, who may ask for it.
func TestEveryRouteNeedsARight(t *testing.T) {
	t.Parallel()
	want := map[string]app.Rights{
		"events": app.RightsPublish, "batch_events": app.RightsPublish, "mutations": app.RightsPublish,
		"channels": app.RightsRead, "channel": app.RightsRead, "channel_users": app.RightsRead,
		"views": app.RightsRead, "view": app.RightsRead,
		"webhooks": app.RightsRead, "dead_webhooks": app.RightsRead, "online_users": app.RightsRead,
		"connections": app.RightsRead, "connection": app.RightsRead,
		"terminate_connections": app.RightsAll, "define_view": app.RightsAll, "remove_view": app.RightsAll,
		"revoke_session": app.RightsAll, "replay_webhooks": app.RightsAll, "discard_webhooks": app.RightsAll,
		"close_connection": app.RightsAll, "trace_connection": app.RightsAll,
	}
	if len(want) != int(numRoutes) {
		t.Errorf("the table has %d routes, want %d", len(want), numRoutes)
	}
	for r := range numRoutes {
		if needs := r.needs(); needs != want[r.String()] || needs == "" {
			t.Errorf("%s needs the right %q, want %q", r, needs, want[r.String()])
		}
		if r.needs() == app.RightsRead && r.method() != http.MethodGet {
			t.Errorf("%s changes something, and the right to read suffices", r)
		}
	}
	if needs := numRoutes.needs(); needs != app.RightsAll {
		t.Errorf("a route that nobody thought of needs %q", needs)
	}
}
