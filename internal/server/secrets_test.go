package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/config"
)

// What was stored before there was a rule is served on, or an upgrade would be an outage; what is
// new must keep to it.
func TestStoredAppsGetNoSecretThatCanBeGuessed(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	const long = "a-secret-of-16-bytes"
	n := startRegistry(t, registryConfig(path))
	n.admin("POST", "/admin/apps", `{"id":"old","key":"old-key","secret":"short"}`, 201) // in development mode
	n.admin("POST", "/admin/apps", `{"id":"desk","key":"desk-key","secret":"`+long+`","views":{"auth":"static","static_tokens":["desk:peek"]}}`, 201)
	n.stop()

	production := registryConfig(path)
	production.Development.Page = false
	n = startRegistry(t, production)
	n.signed("POST", "/apps/old/events", `{"name":"e","channel":"c","data":"{}"}`, "old-key", "short", 200)
	if got := strings.Count(n.log.String(), "a stored app is served with a secret that can be guessed"); got != 2 || !strings.Contains(n.log.String(), "views.static_tokens[0]") {
		t.Errorf("the log warns %d times, want once for each app:\n%s", got, n.log)
	}
	for _, tt := range []struct {
		name, method, path, body string
		status                   int
	}{
		{"a new app", "POST", "/admin/apps", `{"id":"new","key":"k","secret":"fifteen.bytes.."}`, 422},
		{"a new app that is known to all", "POST", "/admin/apps", `{"id":"new","key":"k","secret":"app-secret"}`, 422},
		{"a new app with a further key", "POST", "/admin/apps", `{"id":"new","keys":[{"key":"k2","secret":"s"}]}`, 422},
		{"a new app with a long one", "POST", "/admin/apps", `{"id":"new","key":"k","secret":"` + long + `"}`, 201},
		{"a new app whose secret is made", "POST", "/admin/apps", `{"id":"made"}`, 201},
		{"another short one", "PATCH", "/admin/apps/old", `{"secret":"other"}`, 422},
		{"the same short one", "PATCH", "/admin/apps/old", `{"secret":"short","max_connections":5}`, 200},
		{"another limit", "PATCH", "/admin/apps/old", `{"max_connections":7}`, 200},
		{"a new app with a short token", "POST", "/admin/apps", `{"id":"new2","views":{"auth":"static","static_tokens":["new-desk-on-floor-2:peek"]}}`, 422},
		{"a short key that mints", "PATCH", "/admin/apps/old", `{"views":{"signing_key":"` + seed + `","secret_keys":["sk"]}}`, 422},
		{"another limit beside a short token", "PATCH", "/admin/apps/desk", `{"max_connections":7}`, 200},
		{"the same short token with another label", "PATCH", "/admin/apps/desk", `{"views":{"static_tokens":["till:peek"]}}`, 200},
		{"another short token", "PATCH", "/admin/apps/desk", `{"views":{"static_tokens":["till:look"]}}`, 422},
		{"a further key", "POST", "/admin/apps/old/keys", `{"key":"k3","secret":"s"}`, 422},
		{"a new first key", "POST", "/admin/apps/old/rotate", ``, 201},
		{"an import", "POST", "/admin/import", `[{"id":"soketi","key":"k4","secret":"app-secret","enabled":true}]`, 422},
		{"an import with a long one", "POST", "/admin/import", `[{"id":"soketi","key":"k4","secret":"` + long + `","enabled":true}]`, 200},
		{"the old key is revoked", "DELETE", "/admin/apps/old/keys/old-key", ``, 200},
	} {
		status, text, err := n.ask(n.Addr().String(), tt.method, tt.path, tt.body)
		if err != nil || status != tt.status {
			t.Errorf("%s: %d, want %d: %s (%v)", tt.name, status, tt.status, text, err)
		}
		if says := strings.Contains(string(text), "guessed") || strings.Contains(string(text), "it is no secret"); says != (tt.status == 422) {
			t.Errorf("%s: the answer is %s", tt.name, text)
		}
	}
}

// A configuration that a program has made is not served as development where others reach it.
func TestThePageIsNotServedWhereOthersReachIt(t *testing.T) {
	t.Parallel()
	c := config.Development()
	c.HTTP.Listen, c.Metrics.Listen, c.Store.Driver = "0.0.0.0:0", "", "memory"
	n := startRegistry(t, c)
	for _, tt := range []struct {
		method, path string
		want         int
	}{{"GET", "/page/page.js", 404}, {"POST", "/auth", 404}, {"POST", "/trade", 404}, {"GET", "/up", 200}} {
		r, err := http.NewRequestWithContext(t.Context(), tt.method, "http://"+n.Addr().String()+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != tt.want {
			t.Errorf("%s %s: %d, want %d", tt.method, tt.path, response.StatusCode, tt.want)
		}
	}
}
