package httpapi_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/httpapi/apitest"
)

func TestVectorRequest(t *testing.T) { // A01
	t.Parallel()
	change := func(_ *app.App, o *apitest.Options) {
		o.Now = func() time.Time { return time.Unix(1700000000, 0) }
	}
	apitest.In(t, change, func(n *apitest.Node) {
		n.Expect(n.Raw("POST", "/apps/77/events?auth_key=mill-key&auth_timestamp=1700000000&auth_version=1.0"+
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
			apitest.In(t, nil, func(n *apitest.Node) {
				w := n.Raw("POST", apitest.Signed("POST", "/apps/77/events", apitest.Tick, "mill-key", time.Now().Add(tt.off)), apitest.Tick)
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
	good := func() string { return apitest.Signed("POST", "/apps/77/events", apitest.Tick, "mill-key", time.Now()) }
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
		{"no parameters", apitest.Tick, func() string { return "/apps/77/events" }},
		{"a wrong signature", apitest.Tick, signature(func(s string) string { return strings.Repeat("0", len(s)) })},
		{"an upper-case signature", apitest.Tick, signature(strings.ToUpper)},
		{"an unknown key", apitest.Tick, func() string { return apitest.Signed("POST", "/apps/77/events", apitest.Tick, "nobody", time.Now()) }},
		{"the key of another app", apitest.Tick, func() string { return apitest.Signed("POST", "/apps/77/events", apitest.Tick, "other-key", time.Now()) }},
		{"an app that does not exist", apitest.Tick, func() string { return apitest.Signed("POST", "/apps/99/events", apitest.Tick, "mill-key", time.Now()) }},
		{"another version", apitest.Tick, func() string { return strings.Replace(good(), "auth_version=1.0", "auth_version=2.0", 1) }},
		{"a body changed after signing", apitest.Tick + " ", good},
		{"a body without body_md5", apitest.Tick, func() string { return apitest.Signed("POST", "/apps/77/events", "", "mill-key", time.Now()) }},
		{"a malformed escape", apitest.Tick, func() string { return good() + "&x=%zz" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			apitest.In(t, nil, func(n *apitest.Node) {
				a := n.Connect("prices")
				n.Expect(n.Raw("POST", tt.target(), tt.body), 401, " auth_failed")
				a.Expect()
			})
		})
	}
}

func TestDisabledApp(t *testing.T) { // A05
	t.Parallel()
	apitest.In(t, nil, func(n *apitest.Node) {
		target := apitest.Signed("POST", "/apps/79/events", apitest.Tick, "off-key", time.Now())
		n.Expect(n.Raw("POST", target, apitest.Tick), 403, " forbidden")
		n.Expect(n.Raw("POST", target+"&x=1", apitest.Tick), 401, " auth_failed")
	})
}

func TestParametersInAnyOrderAndCase(t *testing.T) { // A06, A07
	t.Parallel()
	apitest.In(t, nil, func(n *apitest.Node) {
		a := n.Connect()
		a.Join("presence-q", "u")
		target := apitest.Signed("GET", "/apps/77/channels?filter_by_prefix=presence-&info=user_count", "", "mill-key", time.Now())
		path, query, _ := strings.Cut(target, "?")
		pairs := strings.Split(query, "&")
		for i, j := 0, len(pairs)-1; i < j; i, j = i+1, j-1 {
			pairs[i], pairs[j] = pairs[j], pairs[i]
		}
		mixed := strings.NewReplacer("auth_key", "Auth_Key", "filter_by", "Filter_By", "presence-", "presence%2D").Replace(strings.Join(pairs, "&"))
		n.Expect(n.Raw("GET", path+"?"+mixed, ""), 200, `{"channels":{"presence-q":{"user_count":1}}}`)
	})
}

func TestEscapedPathIsSignedAsSent(t *testing.T) {
	t.Parallel()
	apitest.In(t, nil, func(n *apitest.Node) {
		n.Connect("a,b")
		n.Expect(n.Do("GET", "/apps/77/channels/a%2cb", ""), 200, `{"occupied":true}`)
		n.Expect(n.Do("GET", "/apps/%377/channels/a,b", ""), 200, `{"occupied":true}`)
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
	change := func(_ *app.App, o *apitest.Options) { o.Apps = broken{} }
	apitest.In(t, change, func(n *apitest.Node) {
		w := n.Publish(apitest.Tick)
		n.Expect(w, 503, " service_unavailable")
		if w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "secret detail") {
			t.Errorf("got %v %s, want Retry-After and no detail", w.Header(), w.Body)
		}
		n.Expect(n.Raw("GET", "/up/77", ""), 503, "ERROR")
	})
}
