package server_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/server"
	"github.com/millrace/millrace/internal/testkit"
)

// Seed of K1 as a signing key.
const seed = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="

// views opens a connection to views, or says why it was refused.
func views(t *testing.T, s *server.Server, target string) (*viewer, error) {
	t.Helper()
	p, err := testkit.DialPeer(s.Addr().String(), "/views/"+target, nil, nil)
	if err != nil {
		return nil, err
	}
	t.Cleanup(p.Cut)
	return newViewer(p), nil
}

// watch opens a connection to views that has subscribed to one, whose snapshot it has.
func watch(t *testing.T, s *server.Server, target, view string) *viewer {
	t.Helper()
	v, err := views(t, s, target)
	if err != nil {
		t.Fatal(err)
	}
	v.subscribe(t, view, "")
	v.until(t, func() string {
		if !v.whole[view] {
			return view + " is not there"
		}
		return ""
	})
	return v
}

// wantKeys reads until v has these entities of a view and no others.
func (v *viewer) wantKeys(t *testing.T, view string, keys ...string) {
	t.Helper()
	v.until(t, func() string {
		got := v.store[view]
		for _, key := range keys {
			if got[key] == nil {
				return "no " + key + " in " + view
			}
		}
		if len(got) != len(keys) {
			text, _ := json.Marshal(got)
			return "too much in " + view + ": " + string(text)
		}
		return ""
	})
}

// wantClose reads until the connection is closed.
func (v *viewer) wantClose(t *testing.T, code int, reason string) {
	t.Helper()
	for {
		f, err := v.Next(waitLimit)
		if err != nil {
			t.Fatal(err)
		}
		if f.Opcode != testkit.Close {
			continue
		}
		if f.CloseCode() != code || f.CloseReason() != reason {
			t.Errorf("closed with %d %q, want %d %q", f.CloseCode(), f.CloseReason(), code, reason)
		}
		return
	}
}

// wantRefused expects that nobody is admitted by a target.
func wantRefused(t *testing.T, s *server.Server, target, code string) {
	t.Helper()
	_, err := views(t, s, target)
	refused, ok := errors.AsType[*testkit.RefusedError](err)
	if !ok || refused.Header.Get("X-Error-Code") != code {
		t.Errorf("views of %s: %+v, want a refusal with %s", target, refused, code)
	}
}

// mint asks for a session token.
func mint(t *testing.T, s *server.Server, key string) (token string, status int) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.Addr().String()+"/ws/sessions",
		strings.NewReader(`{"websocket_url":"wss://shop.example"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: waitLimit}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	var body struct{ Token string }
	_ = json.Unmarshal(text, &body) // a refusal has none
	return body.Token, answer.StatusCode
}

// signed sends a signed request to the HTTP API.
func (n *registryNode) signed(method, path, body, key, secret string, status int) {
	n.t.Helper()
	got, text, err := n.askAs(n.Addr().String(), method, path, body, key, secret)
	if err != nil || got != status {
		n.t.Fatalf("%s %s: %d, want %d: %s (%v)", method, path, got, status, text, err)
	}
}

func (n *registryNode) publish(event string) {
	n.t.Helper()
	n.signed("POST", "/apps/shop/events", event, "shop-key", "shop-secret", 200)
}

const shop = `{"id":"shop","key":"shop-key","secret":"shop-secret","views":{"auth":"static","static_tokens":["desk:peek"],"entities":["Lot"],` +
	`"definitions":[{"id":"top","source":"open","sort":[{"field":"n"}],"limit":2},` +
	`{"id":"open","source":"Lot/list","filter":{"field":"n","op":"gt","value":0}}]},` +
	`"projections":[{"channels":"lot-*","entity":"Lot","key":"$1"}]}`

func TestAnAppOfTheAdminAPIHasViewsAtOnce(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	n := startRegistry(t, registryConfig(path))
	if _, status := mint(t, n.Server, "sk"); status != 404 {
		t.Errorf("minting without any minter: %d, want 404", status)
	}
	n.admin("POST", "/admin/apps", shop, 201)
	wantRefused(t, n.Server, "shop-key", "token-missing")
	v := watch(t, n.Server, "shop-key?hs_token=peek", "top")
	n.publish(`{"name":"e","channel":"lot-a","data":"{\"n\":2}"}`)
	n.publish(`{"name":"e","channel":"lot-b","data":"{\"n\":0}"}`)
	v.wantKeys(t, "top", "a")
	n.signed("POST", "/apps/shop/mutations", `{"mutations":[{"entity":"Other","key":"x","data":{}}]}`, "shop-key", "shop-secret", 400)

	// It outlives the server.
	n.stop()
	n = startRegistry(t, registryConfig(path))
	watch(t, n.Server, "shop-key?hs_token=peek", "top").wantKeys(t, "top", "a")

	// Who may watch changes: whoever was admitted before has to ask again.
	v = watch(t, n.Server, "shop-key?hs_token=peek", "top")
	n.admin("PATCH", "/admin/apps/shop", `{"views":{"auth":"session","static_tokens":null,"signing_key":"`+seed+`","secret_keys":["sk"]}}`, 200)
	v.wantClose(t, 1001, "going-away: restart")
	wantRefused(t, n.Server, "shop-key?hs_token=peek", "token-invalid-format")
	token, status := mint(t, n.Server, "sk")
	if status != 200 {
		t.Fatalf("minting: %d", status)
	}
	v = watch(t, n.Server, "shop-key?hs_token="+token, "top")

	// What it shows changes: whoever watches is told.
	n.admin("PATCH", "/admin/apps/shop", `{"projections":[{"channels":"lot-*","entity":"Lot","key":"$channel"}],`+
		`"views":{"definitions":[{"id":"top","source":"Lot/list"}]}}`, 200)
	v.wantKeys(t, "top", "a", "b")
	n.publish(`{"name":"e","channel":"lot-c","data":"{\"n\":3}"}`)
	v.wantKeys(t, "top", "a", "b", "lot-c")

	n.admin("DELETE", "/admin/apps/shop", "", 204)
	v.wantClose(t, 1008, "deployment-access-denied: This app is disabled")
	if _, status := mint(t, n.Server, "sk"); status != 404 {
		t.Errorf("minting for an app that is gone: %d, want 404", status)
	}
	// Its entities are there when it comes back, its views are not.
	n.admin("POST", "/admin/apps", `{"id":"shop","key":"shop-key","secret":"shop-secret","views":{"auth":"open"}}`, 201)
	watch(t, n.Server, "shop-key", "Lot/list").wantKeys(t, "Lot/list", "a", "b", "lot-c")
	n.signed("GET", "/apps/shop/views/top", "", "shop-key", "shop-secret", 404)
}

func TestAViewsDocumentThatIsWrongChangesNothing(t *testing.T) {
	t.Parallel()
	n := startRegistry(t, registryConfig(t.TempDir()))
	n.admin("POST", "/admin/apps", shop, 201)
	n.signed("POST", "/apps/shop/views", `{"id":"mine","source":"top"}`, "shop-key", "shop-secret", 200)
	v := watch(t, n.Server, "shop-key?hs_token=peek", "mine")
	for _, tt := range []struct{ name, patch, want string }{
		{"an operator that is unknown", `{"definitions":[{"id":"top","source":"Lot/list","filter":{"field":"n","op":"is","value":1}}]}`, "views.definitions[0]"},
		{"a source that is unknown", `{"definitions":[{"id":"top","source":"nothing"}]}`, `there is no view`},
		{"an entity type that is not named", `{"definitions":[{"id":"top","source":"Bid/list"}]}`, "views.entities does not name"},
		{"a view of the API would lose its source", `{"definitions":null}`, `the view \"mine\" could not be served any more`},
		{"a URL that is none", `{"jwks_url":"nowhere"}`, "views.jwks_url"},
		{"a key that is none", `{"signing_key":"x"}`, "views.signing_key"},
		{"a secret that is only shown", `{"static_tokens":["***"]}`, "views.static_tokens[0]"},
		{"nobody can be admitted", `{"static_tokens":null}`, "views.static_tokens"},
	} {
		got := n.admin("PATCH", "/admin/apps/shop", `{"max_connections":1,"views":`+tt.patch+`}`, 422)
		if text, _ := json.Marshal(got); !strings.Contains(string(text), tt.want) {
			t.Errorf("%s: nothing about %s: %s", tt.name, tt.want, text)
		}
	}
	got := n.admin("PATCH", "/admin/apps/shop", `{"projections":[{"channels":"a","entity":"Lot","key":"$1"}]}`, 422)
	if text, _ := json.Marshal(got); !strings.Contains(string(text), "projections[0].key") {
		t.Errorf("nothing about the projection: %s", text)
	}
	n.publish(`{"name":"e","channel":"lot-a","data":"{\"n\":2}"}`)
	v.wantKeys(t, "mine", "a")
	watch(t, n.Server, "shop-key?hs_token=peek", "top").wantKeys(t, "top", "a")
}

// withViews is a configuration whose second app has views.
func withViews(change func(*config.App)) *config.Config {
	c := twoApps()
	a := &c.Apps[1]
	a.Views.Auth, a.Views.StaticTokens = "static", []config.Secret{"first"}
	a.Views.Definitions = []map[string]any{{"id": "top", "source": "Lot/list", "sort": []any{map[string]any{"field": "n"}}}}
	p := config.DefaultProjection()
	p.Channels, p.Entity, p.Key = "lot-*", "Lot", "$1"
	a.Projections = []config.Projection{p}
	if change != nil {
		change(a)
	}
	return c
}

func TestReloadTakesOverViewsAndProjections(t *testing.T) {
	t.Parallel()
	s, log := runServer(t, withViews(nil))
	n := &registryNode{Server: s, t: t}
	publish := func(channel string) {
		n.signed("POST", "/apps/other/events", `{"name":"e","channel":"`+channel+`","data":"{\"n\":1}"}`, "other-key", "other-secret", 200)
	}
	v, bystander := watch(t, s, "other-key?hs_token=first", "top"), watch(t, s, testkit.Key, "Lot/list")
	publish("lot-a")
	v.wantKeys(t, "top", "a")

	// The same again, and with other definitions: nobody has to go.
	if err := s.Reload(t.Context(), withViews(nil)); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(t.Context(), withViews(func(a *config.App) {
		a.Views.Definitions[0]["filter"] = map[string]any{"field": "n", "op": "gt", "value": int64(1)}
		a.Projections[0].Key = "$channel"
	})); err != nil {
		t.Fatal(err)
	}
	v.wantKeys(t, "top")

	if err := s.Reload(t.Context(), withViews(func(a *config.App) { a.Views.Definitions[0]["source"] = "nothing" })); err == nil ||
		!strings.Contains(err.Error(), "apps[1].views.definitions[0]") {
		t.Errorf("a source that is unknown: %v", err)
	}
	n.signed("POST", "/apps/other/views", `{"id":"mine","source":"top"}`, "other-key", "other-secret", 200)
	if err := s.Reload(t.Context(), withViews(func(a *config.App) {
		a.Views.StaticTokens[0], a.Views.Definitions = "second", nil
	})); err == nil || !strings.Contains(err.Error(), `"mine" could not be served any more`) {
		t.Errorf("a view of the API would lose its source: %v", err)
	}
	n.signed("DELETE", "/apps/other/views/mine", "", "other-key", "other-secret", 200)
	watch(t, s, "other-key?hs_token=first", "top").wantKeys(t, "top")

	if err := s.Reload(t.Context(), withViews(func(a *config.App) {
		a.Views.StaticTokens[0] = "second"
		a.Projections[0].Key = "$channel"
	})); err != nil {
		t.Fatal(err)
	}
	v.wantClose(t, 1001, "going-away: restart")
	wantRefused(t, s, "other-key?hs_token=first", "invalid-static-token")
	v = watch(t, s, "other-key?hs_token=second", "top")
	publish("lot-b")
	v.wantKeys(t, "top", "a", "lot-b")
	n.signed("POST", "/apps/"+testkit.AppID+"/mutations", `{"mutations":[{"entity":"Lot","key":"x","data":{}}]}`, testkit.Key, testkit.Secret, 200)
	bystander.wantKeys(t, "Lot/list", "x")
	if strings.Contains(log.String(), "needs a restart") || strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("log:\n%s", log)
	}
}

// Nobody stays who came by rules that are no more, however they changed while he came.
func TestViewsChangeWhileClientsConnect(t *testing.T) {
	t.Parallel()
	next := func(auth string) *config.Config {
		return withViews(func(a *config.App) {
			if a.Views.Auth = auth; auth == "open" {
				a.Views.StaticTokens, a.Views.Definitions = nil, nil
			}
		})
	}
	c := next("open")
	c.Views.RateLimitingEnabled = false
	s, _ := runServer(t, c)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { // ends with stop
			for {
				select {
				case <-stop:
					return
				default:
				}
				p, err := testkit.DialPeer(s.Addr().String(), "/views/other-key", nil, nil)
				if err == nil {
					_ = p.SendText(`{"type":"subscribe","view":"top"}`) // may be closed already
					t.Cleanup(p.Cut)
				} else if _, ok := errors.AsType[*testkit.RefusedError](err); !ok {
					t.Error(err)
				}
			}
		})
	}
	for range 20 {
		for _, auth := range []string{"static", "open"} {
			if err := s.Reload(t.Context(), next(auth)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Reload(t.Context(), next("static")); err != nil {
		t.Fatal(err)
	}
	close(stop)
	wg.Wait()
	err := testkit.Eventually(t.Context(), func() error {
		if n := s.Connections(); n > 0 {
			return errors.New("connections that were admitted before are still there")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	watch(t, s, "other-key?hs_token=first", "top")
}
