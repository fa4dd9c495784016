package token_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/token"
)

func signingKey(tb testing.TB, seed byte) token.SigningKey {
	tb.Helper()
	k, err := token.ParseSigningKey(base64.StdEncoding.EncodeToString(key(seed).Seed()))
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func newMinter(tb testing.TB, change func(*token.MinterOptions)) *token.Minter {
	tb.Helper()
	o := token.MinterOptions{
		App: "app", Issuer: "iss-t", Audience: "aud-t", Key: signingKey(tb, 1), Now: clock,
		SecretKeys: []string{"a4_sk_x", "a4_sk_y"}, PublishableKeys: []string{"a4_pk_x"},
	}
	if change != nil {
		change(&o)
	}
	m, err := token.NewMinter(o)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

func endpoint(tb testing.TB, change func(*token.MinterOptions)) http.Handler {
	tb.Helper()
	return token.NewEndpoint(token.EndpointOptions{Minters: minters(newMinter(tb, change))})
}

// ask posts a request for a token.
func ask(h http.Handler, key, origin, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/ws/sessions", strings.NewReader(body))
	if key != "" {
		r.Header.Set("Authorization", key)
	}
	if origin != "" {
		r.Header.Set("Origin", origin)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// payload is what a minted token claims.
func payload(t *testing.T, answer *httptest.ResponseRecorder) map[string]any {
	t.Helper()
	var body struct{ Token string }
	if err := json.Unmarshal(answer.Body.Bytes(), &body); err != nil || answer.Code != http.StatusOK {
		t.Fatalf("answer %d %s", answer.Code, answer.Body)
	}
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(body.Token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(text, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestMintedWithAPublishableKey(t *testing.T) { // U12
	t.Parallel()
	w := ask(endpoint(t, nil), "Bearer a4_pk_x", "", `{"websocket_url":"ws://auctions.example.com"}`)
	got := payload(t, w)
	if id, _ := got["jti"].(string); len(id) != 36 {
		t.Errorf("jti %q", got["jti"])
	}
	delete(got, "jti")
	now := float64(clock().Unix())
	want := map[string]any{
		"iss": "iss-t", "sub": "publishable:pk_0", "aud": "auctions", "deployment_id": "auctions",
		"iat": now, "nbf": now, "exp": now + 300, "scope": "read", "metering_key": "meter:publishable:pk_0", "key_class": "publishable",
		"limits": map[string]any{
			"max_connections": 10.0, "max_subscriptions": 100.0, "max_snapshot_rows": 1000.0,
			"max_messages_per_minute": 10000.0, "max_bytes_per_minute": 104857600.0,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	var answer map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	delete(answer, "token")
	if diff := cmp.Diff(map[string]any{"expires_at": now + 300, "token_type": "Bearer"}, answer); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	if h := w.Header(); h.Get("Cache-Control") != "no-store" || h.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("headers %v", h)
	}
}

func TestMintRequests(t *testing.T) {
	t.Parallel()
	lists := func(o *token.MinterOptions) { o.Origins = []string{"https://a.example", "Example.ORG"} }
	fixed := func(o *token.MinterOptions) { o.IsAudienceFixed = true }
	const body, secret, publishable = `{"websocket_url":"ws://d.example"}`, "Bearer a4_sk_y", "Bearer a4_pk_x"
	tests := []struct {
		name              string
		change            func(*token.MinterOptions)
		key, origin, body string
		status            int
		want              string // code, or claim=value
	}{
		{"U13 a publishable key lives five minutes at most", nil, publishable, "", `{"websocket_url":"ws://d.example","ttl_seconds":9999}`, 200, "exp=1893450300"},
		{"U13 a secret key lives an hour at most", nil, secret, "", `{"websocket_url":"ws://d.example","ttl_seconds":9999}`, 200, "exp=1893453600"},
		{"a shorter life", nil, secret, "", `{"websocket_url":"ws://d.example","ttl_seconds":62}`, 200, "exp=1893450062"},
		{"the configured life of a publishable key has the same bound", func(o *token.MinterOptions) { o.TTL = time.Hour }, publishable, "", body, 200, "exp=1893450300"},
		{"ids count from zero in the order given", nil, secret, "", body, 200, "sub=secret:sk_1"},
		{"U14 no Authorization", nil, "", "", body, 401, "missing-authorization-header"},
		{"U14 another scheme", nil, "Basic a4_sk_x", "", body, 401, "missing-authorization-header"},
		{"the scheme is compared with its case", nil, "bearer a4_sk_x", "", body, 401, "missing-authorization-header"},
		{"U14 an unknown key", nil, "Bearer nobody", "", body, 401, "invalid-api-key"},
		{"an empty key", nil, "Bearer ", "", body, 401, "invalid-api-key"},
		{"U15 an origin outside the list", lists, publishable, "https://b.example", body, 403, "origin-not-allowed"},
		{"no origin while there is a list", lists, publishable, "", body, 403, "origin-not-allowed"},
		{"an origin in the list in other letters", lists, publishable, "https://A.example", body, 200, "origin=https://A.example"},
		{"an origin below an entry", lists, publishable, "https://shop.example.org", body, 200, "origin=https://shop.example.org"},
		{"an entry without a scheme is itself, too", lists, publishable, "http://example.org", body, 200, "origin=http://example.org"},
		{"on its port", lists, publishable, "https://example.org:8443", body, 403, "origin-not-allowed"},
		{"an entry with a port", func(o *token.MinterOptions) { o.Origins = []string{"a.example:8443"} }, publishable, "https://b.a.example:8443", body, 200, "origin=https://b.a.example:8443"},
		{"an origin below an entry with a scheme", lists, publishable, "https://shop.a.example", body, 403, "origin-not-allowed"},
		{"an entry with a scheme on another one", lists, publishable, "http://a.example", body, 403, "origin-not-allowed"},
		{"an origin that ends as an entry does", lists, publishable, "https://badexample.org", body, 403, "origin-not-allowed"},
		{"the list is not for secret keys", lists, secret, "https://b.example", body, 200, "origin=https://b.example"},
		{"U16 the body's origin wins", nil, publishable, "https://a.example", `{"websocket_url":"ws://d.example","origin":"https://b.example"}`, 200, "origin=https://b.example"},
		{"no origin anywhere", nil, publishable, "", body, 200, "origin=<nil>"},
		{"a scope", nil, secret, "", `{"websocket_url":"ws://d.example","scope":"read write"}`, 200, "scope=read write"},
		{"a deployment", nil, secret, "", `{"websocket_url":"ws://d.example","deployment_id":"other"}`, 200, "aud=other"},
		{"a fixed audience", fixed, secret, "", `{"websocket_url":"ws://127.0.0.1:6001/views/app-key"}`, 200, "aud=aud-t"},
		{"another deployment than the fixed one", fixed, secret, "", `{"websocket_url":"ws://d.example","deployment_id":"other"}`, 403, "deployment-access-denied"},
		{"null is the same as absent", nil, secret, "", `{"websocket_url":"ws://d.example","ttl_seconds":null,"scope":null,"origin":null,"deployment_id":null}`, 200, "aud=d"},
		{"views", nil, publishable, "", `{"websocket_url":"ws://d.example","views":["top","Lot/*"]}`, 200, "views=[top Lot/*]"},
		{"no views are not all views", nil, secret, "", `{"websocket_url":"ws://d.example","views":[]}`, 200, "views=[]"},
		{"all views", nil, secret, "", body, 200, "views=<nil>"},
		{"views that are one text", nil, secret, "", `{"websocket_url":"ws://d.example","views":"top"}`, 400, "invalid-request"},
		{"a view that is a number", nil, secret, "", `{"websocket_url":"ws://d.example","views":[1]}`, 400, "invalid-request"},
		{"no URL", nil, secret, "", `{}`, 400, "invalid-request"},
		{"an empty URL", nil, secret, "", `{"websocket_url":""}`, 400, "invalid-request"},
		{"not a URL", nil, secret, "", `{"websocket_url":"ws://a b:%zz"}`, 400, "invalid-request"},
		{"a URL that is a number", nil, secret, "", `{"websocket_url":1}`, 400, "invalid-request"},
		{"no life at all", nil, secret, "", `{"websocket_url":"ws://d.example","ttl_seconds":0}`, 400, "invalid-request"},
		{"a life that is no integer", nil, secret, "", `{"websocket_url":"ws://d.example","ttl_seconds":-5}`, 400, "invalid-request"},
		{"no JSON", nil, secret, "", `websocket_url=ws://d.example`, 400, "invalid-request"},
		{"no body", nil, secret, "", ``, 400, "invalid-request"},
		{"a huge body", nil, secret, "", strings.Repeat(" ", 1<<17) + body, 400, "invalid-request"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := ask(endpoint(t, tt.change), tt.key, tt.origin, tt.body)
			if w.Code != tt.status {
				t.Fatalf("answer %d %s, want %d", w.Code, w.Body, tt.status)
			}
			if name, value, ok := strings.Cut(tt.want, "="); ok {
				got := payload(t, w)[name]
				if n, isNumber := got.(float64); isNumber {
					got = int64(n)
				}
				if fmt.Sprint(got) != value {
					t.Errorf("claim %s is %v, want %s", name, got, value)
				}
				return
			}
			var body struct{ Error, Code string }
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body.Error == "" || body.Code != tt.want || w.Header().Get("X-Error-Code") != tt.want {
				t.Errorf("body %s, headers %v, want code %s", w.Body, w.Header(), tt.want)
			}
		})
	}
}

func TestDeploymentOfAURL(t *testing.T) { // U19
	t.Parallel()
	h := endpoint(t, nil)
	for address, want := range map[string]string{
		"ws://www.x.example/shop/a":       "shop",
		"ws://localhost:8877":             "aud-t",
		"ws://localhost:8877/":            "aud-t",
		"ws://localhost:8877/shop":        "shop",
		"wss://Auctions.Example.com/shop": "auctions",
		"ws://127.0.0.1:8877":             "127",
		"wss://API.example.com//a/b?c=d":  "a",
		"wss://auth.example.com":          "aud-t",
		"ws://[::1]:8877/shop":            "shop",
		"/just/a/path":                    "just",
	} {
		w := ask(h, "Bearer a4_sk_x", "", string(mustJSON(object{"websocket_url": address})))
		got := payload(t, w)
		if got["aud"] != want || got["deployment_id"] != want {
			t.Errorf("%s: aud %v, deployment_id %v, want %s", address, got["aud"], got["deployment_id"], want)
		}
	}
}

func TestMintingIsLimited(t *testing.T) { // U18
	t.Parallel()
	windows := limit.NewSlidings[string](0)
	h := endpoint(t, func(o *token.MinterOptions) {
		o.PerMinute = 2
		o.Allow = func(key string, now time.Time, perMinute int) (time.Duration, bool) {
			return windows.Allow(key, now, limit.Rate{Max: perMinute, Per: time.Minute})
		}
	})
	const body = `{"websocket_url":"ws://d.example"}`
	for i, want := range []int{200, 200, 429} {
		w := ask(h, "Bearer a4_pk_x", "https://a.example", body)
		if w.Code != want {
			t.Fatalf("mint %d: %d %s, want %d", i, w.Code, w.Body, want)
		}
		if want == 429 && (w.Header().Get("X-Error-Code") != "rate-limit-exceeded" || w.Header().Get("Retry-After") != "60") {
			t.Errorf("headers %v", w.Header())
		}
	}
	if w := ask(h, "Bearer a4_pk_x", "https://b.example", body); w.Code != 200 {
		t.Errorf("another origin: %d", w.Code)
	}
	if w := ask(h, "Bearer a4_sk_x", "https://a.example", body); w.Code != 200 {
		t.Errorf("another key: %d", w.Code)
	}
}

func TestRetryAfterIsNotTooEarly(t *testing.T) {
	t.Parallel()
	h := endpoint(t, func(o *token.MinterOptions) {
		o.PerMinute = 1
		o.Allow = func(string, time.Time, int) (time.Duration, bool) { return 1100 * time.Millisecond, false }
	})
	if got := ask(h, "Bearer a4_pk_x", "", "{}").Header().Get("Retry-After"); got != "2" {
		t.Errorf("Retry-After %q, want 2 for 1.1 s", got)
	}
}

func TestMintingIsLimitedByTier(t *testing.T) {
	t.Parallel()
	got := map[string]int{}
	h := endpoint(t, func(o *token.MinterOptions) {
		o.PerMinute = 1000
		o.Allow = func(key string, _ time.Time, perMinute int) (time.Duration, bool) {
			got[strings.Split(key, "\x00")[1]] = perMinute
			return 0, true
		}
	})
	ask(h, "Bearer a4_pk_x", "", `{"websocket_url":"ws://d.example"}`)
	ask(h, "Bearer a4_sk_x", "", `{"websocket_url":"ws://d.example"}`)
	if diff := cmp.Diff(map[string]int{"pk_0": 60, "sk_0": 600}, got); diff != "" {
		t.Errorf("limits (-want +got):\n%s", diff)
	}
}

func TestEndpointIsOpenToEveryOrigin(t *testing.T) {
	t.Parallel()
	h := endpoint(t, nil)
	tests := []struct {
		method, path string
		status       int
		want         map[string]string
	}{
		{"OPTIONS", "/ws/sessions", 204, map[string]string{"Access-Control-Allow-Headers": "authorization, x-mine", "Access-Control-Allow-Methods": "POST, OPTIONS"}},
		{"OPTIONS", "/.well-known/jwks.json", 204, map[string]string{"Access-Control-Allow-Methods": "GET, OPTIONS"}},
		{"GET", "/.well-known/jwks.json", 200, map[string]string{"Content-Type": "application/json; charset=utf-8", "Access-Control-Expose-Headers": "X-Error-Code, Retry-After"}},
		{"HEAD", "/.well-known/jwks.json", 200, nil},
		{"GET", "/ws/sessions", 405, map[string]string{"Allow": "POST, OPTIONS", "X-Error-Code": "invalid-request"}},
		{"POST", "/.well-known/jwks.json", 405, nil},
		{"POST", "/ws/sessions", 401, map[string]string{"X-Error-Code": "missing-authorization-header"}},
		{"GET", "/other", 404, nil},
	}
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(tt.method, tt.path, http.NoBody)
			r.Header.Set("Access-Control-Request-Headers", "authorization, x-mine")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != tt.status || w.Header().Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("answer %d %v, want %d for every origin", w.Code, w.Header(), tt.status)
			}
			for name, want := range tt.want {
				if got := w.Header().Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
		})
	}
}

// U17, and everything together: two apps' minters behind one endpoint, whose key set a
// verifier fetches.
func TestMintedTokensVerify(t *testing.T) {
	t.Parallel()
	other := newMinter(t, func(o *token.MinterOptions) {
		o.App, o.Audience, o.IsAudienceFixed, o.Key = "b", "aud-b", true, signingKey(t, 2)
		o.SecretKeys, o.PublishableKeys = []string{"of b"}, nil
	})
	var events []token.MintEvent
	server := httptest.NewServer(token.NewEndpoint(token.EndpointOptions{
		Minters: minters(newMinter(t, nil), other),
		Keys:    func() []token.Key { return []token.Key{{Public: public(9)}} },
		Observe: func(e token.MintEvent) { events = append(events, e) },
	}))
	t.Cleanup(server.Close)
	document, err := server.Client().Get(server.URL + "/.well-known/jwks.json")
	if err != nil {
		t.Fatal(err)
	}
	defer document.Body.Close()
	text, _ := io.ReadAll(document.Body)
	if n, err := token.ParseKeySet(text); n != 3 || err != nil {
		t.Errorf("%d keys in %s, want 3", n, text)
	}

	remote, err := token.NewRemote(token.RemoteOptions{URL: server.URL + "/.well-known/jwks.json", Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	s := serverS(t, func(o *token.SignedOptions) { o.Audience, o.Keys = "aud-b", remote })
	post, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/ws/sessions", strings.NewReader(`{"websocket_url":"ws://d.example"}`))
	post.Header.Set("Authorization", "Bearer of b")
	answer, err := server.Client().Do(post)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var minted struct{ Token string }
	if err := json.NewDecoder(answer.Body).Decode(&minted); err != nil {
		t.Fatal(err)
	}
	p, issue := s.Authenticate(t.Context(), bearer(minted.Token))
	if issue != nil || p.Limits != token.DefaultLimits() || p.DeploymentID != "aud-b" {
		t.Errorf("got %+v, %v", p, issue)
	}
	if len(events) != 1 || events[0].App != "b" || events[0].KeyID != "sk_0" || events[0].Refusal != nil || events[0].ClientIP == "" || events[0].TTL != 5*time.Minute {
		t.Errorf("events %+v", events)
	}
}

func minters(list ...*token.Minter) func() []*token.Minter {
	return func() []*token.Minter { return list }
}

func TestMintWantsBodiesAsTheyAre(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodPost, "/ws/sessions", strings.NewReader("\x1f\x8b"))
	r.Header.Set("Authorization", "Bearer a4_sk_x")
	r.Header.Set("Content-Encoding", "gzip")
	w := httptest.NewRecorder()
	endpoint(t, nil).ServeHTTP(w, r)
	if w.Code != http.StatusUnsupportedMediaType || w.Header().Get("Accept-Encoding") != "identity" ||
		!strings.Contains(w.Body.String(), "without Content-Encoding") {
		t.Errorf("answer %d %v %s", w.Code, w.Header(), w.Body)
	}
}

// Bodies that do not come hold up later requests, and not for ever.
func TestMintReadsSoManyBodiesAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := endpoint(t, nil)
		post := func(body io.Reader) int {
			r := httptest.NewRequest(http.MethodPost, "/ws/sessions", body)
			r.Header.Set("Authorization", "Bearer a4_sk_x")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w.Code
		}
		slow, stop := io.Pipe()
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() { post(slow) })
		}
		synctest.Wait()
		const body = `{"websocket_url":"ws://d.example"}`
		start := time.Now()
		if got := post(strings.NewReader(body)); got != http.StatusTooManyRequests || time.Since(start) != time.Second {
			t.Errorf("answer %d after %v, want 429 after a second", got, time.Since(start))
		}
		_ = stop.Close()
		wg.Wait()
		if got := post(strings.NewReader(body)); got != http.StatusOK {
			t.Errorf("answer %d once there is room, want 200", got)
		}
	})
}
