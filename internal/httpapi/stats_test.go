package httpapi_test

import (
	"context"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/httpapi"
)

func statsOf(n *node, other *app.App) httpapi.StatsOptions {
	return httpapi.StatsOptions{
		Apps: func() []*app.App { return []*app.App{other, n.app} }, Channels: n.engine,
		Connections: func(id string) httpapi.Count {
			if id == "77" {
				return httpapi.Count{Open: 3, Authenticated: 2, Users: 1}
			}
			return httpapi.Count{}
		},
		Memory: func() httpapi.Memory { return httpapi.Memory{Free: 1000, Total: 3000} },
	}
}

func TestStats(t *testing.T) {
	t.Parallel()
	inNode(t, nil, func(n *node) {
		n.connect("a", "b")
		for _, user := range []string{"u-1", "u-1", "u-2"} {
			n.connect().join("presence-x", user)
		}
		n.mutate(`{"entity":"A","key":"a","data":{}},{"entity":"A","key":"b","data":{}},{"entity":"B","key":"a","data":{}}`)
		other := testApp()
		other.ID = "9"
		o := statsOf(n, other)
		const memory = `{"memory":{"free":1000,"used":2000,"total":3000,"percent":66.67}`
		const full = `"connections":3,"authenticated_connections":2,"users":1,"occupancy":{"channels":3,"subscriptions":5,"presence_channels":1,"presence_subscriptions":3,"presence_members":2}`
		const none = `"connections":0,"authenticated_connections":0,"users":0,"occupancy":{"channels":0,"subscriptions":0,"presence_channels":0,"presence_subscriptions":0,"presence_members":0}`
		get := func(method, path string) (int, string) {
			w := httptest.NewRecorder()
			httpapi.NewStats(o).ServeHTTP(w, httptest.NewRequest(method, path, nil))
			return w.Code, w.Body.String()
		}
		check := func(path, want string) {
			if code, got := get("GET", path); code != 200 || got != want+"\n" {
				t.Errorf("%s: %d (-want +got):\n%s", path, code, cmp.Diff(want+"\n", got))
			}
		}
		check("/usage", memory+`}`)
		check("/stats", memory+`,"totals":{"apps":2,`+full+`},"apps":[{"app_id":"77",`+full+`},{"app_id":"9",`+none+`}]}`)
		o.Views = n.views
		const views, noViews = `,"views":{"views":6,"entities":3,"subscriptions":0}`, `,"views":{"views":0,"entities":0,"subscriptions":0}`
		check("/stats", memory+`,"totals":{"apps":2,`+full+views+`},"apps":[{"app_id":"77",`+full+views+`},{"app_id":"9",`+none+noViews+`}]}`)
		for path, want := range map[string]int{"/": 404, "/stats/": 404} {
			if code, _ := get("GET", path); code != want {
				t.Errorf("%s: got %d, want %d", path, code, want)
			}
		}
		if code, _ := get("POST", "/stats"); code != 405 {
			t.Errorf("POST: got %d", code)
		}
	})
}

func TestStatsArePublicOnlyIfAsked(t *testing.T) {
	t.Parallel()
	closed := newNode(t, nil)
	open := newNode(t, func(_ *app.App, o *httpapi.Options) { o.Stats = httpapi.NewStats(statsOf(closed, closed.app)) })
	for _, path := range []string{"/stats", "/usage"} {
		if got := closed.raw("GET", path, "").Code; got != 404 {
			t.Errorf("%s: got %d, want 404", path, got)
		}
		if got := open.raw("GET", path, "").Code; got != 200 {
			t.Errorf("%s: got %d, want 200", path, got)
		}
	}
}

func TestHealthOfParts(t *testing.T) { // pusher 5.10
	t.Parallel()
	for _, tt := range []struct {
		health httpapi.Health
		status int
		word   string
	}{{httpapi.HealthOK, 200, "OK"}, {httpapi.HealthDegraded, 200, "DEGRADED"}, {httpapi.HealthError, 503, "ERROR"}} {
		n := newNode(t, func(_ *app.App, o *httpapi.Options) {
			o.Health = func(context.Context) httpapi.Health { return tt.health }
		})
		for _, path := range []string{"/up", "/up/77"} {
			w := n.raw("GET", path, "")
			if w.Code != tt.status || w.Body.String() != tt.word || w.Header().Get("X-Health-Check") != tt.word {
				t.Errorf("%s: got %d %s, want %d %s", path, w.Code, w.Body, tt.status, tt.word)
			}
		}
		n.expect(n.raw("GET", "/up/none", ""), 404, "NOT_FOUND")
		n.expect(n.raw("GET", "/up/79", ""), 503, "ERROR")
	}
}
