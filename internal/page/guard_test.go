package page_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/page"
)

const frontEnd = "http://localhost:5173"

// sign asks for a signature.
func sign(t *testing.T, h http.Handler, method, host string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	return send(t, h, method, host, "/auth", url.Values{"socket_id": {"1.1"}, "channel_name": {"private-x"}}, header...)
}

// A site that lets its own name mean this machine (DNS rebinding) is of one origin with what
// answers there, so only its Host tells it from the page.
func TestOnlyKnownHostsAreAnswered(t *testing.T) {
	t.Parallel()
	tests := []struct {
		host           string
		local, exposed int
	}{
		{"127.0.0.1:6001", 200, 200},
		{"127.0.0.1", 200, 200},
		{"127.1.2.3:80", 200, 200},
		{"[::1]:6001", 200, 200},
		{"[::1]", 200, 200},
		{"[::ffff:127.0.0.1]:6001", 200, 200},
		{"localhost:6001", 200, 200},
		{"LOCALHOST", 200, 200},
		{"localhost.:6001", 200, 200},
		{"shop.localhost:6001", 200, 200},
		{"192.0.2.7:6001", 403, 200},
		{"[2001:db8::1]:6001", 403, 200},
		{"dev.example", 200, 200}, // of an origin
		{"dev.example:6001", 200, 200},
		{"evil.example:6001", 403, 403},
		{"localhost.evil.example:6001", 403, 403},
		{"127.0.0.1.evil.example", 403, 403},
		{"dev.example.evil.example", 403, 403},
		{"127.0.0.1@evil.example", 403, 403},
		{"2130706433", 403, 403}, // an address to some, a name to others
		{"", 403, 403},
		{":6001", 403, 403},
	}
	for _, tt := range tests {
		t.Run(tt.host, func(t *testing.T) {
			t.Parallel()
			for _, isExposed := range []bool{false, true} {
				o := options()
				o.Origins, o.IsExposed = []string{frontEnd, "https://dev.example:8443"}, isExposed
				want := tt.local
				if isExposed {
					want = tt.exposed
				}
				h := page.New(o)
				if w := sign(t, h, http.MethodPost, tt.host); w.Code != want {
					t.Errorf("POST /auth, exposed %t: %d (%s), want %d", isExposed, w.Code, w.Body, want)
				}
				if w := send(t, h, http.MethodGet, tt.host, "/", nil); w.Code != want {
					t.Errorf("GET /, exposed %t: %d, want %d", isExposed, w.Code, want)
				}
			}
		})
	}
}

func TestAFrontEndDevelopmentServerMaySign(t *testing.T) {
	t.Parallel()
	o := options()
	o.Origins = []string{frontEnd}
	h := page.New(o)

	w := sign(t, h, http.MethodPost, "localhost:6001", "Origin", frontEnd, "Sec-Fetch-Site", "same-site")
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "mill-key:") {
		t.Errorf("POST /auth of a front end: %d, %s", w.Code, w.Body)
	}
	if got := w.Header().Get("Access-Control-Allow-Origin"); got != frontEnd || w.Header().Get("Vary") != "Origin" {
		t.Errorf("Access-Control-Allow-Origin = %q, Vary %q", got, w.Header().Get("Vary"))
	}

	w = sign(t, h, http.MethodOptions, "localhost:6001", "Origin", frontEnd,
		"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type,x-csrf-token")
	if w.Code != http.StatusNoContent || w.Header().Get("Access-Control-Allow-Headers") != "content-type,x-csrf-token" ||
		w.Header().Get("Access-Control-Allow-Methods") != "POST" {
		t.Errorf("preflight: %d, %v", w.Code, w.Header())
	}

	for _, origin := range []string{"http://localhost:3000", "https://localhost:5173", "http://localhost:5173.evil.example", "null"} {
		w := sign(t, h, http.MethodPost, "localhost:6001", "Origin", origin)
		if w.Code != http.StatusForbidden || w.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("POST /auth of %s: %d, %v, want 403", origin, w.Code, w.Header())
		}
		if !strings.Contains(w.Body.String(), "MILLRACE_DEVELOPMENT_ORIGINS") {
			t.Errorf("the refusal does not say what to do: %s", w.Body)
		}
	}
	// It may sign, and nothing else.
	for _, path := range []string{"/publish", "/trade"} {
		if w := post(t, h, path, url.Values{"text": {"x"}}, "Origin", frontEnd); w.Code != http.StatusForbidden {
			t.Errorf("POST %s of a front end: %d, want 403", path, w.Code)
		}
	}
}

func TestThePageShowsCommandsAndWarnsAsItIsServed(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		change  func(*page.Options)
		want    []string
		without []string
	}{
		{"by default", func(*page.Options) {}, []string{`data-program="millrace"`}, []string{"data-app", `id="warning"`}},
		{
			"called by a path", func(o *page.Options) { o.Program = func() string { return "bin/millrace" } },
			[]string{`data-program="bin/millrace"`},
			nil,
		},
		{
			"called by a path with blanks", func(o *page.Options) { o.Program = func() string { return "/opt/it's mine/millrace" } },
			[]string{`data-program="&#39;/opt/it&#39;\&#39;&#39;s mine/millrace&#39;"`},
			nil,
		},
		{"an app of one's own", func(o *page.Options) { o.HasOwnApp = true }, []string{`data-app="77"`}, nil},
		{"where others reach it", func(o *page.Options) { o.IsExposed = true }, []string{`id="warning"`, "--dev"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := options()
			tt.change(&o)
			body := get(t, page.New(o), "/").Body.String()
			for _, want := range tt.want {
				if !strings.Contains(body, want) {
					t.Errorf("the page lacks %s", want)
				}
			}
			for _, other := range tt.without {
				if strings.Contains(body, other) {
					t.Errorf("the page has %s", other)
				}
			}
		})
	}
}
