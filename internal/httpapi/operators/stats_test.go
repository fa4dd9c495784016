package operators_test

import (
	"context"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/httpapi/apitest"
	"github.com/millrace/millrace/internal/httpapi/operators"
)

func statsOf(n *apitest.Node, other *app.App) operators.StatsOptions {
	return operators.StatsOptions{
		Apps: func() []*app.App { return []*app.App{other, n.App} }, Channels: n.Engine,
		Connections: func(id string) operators.Count {
			if id == "77" {
				return operators.Count{Open: 3, Authenticated: 2, Users: 1}
			}
			return operators.Count{}
		},
		Memory: func() operators.Memory { return operators.Memory{Free: 1000, Total: 3000} },
	}
}

func TestStats(t *testing.T) {
	t.Parallel()
	apitest.In(t, nil, func(n *apitest.Node) {
		n.Connect("a", "b")
		for _, user := range []string{"u-1", "u-1", "u-2"} {
			n.Connect().Join("presence-x", user)
		}
		n.Mutate(`{"entity":"A","key":"a","data":{}},{"entity":"A","key":"b","data":{}},{"entity":"B","key":"a","data":{}}`)
		other := apitest.App()
		other.ID = "9"
		o := statsOf(n, other)
		const memory = `{"memory":{"free":1000,"used":2000,"total":3000,"percent":66.67}`
		const full = `"connections":3,"authenticated_connections":2,"users":1,"occupancy":{"channels":3,"subscriptions":5,"presence_channels":1,"presence_subscriptions":3,"presence_members":2}`
		const none = `"connections":0,"authenticated_connections":0,"users":0,"occupancy":{"channels":0,"subscriptions":0,"presence_channels":0,"presence_subscriptions":0,"presence_members":0}`
		get := func(method, path string) (int, string) {
			w := httptest.NewRecorder()
			operators.NewStats(o).ServeHTTP(w, httptest.NewRequest(method, path, nil))
			return w.Code, w.Body.String()
		}
		check := func(path, want string) {
			if code, got := get("GET", path); code != 200 || got != want+"\n" {
				t.Errorf("%s: %d (-want +got):\n%s", path, code, cmp.Diff(want+"\n", got))
			}
		}
		check("/usage", memory+`}`)
		check("/stats", memory+`,"totals":{"apps":2,`+full+`},"apps":[{"app_id":"77",`+full+`},{"app_id":"9",`+none+`}]}`)
		o.Views = n.Views
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
	closed := apitest.New(t, nil)
	open := apitest.New(t, func(_ *app.App, o *apitest.Options) { o.Up.Stats = operators.NewStats(statsOf(closed, closed.App)) })
	for _, path := range []string{"/stats", "/usage"} {
		if got := closed.Raw("GET", path, "").Code; got != 404 {
			t.Errorf("%s: got %d, want 404", path, got)
		}
		if got := open.Raw("GET", path, "").Code; got != 200 {
			t.Errorf("%s: got %d, want 200", path, got)
		}
	}
}

func TestHealthOfParts(t *testing.T) { // pusher 5.10
	t.Parallel()
	for _, tt := range []struct {
		health operators.Health
		status int
		word   string
	}{{operators.HealthOK, 200, "OK"}, {operators.HealthDegraded, 200, "DEGRADED"}, {operators.HealthError, 503, "ERROR"}} {
		n := apitest.New(t, func(_ *app.App, o *apitest.Options) {
			o.Up.Health = func(context.Context) operators.Health { return tt.health }
		})
		for _, path := range []string{"/up", "/up/77"} {
			w := n.Raw("GET", path, "")
			if w.Code != tt.status || w.Body.String() != tt.word || w.Header().Get("X-Health-Check") != tt.word {
				t.Errorf("%s: got %d %s, want %d %s", path, w.Code, w.Body, tt.status, tt.word)
			}
		}
		n.Expect(n.Raw("GET", "/up/none", ""), 404, "NOT_FOUND")
		n.Expect(n.Raw("GET", "/up/79", ""), 503, "ERROR")
	}
}
