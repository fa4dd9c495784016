package httpapi_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/httpapi/apitest"
)

func TestRights(t *testing.T) {
	t.Parallel()
	apitest.In(t, apitest.WithKeys, func(n *apitest.Node) {
		for _, tt := range apitest.EveryRoute() {
			for _, rights := range []string{"all", "publish", "read"} {
				target := apitest.SignedWith(rights+"-secret", tt.Method, tt.Target, tt.Body, rights+"-key", time.Now())
				w, want := n.Raw(tt.Method, target, tt.Body), tt.Status
				if rights != "all" && rights != tt.Needs {
					want = 403
				}
				if w.Code != want {
					t.Errorf("%s %s by a key with the right %s: got %d %s, want %d", tt.Method, tt.Target, rights, w.Code, w.Body, want)
				}
				if lacks := fmt.Sprintf(`lacks the right \"%s\"`, tt.Needs); want == 403 && !strings.Contains(w.Body.String(), lacks) {
					t.Errorf("%s %s: %s does not name the right that is missing", tt.Method, tt.Target, w.Body)
				}
			}
		}
	})
}

func TestKeysHaveSecretsOfTheirOwn(t *testing.T) {
	t.Parallel()
	apitest.In(t, apitest.WithKeys, func(n *apitest.Node) {
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
			w := n.Raw("POST", apitest.SignedWith(tt.secret, "POST", "/apps/77/events", apitest.Tick, tt.key, time.Now()), apitest.Tick)
			if w.Code != tt.status {
				t.Errorf("%s: got %d %s, want %d", tt.name, w.Code, w.Body, tt.status)
			}
		}
	})
}

func TestAdminKey(t *testing.T) {
	t.Parallel()
	admin := func(method, target, body string) string {
		return apitest.SignedWith("admin-secret", method, target, body, "admin-key", time.Now())
	}
	apitest.In(t, nil, func(n *apitest.Node) {
		for _, tt := range apitest.EveryRoute() {
			if w := n.Raw(tt.Method, admin(tt.Method, tt.Target, tt.Body), tt.Body); w.Code != tt.Status {
				t.Errorf("%s %s: got %d %s, want %d", tt.Method, tt.Target, w.Code, w.Body, tt.Status)
			}
		}
		n.Expect(n.Raw("GET", admin("GET", "/apps/78/channels", ""), ""), 200, `{"channels":{}}`)
		n.Expect(n.Raw("GET", admin("GET", "/apps/79/channels", ""), ""), 403, " forbidden")
		n.Expect(n.Raw("GET", admin("GET", "/apps/none/channels", ""), ""), 404, " not_found")
		n.Expect(n.Raw("GET", admin("GET", "/apps/77/channels", "")+"&x=1", ""), 401, " auth_failed")
		n.Expect(n.Raw("GET", apitest.Signed("GET", "/apps/77/channels", "", "admin-key", time.Now()), ""), 401, " auth_failed")
		old := apitest.SignedWith("admin-secret", "GET", "/apps/77/channels", "", "admin-key", time.Now().Add(-601*time.Second))
		n.Expect(n.Raw("GET", old, ""), 401, " auth_failed")
	})
	apitest.In(t, func(_ *app.App, o *apitest.Options) { o.Admin = app.Credential{} }, func(n *apitest.Node) {
		n.Expect(n.Raw("GET", admin("GET", "/apps/77/channels", ""), ""), 401, " auth_failed")
		n.Expect(n.Raw("GET", apitest.SignedWith("", "GET", "/apps/77/channels", "", "", time.Now()), ""), 401, " auth_failed")
	})
	apitest.In(t, func(_ *app.App, o *apitest.Options) { o.Apps = broken{} }, func(n *apitest.Node) {
		n.Expect(n.Raw("GET", admin("GET", "/apps/77/channels", ""), ""), 503, " service_unavailable")
	})
}

func TestRoutesOfEnginesThatAreNotThere(t *testing.T) {
	t.Parallel()
	without := func(_ *app.App, o *apitest.Options) { o.Operators.Webhooks, o.Operators.Connections = nil, nil }
	apitest.In(t, without, func(n *apitest.Node) {
		for _, tt := range apitest.EveryRoute() {
			gone := strings.Contains(tt.Target, "/webhooks") || strings.Contains(tt.Target, "/connections") || tt.Target == "/apps/77/users"
			w := n.Do(tt.Method, tt.Target, tt.Body)
			if text := w.Body.String() == "404 NOT FOUND"; text != gone {
				t.Errorf("%s %s: got %d %s", tt.Method, tt.Target, w.Code, w.Body)
			}
		}
	})
}
