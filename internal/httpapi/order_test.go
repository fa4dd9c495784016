package httpapi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/httpapi"
	"github.com/millrace/millrace/internal/limit"
)

// TestTheFirstFailedCheckDecides sends requests that fail several of the checks of
// pusher 5.1, from the first to the last.
func TestTheFirstFailedCheckDecides(t *testing.T) {
	t.Parallel()
	const maxBody = 100
	large, bad := strings.Repeat("x", maxBody+1), `{"name":`
	signed := func(body string) string { return signedTarget("POST", "/apps/77/events", body, "mill-key", time.Now()) }
	tests := []struct {
		name, method string
		target       func() string
		body         string
		isOver       bool // the limit of the app, and that of the address if there is one
		perAddress   int
		status       int
		want         string
	}{
		{"the limit of the address, before the route", "POST", func() string { return "/apps/77/nothing" }, large, true, 1, 429, `{"error":"Too Many Requests","message":"More than 1 requests from this address; try again in 60 s"}`},
		{"the route, before the method", "DELETE", func() string { return "/apps/77/nothing" }, large, true, 0, 404, "404 NOT FOUND"},
		{"the method, before the signature", "PUT", func() string { return "/apps/77/events" }, large, true, 0, 405, " method_not_allowed"},
		{"the signature, before the limit of the app", "POST", func() string { return "/apps/77/events" }, large, true, 0, 401, " auth_failed"},
		{"the limit of the app, before the size of the body", "POST", func() string { return signed(large) }, large, true, 0, 429, " rate_limited"},
		{"the size of the body, before its MD5", "POST", func() string { return signed(bad) }, large, false, 0, 413, " payload_too_large"},
		{"the MD5, before the JSON", "POST", func() string { return signed("") }, bad, false, 0, 401, " auth_failed"},
		{"the JSON", "POST", func() string { return signed(bad) }, bad, false, 0, 400, " invalid_input"},
		{"the key, before the event", "POST", func() string { return signed(with(`""`)) }, with(`""`), false, 0, 400, " invalid_input"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			change := func(a *app.App, o *httpapi.Options) {
				a.Limits.MaxBackendEventsPerSecond = 1
				o.MaxBody = maxBody
				o.Requests = limit.Rate{Max: tt.perAddress, Per: time.Minute}
			}
			inNode(t, change, func(n *node) {
				if tt.isOver {
					n.expect(n.publish(tick), 200, `{}`)
				}
				n.expect(n.raw(tt.method, tt.target(), tt.body), tt.status, tt.want)
			})
		})
	}
}

func TestKeysOfAppsAreApart(t *testing.T) { // pusher 5.9
	t.Parallel()
	claims := httpapi.NewMemoryClaims(httpapi.ClaimLimits{})
	inNode(t, func(_ *app.App, o *httpapi.Options) { o.Idempotency.Claims = claims }, func(n *node) {
		for i, as := range []struct{ app, key string }{{"77", "mill-key"}, {"78", "other-key"}, {"77", "mill-key"}, {"78", "other-key"}} {
			target := signedTarget("POST", "/apps/"+as.app+"/events", with(`"k"`), as.key, time.Now())
			n.expect(n.raw("POST", target, with(`"k"`)), 200, `{}`)
			if keys, _ := claims.Len(); keys != min(i+1, 2) {
				t.Errorf("after %d requests: %d keys, want %d", i+1, keys, min(i+1, 2))
			}
		}
	})
}
