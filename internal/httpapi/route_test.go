package httpapi_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/httpapi/apitest"
)

func TestUnknownPaths(t *testing.T) { // A33
	t.Parallel()
	apitest.In(t, nil, func(n *apitest.Node) {
		for _, path := range []string{
			"/nothing", "/apps", "/apps/", "/apps/77", "/apps/77/", "/apps//events", "/apps/77/event", "/apps/77/events/",
			"/apps/77/events/x", "/apps/77/channels/", "/apps/77/channels/a/", "/apps/77/channels/a/b", "/apps/77/channels/a/users/",
			"/apps/77/channels//users", "/apps/77/users/u", "/apps/77/users//terminate_connections", "/apps/77/batch_events/",
			"//apps/77/events", "/up/", "/up/77/", "/live/", "/liveness", "/upside",
		} {
			w := n.Raw("GET", path, "")
			n.Expect(w, 404, "404 NOT FOUND")
			if got := w.Header().Get("Content-Type"); !strings.HasPrefix(got, "text/plain") {
				t.Errorf("%s: content type %q", path, got)
			}
		}
	})
}

func TestMethods(t *testing.T) { // A34
	t.Parallel()
	apitest.In(t, nil, func(n *apitest.Node) {
		for path, allowed := range map[string]string{
			"/apps/77/events": "POST", "/apps/77/batch_events": "POST", "/apps/77/users/u/terminate_connections": "POST",
			"/apps/77/channels": "GET, HEAD", "/apps/77/channels/a": "GET, HEAD", "/apps/77/channels/presence-a/users": "GET, HEAD",
		} {
			for _, method := range []string{"GET", "POST", "DELETE", "PUT", "HEAD"} {
				w := n.Raw(method, path, "")
				if strings.Contains(allowed, method) {
					n.Expect(w, 401, " auth_failed")
				} else if w.Code != 405 || w.Header().Get("Allow") != allowed {
					t.Errorf("%s %s: got %d, Allow %q; want 405, %s", method, path, w.Code, w.Header().Get("Allow"), allowed)
				}
			}
		}
	})
}

func TestPreflight(t *testing.T) { // A44
	t.Parallel()
	apitest.In(t, nil, func(n *apitest.Node) {
		w := n.Raw("OPTIONS", "/apps/77/events", "")
		if w.Code != 204 {
			t.Errorf("got %d, want 204", w.Code)
		}
		for name, want := range map[string]string{
			"Access-Control-Allow-Origin":  "*",
			"Access-Control-Allow-Methods": "GET, POST, OPTIONS",
			"Access-Control-Allow-Headers": "Authorization, Content-Type, X-Requested-With, Accept",
		} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		r := httptest.NewRequest("GET", "/apps/77/channels", nil)
		r.Header.Set("Origin", "https://shop.example")
		w = httptest.NewRecorder()
		n.API.ServeHTTP(w, r)
		if got := w.Header().Get("Access-Control-Allow-Origin"); got != "*" || w.Code != 401 {
			t.Errorf("a page cannot read the answer: %d, %q", w.Code, got)
		}
	})
}
