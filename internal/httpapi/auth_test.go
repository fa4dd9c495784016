package httpapi_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/httpapi"
)

const tick = `{"name":"tick","channel":"prices","data":"1"}`

func TestVectorRequest(t *testing.T) { // A01
	t.Parallel()
	change := func(_ *app.App, o *httpapi.Options) {
		o.Now = func() time.Time { return time.Unix(1700000000, 0) }
	}
	inNode(t, change, func(n *node) {
		n.expect(n.raw("POST", "/apps/77/events?auth_key=mill-key&auth_timestamp=1700000000&auth_version=1.0"+
			"&body_md5=941a1d04adeab2764127b1f390bf63a6"+
			"&auth_signature=b2b7362037828853a33438ad08f8d807bb56f026eb7309a5b0f829ec761455ae",
			`{"name":"tick","channel":"prices","data":"{\"p\":1}"}`), 200, `{}`)
	})
}

func TestTimestampWindow(t *testing.T) { // A02
	t.Parallel()
	tests := []struct {
		name   string
		off    time.Duration
		status int
	}{
		{"600 s old passes", -600 * time.Second, 200},
		{"601 s old fails", -601 * time.Second, 401},
		{"601 s in the future fails", 601 * time.Second, 401},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inNode(t, nil, func(n *node) {
				w := n.raw("POST", signedTarget("POST", "/apps/77/events", tick, "mill-key", time.Now().Add(tt.off)), tick)
				if w.Code != tt.status {
					t.Errorf("got %d %s, want %d", w.Code, w.Body, tt.status)
				}
				if tt.status == 401 && !strings.Contains(w.Body.String(), "the server's time is ") {
					t.Errorf("the message does not name the server's time: %s", w.Body)
				}
			})
		})
	}
}

func TestAuthenticationFails(t *testing.T) { // A03, A04
	t.Parallel()
	good := func() string { return signedTarget("POST", "/apps/77/events", tick, "mill-key", time.Now()) }
	signature := func(change func(string) string) func() string {
		return func() string {
			before, after, _ := strings.Cut(good(), "auth_signature=")
			return before + "auth_signature=" + change(after[:64]) + after[64:]
		}
	}
	tests := []struct {
		name, body string
		target     func() string
	}{
		{"no parameters", tick, func() string { return "/apps/77/events" }},
		{"a wrong signature", tick, signature(func(s string) string { return strings.Repeat("0", len(s)) })},
		{"an upper-case signature", tick, signature(strings.ToUpper)},
		{"an unknown key", tick, func() string { return signedTarget("POST", "/apps/77/events", tick, "nobody", time.Now()) }},
		{"the key of another app", tick, func() string { return signedTarget("POST", "/apps/77/events", tick, "other-key", time.Now()) }},
		{"an app that does not exist", tick, func() string { return signedTarget("POST", "/apps/99/events", tick, "mill-key", time.Now()) }},
		{"another version", tick, func() string { return strings.Replace(good(), "auth_version=1.0", "auth_version=2.0", 1) }},
		{"a body changed after signing", tick + " ", good},
		{"a body without body_md5", tick, func() string { return signedTarget("POST", "/apps/77/events", "", "mill-key", time.Now()) }},
		{"a malformed escape", tick, func() string { return good() + "&x=%zz" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inNode(t, nil, func(n *node) {
				a := n.connect("prices")
				n.expect(n.raw("POST", tt.target(), tt.body), 401, " auth_failed")
				a.expect()
			})
		})
	}
}

func TestDisabledApp(t *testing.T) { // A05
	t.Parallel()
	inNode(t, nil, func(n *node) {
		target := signedTarget("POST", "/apps/79/events", tick, "off-key", time.Now())
		n.expect(n.raw("POST", target, tick), 403, " forbidden")
		n.expect(n.raw("POST", target+"&x=1", tick), 401, " auth_failed")
	})
}

func TestParametersInAnyOrderAndCase(t *testing.T) { // A06, A07
	t.Parallel()
	inNode(t, nil, func(n *node) {
		a := n.connect()
		a.join("presence-q", "u")
		target := signedTarget("GET", "/apps/77/channels?filter_by_prefix=presence-&info=user_count", "", "mill-key", time.Now())
		path, query, _ := strings.Cut(target, "?")
		pairs := strings.Split(query, "&")
		for i, j := 0, len(pairs)-1; i < j; i, j = i+1, j-1 {
			pairs[i], pairs[j] = pairs[j], pairs[i]
		}
		mixed := strings.NewReplacer("auth_key", "Auth_Key", "filter_by", "Filter_By", "presence-", "presence%2D").Replace(strings.Join(pairs, "&"))
		n.expect(n.raw("GET", path+"?"+mixed, ""), 200, `{"channels":{"presence-q":{"user_count":1}}}`)
	})
}

func TestEscapedPathIsSignedAsSent(t *testing.T) {
	t.Parallel()
	inNode(t, nil, func(n *node) {
		n.connect("a,b")
		n.expect(n.do("GET", "/apps/77/channels/a%2cb", ""), 200, `{"occupied":true}`)
		n.expect(n.do("GET", "/apps/%377/channels/a,b", ""), 200, `{"occupied":true}`)
	})
}

// broken is a registry whose backend is down.
type broken struct{}

func (broken) ByKey(context.Context, string) (*app.App, error) {
	return nil, errors.New("secret detail")
}

func (broken) ByID(context.Context, string) (*app.App, error) {
	return nil, errors.New("secret detail")
}

func TestRegistryThatCannotBeAsked(t *testing.T) {
	t.Parallel()
	change := func(_ *app.App, o *httpapi.Options) { o.Apps = broken{} }
	inNode(t, change, func(n *node) {
		w := n.publish(tick)
		n.expect(w, 503, " service_unavailable")
		if w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "secret detail") {
			t.Errorf("got %v %s, want Retry-After and no detail", w.Header(), w.Body)
		}
		n.expect(n.raw("GET", "/up/77", ""), 503, "ERROR")
	})
}
