package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/httpapi"
	"github.com/millrace/millrace/internal/httpapi/apitest"
	"github.com/millrace/millrace/internal/limit"
)

// from sends an unsigned request from an address.
func from(n *apitest.Node, address, method, target string) *httptest.ResponseRecorder {
	w, r := httptest.NewRecorder(), httptest.NewRequest(method, target, nil)
	r.RemoteAddr = address
	r.Header.Set("X-Forwarded-For", strconv.FormatInt(time.Now().UnixNano(), 10)) // believed from proxies only
	n.API.ServeHTTP(w, r)
	return w
}

func limited(most int) func(*app.App, *apitest.Options) {
	return func(_ *app.App, o *apitest.Options) { o.Requests = limit.Rate{Max: most, Per: time.Minute} }
}

func TestClientLimit(t *testing.T) { // A39, A40
	t.Parallel()
	apitest.In(t, limited(3), func(n *apitest.Node) {
		steps := []struct {
			after                time.Duration
			address, path        string
			status               int
			remaining, reset, in string // the headers; in is Retry-After
		}{
			{0, "192.0.2.1:1", "/apps/77/channels", 401, "2", "60", ""},
			{1500 * time.Millisecond, "192.0.2.1:2", "/apps/none/nothing", 404, "1", "59", ""},
			{0, "192.0.2.1:3", "/apps/77/channels", 401, "0", "59", ""},
			{0, "192.0.2.1:4", "/apps/77/channels", 429, "0", "59", "59"},
			{0, "192.0.2.2:4", "/apps/77/channels", 401, "2", "60", ""},
			{0, "192.0.2.1:5", "/up", 200, "", "", ""},
			{0, "[2001:db8:1:2::1]:5", "/apps/77/channels", 401, "2", "60", ""},
			{0, "[2001:db8:1:2:9::1]:5", "/apps/77/channels", 401, "1", "60", ""},
			{0, "[2001:db8:1:3::1]:5", "/apps/77/channels", 401, "2", "60", ""},
			{58500 * time.Millisecond, "192.0.2.1:6", "/apps/77/channels", 401, "2", "60", ""},
		}
		for i, s := range steps {
			time.Sleep(s.after) // of the bubble
			w := from(n, s.address, "GET", s.path)
			h := w.Header()
			got := []string{h.Get("X-RateLimit-Remaining"), h.Get("X-RateLimit-Reset"), h.Get("Retry-After")}
			if diff := cmp.Diff([]string{s.remaining, s.reset, s.in}, got); diff != "" || w.Code != s.status {
				t.Errorf("step %d: got %d, want %d (-want +got):\n%s", i, w.Code, s.status, diff)
			}
			if s.remaining != "" && h.Get("X-RateLimit-Limit") != "3" {
				t.Errorf("step %d: X-RateLimit-Limit %q", i, h.Get("X-RateLimit-Limit"))
			}
			if w.Code == 429 {
				want := `{"error":"Too Many Requests","message":"More than 3 requests from this address; try again in 59 s"}`
				if w.Body.String() != want || h.Get("Content-Type") != "application/json" {
					t.Errorf("got %s", w.Body)
				}
			}
		}
	})
}

func TestClientLimitIsReadableForPages(t *testing.T) {
	t.Parallel()
	apitest.In(t, limited(1), func(n *apitest.Node) {
		for range 2 {
			r := httptest.NewRequest("GET", "/apps/77/channels", nil)
			r.Header.Set("Origin", "https://a.example")
			w := httptest.NewRecorder()
			n.API.ServeHTTP(w, r)
			if w.Header().Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("%d: no permission", w.Code)
			}
		}
	})
}

func TestClientLimitBelievesClientIP(t *testing.T) { // A41
	t.Parallel()
	change := func(a *app.App, o *apitest.Options) {
		limited(1)(a, o)
		o.ClientIP = func(r *http.Request) string { return r.Header.Get("X-Test") }
	}
	apitest.In(t, change, func(n *apitest.Node) {
		for i, want := range []int{401, 429, 401} {
			r := httptest.NewRequest("GET", "/apps/77/channels", nil)
			r.Header.Set("X-Test", []string{"2.2.2.2", "2.2.2.2", "1.1.1.1"}[i])
			w := httptest.NewRecorder()
			if n.API.ServeHTTP(w, r); w.Code != want {
				t.Errorf("request %d: got %d, want %d", i, w.Code, want)
			}
		}
	})
}

func TestCORS(t *testing.T) { // A44, pusher 5.11
	t.Parallel()
	origins := func(entries ...string) app.Origins {
		o, err := app.ParseOrigins(entries)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	some := httpapi.CORS{Origins: origins("*.example.com", "https://shop.example"), Credentials: true}
	tests := []struct {
		name           string
		cors           httpapi.CORS
		method, origin string
		want           string // allowed origin, credentials, methods, headers, Vary
	}{
		{"everybody by default", httpapi.CORS{}, "GET", "https://a.example", "*||||"},
		{"credentials are not for everybody", httpapi.CORS{Credentials: true}, "GET", "https://a.example", "*||||"},
		{"nor for any", httpapi.CORS{Origins: origins("x.example", "any"), Credentials: true}, "GET", "https://a.example", "*||||"},
		{"a matching origin is echoed", some, "GET", "https://A.example.com", "https://A.example.com|true|||Origin"},
		{"without credentials", httpapi.CORS{Origins: some.Origins}, "GET", "https://shop.example", "https://shop.example||||Origin"},
		{"another origin", some, "GET", "https://evilexample.com", "||||Origin"},
		{"no origin", some, "GET", "", "||||Origin"},
		{"a preflight", some, "OPTIONS", "https://shop.example", "https://shop.example|true|GET, POST, OPTIONS|Authorization, Content-Type, X-Requested-With, Accept|Origin"},
		{"a preflight of another origin", some, "OPTIONS", "https://other.example", "||||Origin"},
		{
			"lists of one's own",
			httpapi.CORS{Methods: []string{"GET", "PUT"}, Headers: []string{"X-A", "X-B"}},
			"OPTIONS", "https://a.example",
			"*||GET, PUT|X-A, X-B|",
		},
		{"off", httpapi.CORS{Off: true}, "OPTIONS", "https://a.example", "||||"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := apitest.New(t, func(_ *app.App, o *apitest.Options) { o.CORS = tt.cors })
			r := httptest.NewRequest(tt.method, "/apps/77/channels", nil)
			if tt.origin != "" {
				r.Header.Set("Origin", tt.origin)
			}
			w := httptest.NewRecorder()
			n.API.ServeHTTP(w, r)
			var got []string
			for _, name := range []string{"Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers", "Vary"} {
				got = append(got, w.Header().Get(name))
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, "|")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if tt.method == "OPTIONS" && w.Code != 204 {
				t.Errorf("got %d", w.Code)
			}
		})
	}
}
