package httpapi_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/httpapi/apitest"
	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/room"
)

// seeds are good requests; mutations of them go deeper than noise.
var seeds = []struct{ method, target, body string }{
	{"POST", "/apps/77/events", apitest.With(`"k"`)},
	{"POST", "/apps/77/events", `{"name":"e","channels":["a","presence-b","cache-c"],"data":{"x":[1,"\u00e9"]},"info":"user_count,subscription_count,cache","socket_id":"1.2"}`},
	{"POST", "/apps/77/batch_events", `{"batch":[` + apitest.Tick + `,` + apitest.With(`"m"`) + `]}`},
	{"GET", "/apps/77/channels?filter_by_prefix=presence-&info=user_count", ""},
	{"GET", "/apps/77/channels/cache-c?info=cache,subscription_count", ""},
	{"GET", "/apps/77/channels/presence-b/users", ""},
	{"POST", "/apps/77/users/u/terminate_connections", "{}"},
	{"POST", "/apps/77/mutations", `{"mutations":[{"entity":"A","key":"a","op":"patch","data":{"l":[1]},"append":["l"]}],"idempotency_key":"x"}`},
	{"POST", "/apps/77/views", `{"id":"A/top","source":"A/list","sort":[{"field":"n","order":"desc"}],"limit":3}`},
	{"GET", "/apps/77/views/A/list?take=2&skip=1&key=a&limit=5&after=0", ""},
	{"DELETE", "/apps/77/views/A/top", ""},
	{"POST", "/apps/77/sessions/revoke", `{"jti":"x","until":99999999999}`},
	{"GET", "/apps/77/webhooks", ""},
	{"GET", "/apps/77/webhooks/dead?after=1&limit=2&events=true", ""},
	{"POST", "/apps/77/webhooks/dead/replay", `{"numbers":[1,2],"webhook":"hook"}`},
	{"POST", "/apps/77/webhooks/dead/replay", `{"all":true}`},
	{"POST", "/apps/77/webhooks/dead/discard", `{"webhook":"hook","all":true}`},
	{"GET", "/apps/77/users", ""},
	{"GET", "/apps/77/connections?protocol=channels&ip=192.0.2.1&user_id=u&channel=a&after=1.1&limit=2", ""},
	{"GET", "/apps/77/connections?limit=2", ""},
	{"GET", "/apps/77/connections/1.1", ""},
	{"DELETE", "/apps/77/connections/1.3", ""},
	{"POST", "/apps/77/connections/1.2/trace", `{"seconds":60}`},
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

// storm is how many requests TestStorm sends: a million with -args -storm 1000000.
var storm = flag.Int("storm", 20_000, "random requests that TestStorm sends")

// TestStorm sends random and mutated requests, most of them signed: none may break the
// server or leave anything behind, and every refusal says what it is. It counts goroutines, so
// no other test runs beside it.
func TestStorm(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a test
	n := apitest.New(t, func(a *app.App, o *apitest.Options) {
		apitest.WithKeys(a, o)
		o.MaxBody = 8 << 10
		o.Requests = limit.Rate{Max: 1000, Per: time.Minute}
	})
	codes := map[int]int{}
	var quiet size
	for i := range *storm {
		if i%1000 == 0 {
			refill(n)
		}
		if i == *storm/2 {
			quiet = sizeOf(n)
		}
		request, body := randomRequest(r, i%8 == 0)
		w := httptest.NewRecorder()
		n.API.ServeHTTP(w, request)
		codes[w.Code]++
		expectAnswer(t, request, body, w)
		if t.Failed() {
			t.Fatalf("request %d", i)
		}
	}
	t.Log(codes)
	for _, code := range []int{200, 204, 400, 401, 403, 404, 405, 409, 413, 429} {
		if codes[code] == 0 {
			t.Errorf("no request got %d: the storm is too weak", code)
		}
	}
	after := sizeOf(n)
	t.Logf("after half of it %+v, after all of it %+v", quiet, after)
	if after.goroutines > quiet.goroutines+5 || after.heap > quiet.heap+maxGrowth {
		t.Errorf("it grows: after half of the requests %+v, after all %+v", quiet, after)
	}
}

// maxGrowth allows for what the requests of a storm have put into bounded stores.
const maxGrowth = 8 << 20

// size is what a node takes.
type size struct {
	goroutines int
	heap       uint64 // bytes alive
}

// sizeOf measures after what requests have made on purpose is gone.
func sizeOf(n *apitest.Node) size {
	refill(n)
	runtime.GC()
	runtime.GC() // what pools keep goes with the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return size{runtime.NumGoroutine(), m.HeapAlloc}
}

// refill makes connections and dead letters for the next requests, and removes the views and
// entities that the last ones have made.
func refill(n *apitest.Node) {
	n.Open.Fill()
	for _, v := range slices.Backward(n.Views.Views("77")) {
		if v.Source != "" {
			_ = n.Catalog.Remove(context.Background(), "77", v.ID) // another may stand on it: the next time
		}
	}
	n.Tell("gone", "later")
	n.Webhooks.Tell(&room.Event{Kind: room.CacheMiss, App: "77", Channel: "cache-x"})
	wait(n, func() bool { return n.Webhooks.Status("77")[0].Failures > 0 })
	n.Tell("later") // what waits for the other dies
}

// wait waits for what other goroutines do at once.
func wait(n *apitest.Node, isDone func() bool) {
	n.T.Helper()
	for deadline := time.Now().Add(time.Minute); !isDone(); runtime.Gosched() {
		if time.Now().After(deadline) {
			n.T.Fatal("it does not happen")
		}
	}
}

// randomRequest is a seed, as it is or changed.
func randomRequest(r *rand.Rand, isOfFew bool) (*http.Request, string) {
	s := seeds[r.IntN(len(seeds))]
	method, target, body := s.method, s.target, s.body
	if r.IntN(20) == 0 {
		method = []string{"GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "BREW"}[r.IntN(7)]
	}
	if r.IntN(2) == 0 {
		body = mangle(r, body)
	}
	if r.IntN(100) == 0 {
		body += strings.Repeat(" ", 8<<10)
	}
	path, query, _ := strings.Cut(target, "?")
	if r.IntN(4) == 0 {
		path = "/" + strings.TrimLeft(strings.ReplaceAll(mangle(r, path), " ", "+"), "/")
	}
	if r.IntN(4) == 0 {
		query = mangle(r, query)
	}
	if values, err := url.ParseQuery(query); err == nil && !strings.Contains(path, "?") && r.IntN(10) > 0 {
		target = signedByOne(r, method, path+"?"+values.Encode(), body)
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
	if !isOfFew { // these exceed the limit of their address
		request.RemoteAddr = fmt.Sprintf("[2001:db8:%x::1]:1", r.IntN(1<<12))
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
	return request, body
}

// signedByOne signs with one of the keys there are, mostly that of the app.
func signedByOne(r *rand.Rand, method, target, body string) string {
	key, secret := "mill-key", "mill-secret"
	switch r.IntN(20) {
	case 0:
		key, secret = "admin-key", "admin-secret"
	case 1:
		key, secret = "read-key", "read-secret"
	case 2:
		key, secret = "publish-key", "publish-secret"
	case 3:
		secret = "wrong"
	}
	return apitest.SignedWith(secret, method, target, body, key, time.Now())
}

// expectAnswer checks that an answer is one that the API documents.
func expectAnswer(t *testing.T, r *http.Request, body string, w *httptest.ResponseRecorder) {
	t.Helper()
	about := fmt.Sprintf("%s %q %q: got %d %s", r.Method, r.RequestURI, body, w.Code, w.Body)
	documented := []int{200, 204, 304, 400, 401, 403, 404, 405, 409, 413, 429, 503}
	if !slices.Contains(documented, w.Code) || w.Code == 503 && strings.HasPrefix(r.RequestURI, "/apps") && w.Header().Get("Retry-After") == "" {
		t.Error(about)
	}
	switch kind := w.Header().Get("Content-Type"); {
	case w.Body.Len() == 0:
	case strings.HasPrefix(kind, "application/json"):
		if !json.Valid(w.Body.Bytes()) || !utf8.Valid(w.Body.Bytes()) {
			t.Errorf("no JSON: %s", about)
		}
	case !strings.HasPrefix(kind, "text/plain") || !utf8.Valid(w.Body.Bytes()):
		t.Errorf("neither JSON nor text but %q: %s", kind, about)
	}
	if w.Code >= 400 && w.Code != 404 && w.Body.Len() > 4<<10+len(body)+len(r.RequestURI) {
		t.Errorf("a refusal of %d bytes: %s", w.Body.Len(), about)
	}
}
