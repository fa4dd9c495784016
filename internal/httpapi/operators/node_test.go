package operators_test

import (
	"testing"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/httpapi/apitest"
)

func TestHealth(t *testing.T) { // A42, A43
	t.Parallel()
	draining := func(_ *app.App, o *apitest.Options) { o.Up.Draining = func() bool { return true } }
	empty := func(_ *app.App, o *apitest.Options) { o.Apps, _ = app.NewStatic(nil) }
	tests := []struct {
		name   string
		change func(*app.App, *apitest.Options)
		path   string
		status int
		want   string
	}{
		{"the process lives", nil, "/live", 200, ""},
		{"it lives while draining", draining, "/live", 200, ""},
		{"the node is up", nil, "/up", 200, "OK"},
		{"the node is up, for those who know no path", nil, "/", 200, "OK"},
		{"it is draining, for them", draining, "/", 503, "DRAINING"},
		{"an app is up", nil, "/up/77", 200, "OK"},
		{"an app with an escaped id is up", nil, "/up/%377", 200, "OK"},
		{"an unknown app", nil, "/up/none", 404, "NOT_FOUND"},
		{"a disabled app", nil, "/up/79", 503, "ERROR"},
		{"the node is draining", draining, "/up", 503, "DRAINING"},
		{"an app is draining", draining, "/up/77", 503, "DRAINING"},
		{"no app at all", empty, "/up", 503, "ERROR"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			apitest.In(t, tt.change, func(n *apitest.Node) {
				w := n.Raw("GET", tt.path, "")
				n.Expect(w, tt.status, tt.want)
				if got := w.Header().Get("X-Health-Check"); got != tt.want {
					t.Errorf("X-Health-Check %q, want %q", got, tt.want)
				}
				if w := n.Raw("HEAD", tt.path, ""); w.Code != tt.status {
					t.Errorf("HEAD: %d, want %d", w.Code, tt.status)
				}
				if w := n.Raw("POST", tt.path, ""); w.Code != 405 {
					t.Errorf("POST: %d, want 405", w.Code)
				}
			})
		})
	}
}
