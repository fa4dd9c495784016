package httpapi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/httpapi/apitest"
	"github.com/millrace/millrace/internal/limit"
)

// TestTheFirstFailedCheckDecides sends requests that fail several of the checks of
// pusher 5.1, from the first to the last.
func TestTheFirstFailedCheckDecides(t *testing.T) {
	t.Parallel()
	const maxBody = 100
	large, bad := strings.Repeat("x", maxBody+1), `{"name":`
	signed := func(body string) string {
		return apitest.Signed("POST", "/apps/77/events", body, "mill-key", time.Now())
	}
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
		{"the key, before the event", "POST", func() string { return signed(apitest.With(`""`)) }, apitest.With(`""`), false, 0, 400, " invalid_input"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			change := func(a *app.App, o *apitest.Options) {
				a.Limits.MaxBackendEventsPerSecond = 1
				o.MaxBody = maxBody
				o.Requests = limit.Rate{Max: tt.perAddress, Per: time.Minute}
			}
			apitest.In(t, change, func(n *apitest.Node) {
				if tt.isOver {
					n.Expect(n.Publish(apitest.Tick), 200, `{}`)
				}
				n.Expect(n.Raw(tt.method, tt.target(), tt.body), tt.status, tt.want)
			})
		})
	}
}
