package httpapi_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/bus/bustest"
	"github.com/millrace/millrace/internal/httpapi"
)

// Each case asks while A is on p1 and, as user u, on presence-q, and B on presence-q as the
// same user.
func TestReads(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, target string
		status       int
		want         string
	}{
		{"A24: all channels", "/channels", 200, `{"channels":{"p1":{},"presence-q":{}}}`},
		{"A27: an attribute that means nothing", "/channels?info=nonsense", 200, `{"channels":{"p1":{},"presence-q":{}}}`},
		{"subscription counts", "/channels?info=subscription_count", 200, `{"channels":{"p1":{"subscription_count":1},"presence-q":{"subscription_count":2}}}`},
		{"A25: user_count without prefix", "/channels?info=user_count", 400, " invalid_input"},
		{"A25: user_count with another prefix", "/channels?info=user_count&filter_by_prefix=p", 400, " invalid_input"},
		{"A26: distinct users", "/channels?info=user_count,subscription_count&filter_by_prefix=presence-", 200, `{"channels":{"presence-q":{"subscription_count":2,"user_count":1}}}`},
		{"a prefix of nothing", "/channels?filter_by_prefix=zzz", 200, `{"channels":{}}`},
		{"A28: a channel nobody is in", "/channels/zzz", 200, `{"occupied":false}`},
		{"counts of a channel nobody is in", "/channels/presence-z?info=user_count,subscription_count", 200, `{"occupied":false,"subscription_count":0,"user_count":0}`},
		{"a channel", "/channels/p1", 200, `{"occupied":true}`},
		{"A29: user_count of another kind", "/channels/p1?info=user_count", 400, " invalid_input"},
		{"A32: two connections of one user", "/channels/presence-q?info=subscription_count,user_count", 200, `{"occupied":true,"subscription_count":2,"user_count":1}`},
		{"cache of another kind", "/channels/p1?info=cache", 200, `{"occupied":true}`},
		{"an empty cache", "/channels/cache-fx?info=cache", 200, `{"occupied":false}`},
		{"a name that is not allowed", "/channels/bad%20name", 400, " invalid_input"},
		{"a name with an escaped slash", "/channels/a%2Fusers", 400, " invalid_input"},
		{"A31, A32: users", "/channels/presence-q/users", 200, `{"users":[{"id":"u\"1"}]}`},
		{"users with what they have told", "/channels/presence-q/users?with_user_info=1", 200, `{"users":[{"id":"u\"1","user_info":{}}]}`},
		{"users without it", "/channels/presence-q/users?with_user_info=0", 200, `{"users":[{"id":"u\"1"}]}`},
		{"users with something else", "/channels/presence-q/users?with_user_info=2", 400, " invalid_input"},
		{"users of an empty channel", "/channels/presence-z/users", 200, `{"users":[]}`},
		{"A31: users of another kind", "/channels/p1/users", 400, " invalid_input"},
		{"users of a name that is not allowed", "/channels/presence-%20/users", 400, " invalid_input"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inNode(t, nil, func(n *node) {
				a, b := n.connect("p1"), n.connect()
				a.join("presence-q", `u"1`)
				b.join("presence-q", `u"1`)
				n.expect(n.do("GET", "/apps/77"+tt.target, ""), tt.status, tt.want)
			})
		})
	}
}

func TestCache(t *testing.T) { // A30
	t.Parallel()
	bustest.SkipIfSlow(t)
	inNode(t, nil, func(n *node) {
		n.publish(`{"name":"rate","channel":"cache-fx","data":"{\"eurusd\":1.08}"}`)
		<-time.After(88500 * time.Millisecond)
		n.expect(n.do("GET", "/apps/77/channels/cache-fx?info=cache,subscription_count", ""), 200,
			`{"occupied":false,"subscription_count":0,"cache":{"data":"{\"eurusd\":1.08}","ttl":1712}}`)
		<-time.After(30*time.Minute - 88500*time.Millisecond - time.Millisecond)
		n.expect(n.do("GET", "/apps/77/channels/cache-fx?info=cache", ""), 200,
			`{"occupied":false,"cache":{"data":"{\"eurusd\":1.08}","ttl":1}}`)
		<-time.After(time.Millisecond)
		n.expect(n.do("GET", "/apps/77/channels/cache-fx?info=cache", ""), 200, `{"occupied":false}`)
	})
}

func TestLongListIsWhole(t *testing.T) {
	t.Parallel()
	inNode(t, nil, func(n *node) {
		var want strings.Builder
		c := n.connect()
		for i := range 1000 {
			c.join(fmt.Sprintf("c%04d", i), "")
			fmt.Fprintf(&want, `,"c%04d":{}`, i)
		}
		w := n.do("GET", "/apps/77/channels", "")
		n.expect(w, 200, `{"channels":{`+want.String()[1:]+`}}`)
		if got := w.Header().Get("Content-Length"); got != strconv.Itoa(w.Body.Len()) {
			t.Errorf("Content-Length %q, want %d", got, w.Body.Len())
		}
	})
}

func TestTerminate(t *testing.T) {
	t.Parallel()
	inNode(t, nil, func(n *node) {
		for _, body := range []string{"", "{}"} {
			n.expect(n.do("POST", "/apps/77/users/u%2F9/terminate_connections", body), 200, `{}`)
		}
		n.expect(n.raw("POST", "/apps/77/users/u9/terminate_connections", ""), 401, " auth_failed")
	})
}

// TestTerminateWithoutTheApp holds for the one path that pusher-http-python sends so, and for no
// other.
func TestTerminateWithoutTheApp(t *testing.T) {
	t.Parallel()
	const path = "/users/a%2Fb/c/terminate_connections"
	inNode(t, nil, func(n *node) {
		n.expect(n.do("POST", path, "{}"), 200, `{}`)
		n.expect(n.do("POST", path, ""), 200, `{}`)
		n.expect(n.raw("POST", path, ""), 401, " auth_failed")
		n.expect(n.raw("POST", signedTarget("POST", "/apps/77"+path, "", "mill-key", time.Now())[len("/apps/77"):], ""), 401, " auth_failed")
		n.expect(n.raw("POST", signedTarget("POST", path, "", "off-key", time.Now()), ""), 403, " forbidden")
		n.expect(n.raw("POST", signedWith("admin-secret", "POST", path, "", "admin-key", time.Now()), ""), 401, " auth_failed")
		if w := n.raw("GET", path, ""); w.Code != 405 || w.Header().Get("Allow") != "POST" {
			t.Errorf("GET: got %d, Allow %q; want 405, POST", w.Code, w.Header().Get("Allow"))
		}
		for _, other := range []string{
			"/events", "/channels", "/batch_events", "/users", "/users/", "/users/u", "/users/terminate_connections",
			"/users//terminate_connections", "/users/u/terminate_connections/",
		} {
			n.expect(n.do("POST", other, "{}"), 404, "404 NOT FOUND")
		}
	})
}

func TestUnknownPaths(t *testing.T) { // A33
	t.Parallel()
	inNode(t, nil, func(n *node) {
		for _, path := range []string{
			"/nothing", "/apps", "/apps/", "/apps/77", "/apps/77/", "/apps//events", "/apps/77/event", "/apps/77/events/",
			"/apps/77/events/x", "/apps/77/channels/", "/apps/77/channels/a/", "/apps/77/channels/a/b", "/apps/77/channels/a/users/",
			"/apps/77/channels//users", "/apps/77/users/u", "/apps/77/users//terminate_connections", "/apps/77/batch_events/",
			"//apps/77/events", "/up/", "/up/77/", "/live/", "/liveness", "/upside",
		} {
			w := n.raw("GET", path, "")
			n.expect(w, 404, "404 NOT FOUND")
			if got := w.Header().Get("Content-Type"); !strings.HasPrefix(got, "text/plain") {
				t.Errorf("%s: content type %q", path, got)
			}
		}
	})
}

func TestMethods(t *testing.T) { // A34
	t.Parallel()
	inNode(t, nil, func(n *node) {
		for path, allowed := range map[string]string{
			"/apps/77/events": "POST", "/apps/77/batch_events": "POST", "/apps/77/users/u/terminate_connections": "POST",
			"/apps/77/channels": "GET, HEAD", "/apps/77/channels/a": "GET, HEAD", "/apps/77/channels/presence-a/users": "GET, HEAD",
		} {
			for _, method := range []string{"GET", "POST", "DELETE", "PUT", "HEAD"} {
				w := n.raw(method, path, "")
				if strings.Contains(allowed, method) {
					n.expect(w, 401, " auth_failed")
				} else if w.Code != 405 || w.Header().Get("Allow") != allowed {
					t.Errorf("%s %s: got %d, Allow %q; want 405, %s", method, path, w.Code, w.Header().Get("Allow"), allowed)
				}
			}
		}
	})
}

func TestPreflight(t *testing.T) { // A44
	t.Parallel()
	inNode(t, nil, func(n *node) {
		w := n.raw("OPTIONS", "/apps/77/events", "")
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
		n.api.ServeHTTP(w, r)
		if got := w.Header().Get("Access-Control-Allow-Origin"); got != "*" || w.Code != 401 {
			t.Errorf("a page cannot read the answer: %d, %q", w.Code, got)
		}
	})
}

func TestHealth(t *testing.T) { // A42, A43
	t.Parallel()
	draining := func(_ *app.App, o *httpapi.Options) { o.Draining = func() bool { return true } }
	empty := func(_ *app.App, o *httpapi.Options) { o.Apps, _ = app.NewStatic(nil) }
	tests := []struct {
		name   string
		change func(*app.App, *httpapi.Options)
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
			inNode(t, tt.change, func(n *node) {
				w := n.raw("GET", tt.path, "")
				n.expect(w, tt.status, tt.want)
				if got := w.Header().Get("X-Health-Check"); got != tt.want {
					t.Errorf("X-Health-Check %q, want %q", got, tt.want)
				}
				if w := n.raw("HEAD", tt.path, ""); w.Code != tt.status {
					t.Errorf("HEAD: %d, want %d", w.Code, tt.status)
				}
				if w := n.raw("POST", tt.path, ""); w.Code != 405 {
					t.Errorf("POST: %d, want 405", w.Code)
				}
			})
		})
	}
}

// Over a real connection, because what happens to a body that nobody reads is net/http's.
func TestBodySize(t *testing.T) { // A23
	t.Parallel()
	n := newNode(t, nil)
	server := httptest.NewServer(n.api)
	defer server.Close()
	send := func(body io.Reader, target string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+target, body)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(text)
	}
	hide := func(r io.Reader) io.Reader { return struct{ io.Reader }{r} } // its length, so it goes in chunks
	large := strings.Repeat("x", 11<<20)
	fits := `{"name":"e","channel":"a","data":"1","x":"` + strings.Repeat("x", 9<<20) + `"}`
	signed := func(body string) string { return signedTarget("POST", "/apps/77/events", body, "mill-key", time.Now()) }
	for _, tt := range []struct {
		name, target, body string
		status             int
	}{
		{"11 MB without a signature", "/apps/77/events", large, 401},
		{"11 MB", signed(large), large, 413},
		{"9 MB", signed(fits), fits, 200},
	} {
		if status, text := send(strings.NewReader(tt.body), tt.target); status != tt.status {
			t.Errorf("%s, announced: got %d %s, want %d", tt.name, status, text, tt.status)
		}
		if status, text := send(hide(strings.NewReader(tt.body)), tt.target); status != tt.status {
			t.Errorf("%s in chunks: got %d %s, want %d", tt.name, status, text, tt.status)
		}
	}
}
