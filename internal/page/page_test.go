package page_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/page"
)

func options() page.Options {
	return page.Options{
		AppID: "77", Key: "mill-key", Secret: "mill-secret",
		Publish: func(context.Context, string, string, []byte) error { return nil },
	}
}

func get(t *testing.T, h http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:6001"+path, nil))
	return w
}

func post(t *testing.T, h http.Handler, path string, form url.Values, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	return send(t, h, http.MethodPost, "127.0.0.1:6001", path, form, header...)
}

// send sends a form as a browser does: to a Host, and with what follows as headers.
func send(t *testing.T, h http.Handler, method, host, path string, form url.Values, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(form.Encode()))
	r.Host = host
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestPageLoadsOnlyItsOwnFiles(t *testing.T) {
	t.Parallel()
	h := page.New(options())
	index := get(t, h, "/")
	if index.Code != http.StatusOK {
		t.Fatalf("GET / = %d, want 200", index.Code)
	}
	policy := index.Header().Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "default-src 'none'; script-src 'self'") || strings.Contains(policy, "unsafe") {
		t.Errorf("Content-Security-Policy = %q, want own files only", policy)
	}
	body := index.Body.String()
	for _, want := range []string{`data-key="mill-key"`, `data-lobby="presence-lobby"`, `data-event="message"`} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if strings.Contains(body, "mill-secret") {
		t.Error("the page shows the app's secret")
	}
	links := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(body, -1)
	if len(links) < 3 {
		t.Fatalf("found %d files in the page, want its script, style and icon", len(links))
	}
	for _, m := range append(links, []string{"", "page/client.js"}, []string{"", "page/place.js"}) {
		if strings.HasPrefix(m[1], "/") {
			t.Errorf("%s is not where the page is, if a proxy has put that below a path", m[1])
		}
		w := get(t, h, "/"+strings.TrimPrefix(m[1], "/"))
		if w.Code != http.StatusOK || w.Body.Len() == 0 {
			t.Errorf("GET %s = %d with %d bytes, want 200 and a file", m[1], w.Code, w.Body.Len())
		}
		if w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("GET %s: no nosniff", m[1])
		}
	}
}

func TestOtherPathsAreNotFound(t *testing.T) {
	t.Parallel()
	h := page.New(options())
	for _, path := range []string{"/nothing", "/page/", "/page/index.html", "/page/none.js", "/page/..%2fpage.go", "/app", "/auth"} {
		if w := get(t, h, path); w.Code != http.StatusNotFound {
			t.Errorf("GET %s = %d, want 404", path, w.Code)
		}
	}
	if got, want := get(t, h, "/nothing").Body.String(), "404 NOT FOUND\n"; got != want {
		t.Errorf("body = %q, want %q", got, want)
	}
}

func TestAuthorize(t *testing.T) {
	t.Parallel()
	type answer struct {
		Auth        string `json:"auth"`
		ChannelData string `json:"channel_data"`
	}
	long := strings.Repeat("u", 129)
	cases := []struct {
		name   string
		form   url.Values
		status int
		want   answer
	}{
		{
			"a private channel gets the signature of the specification's vector",
			url.Values{"socket_id": {"4711.815"}, "channel_name": {"private-orders"}},
			200,
			answer{Auth: "mill-key:43500007267b0f969cf855c9b3dc388dc95ddf36421788f14844963af7d7d9c4"},
		},
		{
			"a presence channel gets the vector's signature and the member it signs",
			url.Values{"socket_id": {"4711.815"}, "channel_name": {"presence-lobby"}, "user_id": {"u-9"}, "user_name": {"Ida"}},
			200,
			answer{
				Auth:        "mill-key:e891085865d00a89212fb40ae259e0e333eac3a5c9b41a86381924c0140069ad",
				ChannelData: `{"user_id":"u-9","user_info":{"name":"Ida"}}`,
			},
		},
		{
			"a visitor without a name is a guest of its connection",
			url.Values{"socket_id": {"4711.815"}, "channel_name": {"presence-x"}},
			200,
			answer{ChannelData: `{"user_id":"guest-4711.815","user_info":{"name":"Guest"}}`},
		},
		{"a socket id of another form is refused", url.Values{"socket_id": {"4711"}, "channel_name": {"private-x"}}, 400, answer{}},
		{"a socket id that smuggles a channel is refused", url.Values{"socket_id": {"1.1:private-y"}, "channel_name": {"private-x"}}, 400, answer{}},
		{"a public channel needs no signature", url.Values{"socket_id": {"1.1"}, "channel_name": {"news"}}, 403, answer{}},
		{"a user channel is not signed", url.Values{"socket_id": {"1.1"}, "channel_name": {":user::{}"}}, 403, answer{}},
		{"an encrypted channel needs a master key", url.Values{"socket_id": {"1.1"}, "channel_name": {"private-encrypted-x"}}, 403, answer{}},
		{"a long user id is refused", url.Values{"socket_id": {"1.1"}, "channel_name": {"presence-x"}, "user_id": {long}}, 400, answer{}},
		{"a body that is too large is refused", url.Values{"socket_id": {"1.1"}, "channel_name": {"private-x"}, "pad": {strings.Repeat("x", 17<<10)}}, 400, answer{}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := post(t, page.New(options()), "/auth", c.form)
			if w.Code != c.status {
				t.Fatalf("status = %d (%s), want %d", w.Code, w.Body, c.status)
			}
			if c.status != http.StatusOK {
				return
			}
			var got answer
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if c.want.Auth == "" {
				got.Auth = ""
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPublish(t *testing.T) {
	t.Parallel()
	var got []string
	o := options()
	o.Publish = func(_ context.Context, channel, event string, data []byte) error {
		got = append(got, channel, event, string(data))
		return nil
	}
	w := post(t, page.New(o), "/publish", url.Values{"text": {`<b> "hi" & bye`}, "user_id": {"u-9"}, "user_name": {"Ida"}})
	if w.Code != http.StatusNoContent {
		t.Fatalf("status = %d (%s), want 204", w.Code, w.Body)
	}
	want := []string{page.Lobby, page.Event, `"{\"id\":\"u-9\",\"name\":\"Ida\",\"text\":\"<b> \\\"hi\\\" & bye\"}"`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
}

func TestPublishRefuses(t *testing.T) {
	t.Parallel()
	o := options()
	o.Publish = func(context.Context, string, string, []byte) error { return errors.New("secret detail") }
	h := page.New(o)
	cases := []struct {
		name   string
		form   url.Values
		header []string
		status int
	}{
		{"an empty text", url.Values{}, nil, 400},
		{"a text that is too long", url.Values{"text": {strings.Repeat("x", 2049)}}, nil, 400},
		{"a failing fan-out, without its detail", url.Values{"text": {"x"}}, nil, 503},
		{"a form of another site", url.Values{"text": {"x"}}, []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"a form of another origin", url.Values{"text": {"x"}}, []string{"Origin", "https://elsewhere.example"}, 403},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := post(t, h, "/publish", c.form, c.header...)
			if w.Code != c.status {
				t.Errorf("status = %d, want %d", w.Code, c.status)
			}
			if strings.Contains(w.Body.String(), "secret") {
				t.Errorf("the answer shows internals: %s", w.Body)
			}
		})
	}
}

func TestTradingMovesTheMarket(t *testing.T) {
	t.Parallel()
	o := options()
	var seen []entity.Mutation
	o.Mutate = func(_ context.Context, mutations []entity.Mutation) error {
		seen = append(seen, mutations...)
		return nil
	}
	h := page.New(o)
	for range 50 {
		if w := post(t, h, "/trade", nil); w.Code != http.StatusNoContent {
			t.Fatalf("POST /trade = %d, want 204", w.Code)
		}
	}
	symbols := map[string]bool{}
	for _, m := range seen {
		var q struct {
			Name          string
			Price, Change float64
			Halted        *bool
		}
		if err := json.Unmarshal(m.Data, &q); err != nil || q.Name == "" || q.Price <= 0 || q.Halted == nil {
			t.Fatalf("mutation of %s: %s (%v)", m.Key, m.Data, err)
		}
		symbols[m.Key] = true
	}
	if len(symbols) < 20 || len(seen) < len(symbols)+100 {
		t.Errorf("%d mutations of %d symbols, want all symbols opened, then three a step", len(seen), len(symbols))
	}
	o.Mutate = nil
	if w := post(t, page.New(o), "/trade", nil); w.Code != http.StatusNotFound {
		t.Errorf("without views: POST /trade = %d, want 404", w.Code)
	}
	if strings.Contains(get(t, page.New(o), "/").Body.String(), "/page/table.js") {
		t.Error("without views the page still loads its table")
	}
}
