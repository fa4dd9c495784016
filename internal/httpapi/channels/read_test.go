package channels_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/bus/bustest"
	"github.com/millrace/millrace/internal/httpapi/apitest"
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
			apitest.In(t, nil, func(n *apitest.Node) {
				a, b := n.Connect("p1"), n.Connect()
				a.Join("presence-q", `u"1`)
				b.Join("presence-q", `u"1`)
				n.Expect(n.Do("GET", "/apps/77"+tt.target, ""), tt.status, tt.want)
			})
		})
	}
}

func TestCache(t *testing.T) { // A30
	t.Parallel()
	bustest.SkipIfSlow(t)
	apitest.In(t, nil, func(n *apitest.Node) {
		n.Publish(`{"name":"rate","channel":"cache-fx","data":"{\"eurusd\":1.08}"}`)
		<-time.After(88500 * time.Millisecond)
		n.Expect(n.Do("GET", "/apps/77/channels/cache-fx?info=cache,subscription_count", ""), 200,
			`{"occupied":false,"subscription_count":0,"cache":{"data":"{\"eurusd\":1.08}","ttl":1712}}`)
		<-time.After(30*time.Minute - 88500*time.Millisecond - time.Millisecond)
		n.Expect(n.Do("GET", "/apps/77/channels/cache-fx?info=cache", ""), 200,
			`{"occupied":false,"cache":{"data":"{\"eurusd\":1.08}","ttl":1}}`)
		<-time.After(time.Millisecond)
		n.Expect(n.Do("GET", "/apps/77/channels/cache-fx?info=cache", ""), 200, `{"occupied":false}`)
	})
}

func TestLongListIsWhole(t *testing.T) {
	t.Parallel()
	apitest.In(t, nil, func(n *apitest.Node) {
		var want strings.Builder
		c := n.Connect()
		for i := range 1000 {
			c.Join(fmt.Sprintf("c%04d", i), "")
			fmt.Fprintf(&want, `,"c%04d":{}`, i)
		}
		w := n.Do("GET", "/apps/77/channels", "")
		n.Expect(w, 200, `{"channels":{`+want.String()[1:]+`}}`)
		if got := w.Header().Get("Content-Length"); got != strconv.Itoa(w.Body.Len()) {
			t.Errorf("Content-Length %q, want %d", got, w.Body.Len())
		}
	})
}

func TestTerminate(t *testing.T) {
	t.Parallel()
	apitest.In(t, nil, func(n *apitest.Node) {
		for _, body := range []string{"", "{}"} {
			n.Expect(n.Do("POST", "/apps/77/users/u%2F9/terminate_connections", body), 200, `{}`)
		}
		n.Expect(n.Raw("POST", "/apps/77/users/u9/terminate_connections", ""), 401, " auth_failed")
	})
}

// TestTerminateWithoutTheApp holds for the one path that pusher-http-python sends so, and for no
// other.
func TestTerminateWithoutTheApp(t *testing.T) {
	t.Parallel()
	const path = "/users/a%2Fb/c/terminate_connections"
	apitest.In(t, nil, func(n *apitest.Node) {
		n.Expect(n.Do("POST", path, "{}"), 200, `{}`)
		n.Expect(n.Do("POST", path, ""), 200, `{}`)
		n.Expect(n.Raw("POST", path, ""), 401, " auth_failed")
		n.Expect(n.Raw("POST", apitest.Signed("POST", "/apps/77"+path, "", "mill-key", time.Now())[len("/apps/77"):], ""), 401, " auth_failed")
		n.Expect(n.Raw("POST", apitest.Signed("POST", path, "", "off-key", time.Now()), ""), 403, " forbidden")
		n.Expect(n.Raw("POST", apitest.SignedWith("admin-secret", "POST", path, "", "admin-key", time.Now()), ""), 401, " auth_failed")
		if w := n.Raw("GET", path, ""); w.Code != 405 || w.Header().Get("Allow") != "POST" {
			t.Errorf("GET: got %d, Allow %q; want 405, POST", w.Code, w.Header().Get("Allow"))
		}
		for _, other := range []string{
			"/events", "/channels", "/batch_events", "/users", "/users/", "/users/u", "/users/terminate_connections",
			"/users//terminate_connections", "/users/u/terminate_connections/",
		} {
			n.Expect(n.Do("POST", other, "{}"), 404, "404 NOT FOUND")
		}
	})
}

// lost is a user some of whose connections cannot be reached.
type lost struct{ err error }

func (l lost) Terminate(_ context.Context, a *app.App, userID string) error {
	if a.ID != "77" || userID != "u/9" {
		return errors.New("another user")
	}
	return l.err
}

func TestTerminateThatDoesNotReachAll(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]int{nil: 200, fmt.Errorf("node 2: %w", bus.ErrUnavailable): 503} {
		apitest.In(t, func(_ *app.App, o *apitest.Options) { o.Channels.Users = lost{err} }, func(n *apitest.Node) {
			w := n.Do("POST", "/apps/77/users/u%2F9/terminate_connections", "")
			if w.Code != want || (w.Header().Get("Retry-After") == "1") != (want == 503) || strings.Contains(w.Body.String(), "node 2") {
				t.Errorf("%v: got %d %v %s, want %d", err, w.Code, w.Header(), w.Body, want)
			}
		})
	}
}
