package httpapi_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/auth"
	"github.com/millrace/millrace/internal/httpapi"
	"github.com/millrace/millrace/internal/httpapi/apitest"
	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/reader"
	"github.com/millrace/millrace/internal/token"
)

// watched records what a node logs and counts.
type watched struct {
	log      bytes.Buffer
	registry *prometheus.Registry
}

func (o *watched) options(h *apitest.Options) {
	o.registry = prometheus.NewPedanticRegistry()
	h.Metrics = httpapi.NewMetrics(o.registry)
	h.Log = slog.New(slog.NewJSONHandler(&o.log, nil))
}

// lines are what was logged since the last call, without what every line has.
func (o *watched) lines(t *testing.T) (all []map[string]any) {
	t.Helper()
	for line := range strings.Lines(o.log.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		if m["msg"] != "api request refused" || m["level"] != "INFO" {
			continue
		}
		delete(m, "time")
		delete(m, "msg")
		delete(m, "level")
		all = append(all, m)
	}
	o.log.Reset()
	return all
}

// refusals are the counts by code and reason.
func (o *watched) refusals(t *testing.T) map[string]float64 {
	t.Helper()
	families, err := o.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "millrace_httpapi_refusals_total" {
				got[m.GetLabel()[0].GetValue()+" "+m.GetLabel()[1].GetValue()] += m.GetCounter().GetValue()
			}
		}
	}
	return got
}

// Every refusal is one line with the app, the route, the code, the reason and the address.
func TestRefusalsAreLoggedAndCounted(t *testing.T) {
	t.Parallel()
	signedAs := func(key, secret, method, target, body string) string {
		return apitest.SignedWith(secret, method, target, body, key, time.Now())
	}
	type line struct {
		app, route, code, reason, why string
	}
	tests := []struct {
		name                 string
		method, target, body string
		want                 line
	}{
		{"no key", "GET", "/apps/77/channels", "", line{"77", "channels", "auth_failed", "key", ""}},
		{"a wrong signature", "GET", signedAs("mill-key", "wrong", "GET", "/apps/77/channels", ""), "", line{"77", "channels", "auth_failed", "signature", ""}},
		{"a query with a token in it", "GET", signedAs("mill-key", "wrong", "GET", "/apps/77/views/A/list?hs_token=secret", ""), "", line{"77", "view", "auth_failed", "signature", ""}},
		{"a clock that is wrong", "GET", apitest.SignedWith("mill-secret", "GET", "/apps/77/channels", "", "mill-key", time.Unix(1, 0)), "", line{"77", "channels", "auth_failed", "clock", ""}},
		{"a token without a grant", "GET", "/apps/77/views/A/list?hs_token=secret", "", line{"77", "view", "token-invalid-format", "token-invalid-format", ""}},
		{"a key without the right", "POST", signedAs("read-key", "read-secret", "POST", "/apps/77/events", apitest.Tick), apitest.Tick, line{"77", "events", "forbidden", "rights", `This key may not do that: it lacks the right "publish" and has only "read"`}},
		{"an app that is disabled", "GET", signedAs("off-key", "mill-secret", "GET", "/apps/79/channels", ""), "", line{"79", "channels", "forbidden", "app_disabled", "This app is disabled"}},
		{"a path that means nothing", "GET", "/apps/77/nothing", "", line{"77", "unknown", "not_found", "route", ""}},
		{"another method", "DELETE", "/apps/77/events", "", line{"77", "events", "method_not_allowed", "method_not_allowed", "This method is not allowed here; use POST"}},
		{"bad input", "GET", signedAs("mill-key", "mill-secret", "GET", "/apps/77/channels?info=user_count", ""), "", line{"77", "channels", "invalid_input", "invalid_input", "user_count needs filter_by_prefix to begin with presence-"}},
		{"nobody there", "DELETE", signedAs("mill-key", "mill-secret", "DELETE", "/apps/77/connections/1.2", ""), "", line{"77", "close_connection", "not_found", "not_found", "No connection of this app on this node has this socket id"}},
		{"too many events", "POST", signedAs("mill-key", "mill-secret", "POST", "/apps/77/events", `{"name":"e","channels":["a","b"],"data":"1"}`), `{"name":"e","channels":["a","b"],"data":"1"}`, line{"77", "events", "rate_limited", "app_event_limit", "Too many events per second for this app; each target channel counts as one"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var o watched
			n := apitest.New(t, func(a *app.App, h *apitest.Options) {
				o.options(h)
				apitest.WithKeys(a, h)
				a.Limits.MaxBackendEventsPerSecond = 1
				h.Views.Readers = &reader.Rules{Authenticator: tokenReaders(t)}
			})
			n.Raw(tt.method, tt.target, tt.body)
			want := map[string]any{
				"app": tt.want.app, "route": tt.want.route, "code": tt.want.code, "reason": tt.want.reason,
				"ip": "192.0.2.1", "more_since_last": 0.0,
			}
			if tt.want.why != "" {
				want["why"] = tt.want.why
			}
			if text := o.log.String(); strings.Contains(text, "secret") || strings.Contains(text, "auth_signature") {
				t.Errorf("the log has secrets: %s", text)
			}
			if diff := cmp.Diff([]map[string]any{want}, o.lines(t)); diff != "" {
				t.Errorf("log (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(map[string]float64{tt.want.code + " " + tt.want.reason: 1}, o.refusals(t)); diff != "" {
				t.Errorf("metric (-want +got):\n%s", diff)
			}
		})
	}
}

// tokenReaders admits clients with a session token.
func tokenReaders(t *testing.T) func(string) token.Authenticator {
	t.Helper()
	key, err := token.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	ring, err := token.NewRing(nil, token.Key{Public: key.Public()})
	if err != nil {
		t.Fatal(err)
	}
	a, err := token.NewSigned(token.SignedOptions{Issuer: "i", Audience: "a", Keys: ring})
	if err != nil {
		t.Fatal(err)
	}
	return func(string) token.Authenticator { return a }
}

func TestRefusalsOfOneAddressAreSampled(t *testing.T) {
	t.Parallel()
	var o watched
	apitest.In(t, func(_ *app.App, h *apitest.Options) {
		o.options(h)
		h.Requests = limit.Rate{Max: 1, Per: time.Minute}
	}, func(n *apitest.Node) {
		target := "/apps/" + strings.Repeat("é", 200) + "/events"
		for range 5 {
			from(n, "[2001:db8::1]:5", "POST", target)
		}
		time.Sleep(time.Second)
		from(n, "[2001:db8::2]:5", "POST", target)
		from(n, "192.0.2.9:5", "GET", "/apps/77/none") // of another code, so it is not hidden
		want := []map[string]any{
			{"app": "é", "route": "events", "code": "auth_failed", "reason": "key", "ip": "2001:db8::1", "more_since_last": 0.0},
			{"app": "é", "route": "events", "code": "rate_limited", "reason": "address_limit", "ip": "2001:db8::1", "more_since_last": 0.0},
			{"app": "é", "route": "events", "code": "rate_limited", "reason": "address_limit", "ip": "2001:db8::2", "more_since_last": 3.0},
			{"app": "77", "route": "unknown", "code": "not_found", "reason": "route", "ip": "192.0.2.9", "more_since_last": 0.0},
		}
		got := o.lines(t)
		for _, line := range got {
			if text := line["app"].(string); len(text) > 203 {
				t.Errorf("the log repeats %d bytes of a path", len(text))
			} else if strings.HasPrefix(text, "é") {
				line["app"] = "é"
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
		counts := map[string]float64{"auth_failed " + string(auth.ReasonKey): 1, "rate_limited address_limit": 5, "not_found route": 1}
		if diff := cmp.Diff(counts, o.refusals(t)); diff != "" {
			t.Errorf("metric (-want +got):\n%s", diff)
		}
	})
}
