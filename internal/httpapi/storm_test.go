package httpapi_test

import (
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/httpapi"
	"github.com/millrace/millrace/internal/limit"
)

// seeds are good requests; mutations of them go deeper than noise.
var seeds = []struct{ method, target, body string }{
	{"POST", "/apps/77/events", with(`"k"`)},
	{"POST", "/apps/77/events", `{"name":"e","channels":["a","presence-b","cache-c"],"data":{"x":[1,"\u00e9"]},"info":"user_count,subscription_count,cache","socket_id":"1.2"}`},
	{"POST", "/apps/77/batch_events", `{"batch":[` + tick + `,` + with(`"m"`) + `]}`},
	{"GET", "/apps/77/channels?filter_by_prefix=presence-&info=user_count", ""},
	{"GET", "/apps/77/channels/cache-c?info=cache,subscription_count", ""},
	{"GET", "/apps/77/channels/presence-b/users", ""},
	{"POST", "/apps/77/users/u/terminate_connections", "{}"},
	{"POST", "/apps/77/mutations", `{"mutations":[{"entity":"A","key":"a","op":"patch","data":{"l":[1]},"append":["l"]}],"idempotency_key":"x"}`},
	{"POST", "/apps/77/views", `{"id":"A/top","source":"A/list","sort":[{"field":"n","order":"desc"}],"limit":3}`},
	{"GET", "/apps/77/views/A/list?take=2&skip=1&key=a&limit=5&after=0", ""},
	{"DELETE", "/apps/77/views/A/top", ""},
	{"POST", "/apps/77/sessions/revoke", `{"jti":"x","until":99999999999}`},
	{"GET", "/up/77", ""},
	{"GET", "/stats", ""},
}

// mangle changes a few bytes of text: flips, cuts, repeats, and pieces that parsers dislike.
func mangle(r *rand.Rand, text string) string {
	pieces := []string{"\x00", "\xff", "%", "%2F", "%00", "..", "//", "\"", "\\u", "{", "[", "]", "}", ",", ":", "null", "-1", "1e999", "é", " ", "?", "&", "=", strings.Repeat("[", 2000)}
	b := []byte(text)
	for range 1 + r.IntN(4) {
		i := r.IntN(len(b) + 1)
		switch r.IntN(5) {
		case 0:
			b = append(b[:i:i], append([]byte(pieces[r.IntN(len(pieces))]), b[i:]...)...)
		case 1:
			b = b[:i]
		case 2:
			if i < len(b) {
				b[i] ^= byte(1 << r.IntN(8))
			}
		case 3:
			j := i + r.IntN(len(b)-i+1)
			b = append(b[:j:j], b[i:]...)
		case 4:
			j := i + r.IntN(len(b)-i+1)
			b = append(b[:i:i], b[j:]...)
		}
	}
	return string(b)
}

// TestStorm sends random and mutated requests, most of them signed: none may break the
// server, and every refusal says what it is.
func TestStorm(t *testing.T) {
	t.Parallel()
	const requests = 20_000
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a test
	n := newNode(t, func(_ *app.App, o *httpapi.Options) {
		o.MaxBody = 8 << 10
		o.Requests = limit.Rate{Max: 1000, Per: time.Minute}
	})
	codes := map[int]int{}
	for i := range requests {
		s := seeds[r.IntN(len(seeds))]
		method, target, body := s.method, s.target, s.body
		if r.IntN(20) == 0 {
			method = []string{"GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "BREW"}[r.IntN(7)]
		}
		if r.IntN(2) == 0 {
			body = mangle(r, body)
		}
		path, query, _ := strings.Cut(target, "?")
		if r.IntN(4) == 0 {
			path = "/" + strings.TrimLeft(strings.ReplaceAll(mangle(r, path), " ", "+"), "/")
		}
		if r.IntN(8) == 0 {
			query = mangle(r, query)
		}
		if values, err := url.ParseQuery(query); err == nil && !strings.Contains(path, "?") && r.IntN(10) > 0 {
			target = signedTarget(method, path+"?"+values.Encode(), body, "mill-key", time.Now())
		} else {
			target = path + "?" + query
		}
		if r.IntN(50) == 0 {
			target = mangle(r, target)
		}
		request := &http.Request{
			Method: method, RequestURI: target, URL: &url.URL{Path: path}, Header: http.Header{}, RemoteAddr: []string{"@", "", "192.0.2.1:1", "[::1]:1", "x:y:z"}[r.IntN(5)],
			ContentLength: int64(len(body)), ProtoMajor: 1, ProtoMinor: 1, Proto: "HTTP/1.1",
		}
		if i%8 != 0 { // the others exceed the limit of their address
			request.RemoteAddr = "[2001:db8:" + string("0123456789abcdef"[r.IntN(16)]) + string("0123456789abcdef"[r.IntN(16)]) + "::1]:1"
		}
		if _, rest, ok := strings.Cut(target, "?"); ok {
			request.URL.RawQuery = rest
		}
		request.Body = io.NopCloser(strings.NewReader(body))
		if r.IntN(10) == 0 {
			request.ContentLength = int64(r.IntN(100)) - 1
		}
		if r.IntN(5) == 0 {
			request.Header["X-Idempotency-Key"] = []string{mangle(r, "key")}
			request.Header.Set("Origin", mangle(r, "https://a.example"))
		}
		w := httptest.NewRecorder()
		n.api.ServeHTTP(w, request)
		codes[w.Code]++
		expectAnswer(t, request, body, w)
	}
	t.Log(codes)
	for _, code := range []int{200, 204, 400, 401, 404, 405, 429} {
		if codes[code] == 0 {
			t.Errorf("no request got %d: the storm is too weak", code)
		}
	}
}

// expectAnswer checks that an answer is one that the API documents.
func expectAnswer(t *testing.T, r *http.Request, body string, w *httptest.ResponseRecorder) {
	t.Helper()
	if w.Code >= 500 && (w.Code != 503 || strings.HasPrefix(r.RequestURI, "/apps") && w.Header().Get("Retry-After") == "") {
		t.Errorf("%s %q %q: got %d %s", r.Method, r.RequestURI, body, w.Code, w.Body)
	}
	if strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") {
		if !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s %q %q: got %d and no JSON: %q", r.Method, r.RequestURI, body, w.Code, w.Body)
		}
	}
	if w.Code >= 400 && w.Code != 404 && w.Body.Len() > 4<<10+len(body)+len(r.RequestURI) {
		t.Errorf("%s %q: a refusal of %d bytes", r.Method, r.RequestURI, w.Body.Len())
	}
}
