package httpapi_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/httpapi"
)

// withKeys gives the app a key of each right, with secrets of their own.
func withKeys(a *app.App, _ *httpapi.Options) {
	for _, rights := range []app.Rights{app.RightsAll, app.RightsPublish, app.RightsRead} {
		a.Credentials = append(a.Credentials, app.Credential{Key: string(rights) + "-key", Secret: string(rights) + "-secret", Rights: rights})
	}
}

// everyRoute has a request to each route that is answered with 200, or 404 where nobody is.
var everyRoute = []struct {
	method, target, body string
	status               int
	needs                string
}{
	{"POST", "/apps/77/events", tick, 200, "publish"},
	{"POST", "/apps/77/batch_events", `{"batch":[` + tick + `]}`, 200, "publish"},
	{"POST", "/apps/77/mutations", `{"mutations":[{"entity":"A","key":"a","data":{}}]}`, 200, "publish"},
	{"GET", "/apps/77/channels", "", 200, "read"},
	{"GET", "/apps/77/channels/x", "", 200, "read"},
	{"GET", "/apps/77/channels/presence-x/users", "", 200, "read"},
	{"GET", "/apps/77/views", "", 200, "read"},
	{"GET", "/apps/77/views/B/list", "", 404, "read"},
	{"GET", "/apps/77/webhooks", "", 200, "read"},
	{"GET", "/apps/77/webhooks/dead", "", 200, "read"},
	{"GET", "/apps/77/users", "", 200, "read"},
	{"GET", "/apps/77/connections", "", 200, "read"},
	{"GET", "/apps/77/connections/1.2", "", 404, "read"},
	{"POST", "/apps/77/users/u/terminate_connections", "", 200, "all"},
	{"POST", "/apps/77/views", `{"id":"A/top","source":"A/list"}`, 200, "all"},
	{"DELETE", "/apps/77/views/A/none", "", 404, "all"},
	{"POST", "/apps/77/sessions/revoke", `{"jti":"x"}`, 200, "all"},
	{"POST", "/apps/77/webhooks/dead/replay", `{"all":true}`, 200, "all"},
	{"POST", "/apps/77/webhooks/dead/discard", `{"all":true}`, 200, "all"},
	{"DELETE", "/apps/77/connections/1.2", "", 404, "all"},
	{"POST", "/apps/77/connections/1.2/trace", `{"seconds":60}`, 404, "all"},
}

func TestRights(t *testing.T) {
	t.Parallel()
	inNode(t, withKeys, func(n *node) {
		for _, tt := range everyRoute {
			for _, rights := range []string{"all", "publish", "read"} {
				target := signedWith(rights+"-secret", tt.method, tt.target, tt.body, rights+"-key", time.Now())
				w, want := n.raw(tt.method, target, tt.body), tt.status
				if rights != "all" && rights != tt.needs {
					want = 403
				}
				if w.Code != want {
					t.Errorf("%s %s by a key with the right %s: got %d %s, want %d", tt.method, tt.target, rights, w.Code, w.Body, want)
				}
				if lacks := fmt.Sprintf(`lacks the right \"%s\"`, tt.needs); want == 403 && !strings.Contains(w.Body.String(), lacks) {
					t.Errorf("%s %s: %s does not name the right that is missing", tt.method, tt.target, w.Body)
				}
			}
		}
	})
}

func TestKeysHaveSecretsOfTheirOwn(t *testing.T) {
	t.Parallel()
	inNode(t, withKeys, func(n *node) {
		for _, tt := range []struct {
			name, key, secret string
			status            int
		}{
			{"its own", "all-key", "all-secret", 200},
			{"that of the app", "all-key", "mill-secret", 401},
			{"that of another key for the app's", "mill-key", "all-secret", 401},
			{"that of a key with other rights", "read-key", "all-secret", 401},
			{"a wrong one, of a key without the right", "read-key", "x", 401},
			{"that of the admin", "mill-key", "admin-secret", 401},
			{"none", "all-key", "", 401},
		} {
			w := n.raw("POST", signedWith(tt.secret, "POST", "/apps/77/events", tick, tt.key, time.Now()), tick)
			if w.Code != tt.status {
				t.Errorf("%s: got %d %s, want %d", tt.name, w.Code, w.Body, tt.status)
			}
		}
	})
}

func TestAdminKey(t *testing.T) {
	t.Parallel()
	admin := func(method, target, body string) string {
		return signedWith("admin-secret", method, target, body, "admin-key", time.Now())
	}
	inNode(t, nil, func(n *node) {
		for _, tt := range everyRoute {
			if w := n.raw(tt.method, admin(tt.method, tt.target, tt.body), tt.body); w.Code != tt.status {
				t.Errorf("%s %s: got %d %s, want %d", tt.method, tt.target, w.Code, w.Body, tt.status)
			}
		}
		n.expect(n.raw("GET", admin("GET", "/apps/78/channels", ""), ""), 200, `{"channels":{}}`)
		n.expect(n.raw("GET", admin("GET", "/apps/79/channels", ""), ""), 403, " forbidden")
		n.expect(n.raw("GET", admin("GET", "/apps/none/channels", ""), ""), 404, " not_found")
		n.expect(n.raw("GET", admin("GET", "/apps/77/channels", "")+"&x=1", ""), 401, " auth_failed")
		n.expect(n.raw("GET", signedTarget("GET", "/apps/77/channels", "", "admin-key", time.Now()), ""), 401, " auth_failed")
		old := signedWith("admin-secret", "GET", "/apps/77/channels", "", "admin-key", time.Now().Add(-601*time.Second))
		n.expect(n.raw("GET", old, ""), 401, " auth_failed")
	})
	inNode(t, func(_ *app.App, o *httpapi.Options) { o.Admin = app.Credential{} }, func(n *node) {
		n.expect(n.raw("GET", admin("GET", "/apps/77/channels", ""), ""), 401, " auth_failed")
		n.expect(n.raw("GET", signedWith("", "GET", "/apps/77/channels", "", "", time.Now()), ""), 401, " auth_failed")
	})
	inNode(t, func(_ *app.App, o *httpapi.Options) { o.Apps = broken{} }, func(n *node) {
		n.expect(n.raw("GET", admin("GET", "/apps/77/channels", ""), ""), 503, " service_unavailable")
	})
}

func TestRoutesOfEnginesThatAreNotThere(t *testing.T) {
	t.Parallel()
	without := func(_ *app.App, o *httpapi.Options) { o.Webhooks, o.Connections = nil, nil }
	inNode(t, without, func(n *node) {
		for _, tt := range everyRoute {
			gone := strings.Contains(tt.target, "/webhooks") || strings.Contains(tt.target, "/connections") || tt.target == "/apps/77/users"
			w := n.do(tt.method, tt.target, tt.body)
			if text := w.Body.String() == "404 NOT FOUND"; text != gone {
				t.Errorf("%s %s: got %d %s", tt.method, tt.target, w.Code, w.Body)
			}
		}
	})
}
