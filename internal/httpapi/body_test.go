package httpapi_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/bus/bustest"
	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/httpapi/apitest"
	"github.com/millrace/millrace/internal/limit"
)

// untouched is a body that must not be read.
type untouched struct{ t *testing.T }

func (u untouched) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.ErrUnexpectedEOF
}

// A request that is refused for what is known without its body is refused before it is read, so
// that a sender without a secret makes the server keep nothing.
func TestBodiesThatAreRefusedAreNotRead(t *testing.T) {
	t.Parallel()
	events := func(key string, at time.Time) string {
		return apitest.Signed("POST", "/apps/77/events", apitest.Tick, key, at)
	}
	good := func() string { return events("mill-key", time.Now()) }
	tests := []struct {
		name   string
		target func() string
		header http.Header
		status int
		want   string
	}{
		{"no parameters", func() string { return "/apps/77/events" }, nil, 401, " auth_failed"},
		{"an unknown key", func() string { return events("no-key", time.Now()) }, nil, 401, " auth_failed"},
		{"the key of another app", func() string { return events("other-key", time.Now()) }, nil, 401, " auth_failed"},
		{"an app that does not exist", func() string { return strings.Replace(good(), "/77/", "/99/", 1) }, nil, 401, " auth_failed"},
		{"an old timestamp", func() string { return events("mill-key", time.Now().Add(-time.Hour)) }, nil, 401, " auth_failed"},
		{"another version", func() string { return strings.Replace(good(), "=1.0", "=2.0", 1) }, nil, 401, " auth_failed"},
		{"a wrong signature", func() string { return good() + "&x=1" }, nil, 401, " auth_failed"},
		{"a body without body_md5", func() string { return apitest.Signed("POST", "/apps/77/events", "", "mill-key", time.Now()) }, nil, 401, " auth_failed"},
		{"the admin key with a wrong secret", func() string { return events("admin-key", time.Now()) }, nil, 401, " auth_failed"},
		{"a disabled app", func() string { return apitest.Signed("POST", "/apps/79/events", apitest.Tick, "off-key", time.Now()) }, nil, 403, " forbidden"},
		{"a key without the right", func() string {
			return apitest.SignedWith("read-secret", "POST", "/apps/77/events", apitest.Tick, "read-key", time.Now())
		}, nil, 403, " forbidden"},
		{"gzip", good, http.Header{"Content-Encoding": {"gzip"}}, 415, `{"error":"The body is coded as gzip; send it as it is, ` +
			`without Content-Encoding","code":"unsupported_encoding","status":415}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			apitest.In(t, apitest.WithKeys, func(n *apitest.Node) {
				r := httptest.NewRequest("POST", tt.target(), untouched{t})
				r.ContentLength = 10 << 20
				if tt.header != nil {
					r.Header = tt.header
				}
				w := httptest.NewRecorder()
				n.API.ServeHTTP(w, r)
				n.Expect(w, tt.status, tt.want)
				if got := w.Header().Get("Accept-Encoding"); (got == "identity") != (tt.status == 415) {
					t.Errorf("Accept-Encoding %q", got)
				}
			})
		})
	}
}

func TestIdentityIsNoCoding(t *testing.T) {
	t.Parallel()
	apitest.In(t, nil, func(n *apitest.Node) {
		r := httptest.NewRequest("POST", apitest.Signed("POST", "/apps/77/events", apitest.Tick, "mill-key", time.Now()), strings.NewReader(apitest.Tick))
		r.Header.Set("Content-Encoding", "Identity")
		w := httptest.NewRecorder()
		n.API.ServeHTTP(w, r)
		n.Expect(w, 200, `{}`)
	})
}

func TestBodiesWaitForRoom(t *testing.T) {
	t.Parallel()
	bustest.SkipIfSlow(t)
	const budget = 256 << 10
	long := `{"name":"e","channel":"a","data":"1","x":"` + strings.Repeat("x", 100<<10) + `"}`
	tests := []struct {
		name, body string
		isChunked  bool
		held       int64         // by others
		lasts      time.Duration // that long
		status     int
		want       string
		takes      time.Duration
	}{
		{"a body that fits", apitest.Tick, false, budget - 512, time.Hour, 200, `{}`, 0},
		{"a body that fits a moment later", apitest.Tick, false, budget, 999 * time.Millisecond, 200, `{}`, 999 * time.Millisecond},
		{"a body that does not", apitest.Tick, false, budget, time.Hour, 503, " backpressure", time.Second},
		{"a long body that fits", long, false, budget - 128<<10, time.Hour, 200, `{}`, 0},
		{"a long body that does not", long, false, budget - 128<<10 + 1, time.Hour, 503, " backpressure", time.Second},
		{"a short body in chunks", apitest.Tick, true, budget - 64<<10, time.Hour, 200, `{}`, 0},
		{"a short body in chunks that does not fit", apitest.Tick, true, budget, time.Hour, 503, " backpressure", time.Second},
		{"a long body in chunks, which may become as long as any", long, true, 1, 500 * time.Millisecond, 200, `{}`, 500 * time.Millisecond},
		{"a long body in chunks that does not fit", long, true, 1, time.Hour, 503, " backpressure", time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var bodies *limit.Budget
			change := func(_ *app.App, o *apitest.Options) {
				bodies = limit.NewBudget(budget)
				o.Bodies, o.MaxBody = bodies, budget-1
			}
			apitest.In(t, change, func(n *apitest.Node) {
				bodies.TryAcquire(tt.held)
				release := time.AfterFunc(tt.lasts, func() { bodies.Release(tt.held) })
				r := httptest.NewRequest("POST", apitest.Signed("POST", "/apps/77/events", tt.body, "mill-key", time.Now()), strings.NewReader(tt.body))
				if tt.isChunked {
					r.ContentLength = -1
				}
				start, w := time.Now(), httptest.NewRecorder()
				n.API.ServeHTTP(w, r)
				n.Expect(w, tt.status, tt.want)
				if took := time.Since(start); took != tt.takes {
					t.Errorf("took %v, want %v", took, tt.takes)
				}
				if got := w.Header().Get("Retry-After"); (got == "1") != (tt.status == 503) {
					t.Errorf("Retry-After %q", got)
				}
				if release.Stop() {
					bodies.Release(tt.held)
				}
				if synctest.Wait(); bodies.Used() != 0 {
					t.Errorf("%d bytes are never given back", bodies.Used())
				}
			})
		})
	}
}

// Large bodies that are announced and come slowly, or not at all, hold up no usual publish, and
// those of one app not those of another.
func TestLargeBodiesLeaveRoom(t *testing.T) {
	t.Parallel()
	bustest.SkipIfSlow(t)
	const maxBody = 256<<10 - 1
	bodies := limit.NewBudget(1 << 20)
	change := func(_ *app.App, o *apitest.Options) { o.Bodies, o.MaxBody = bodies, maxBody }
	apitest.In(t, change, func(n *apitest.Node) {
		long := `{"name":"e","channel":"a","data":"1","x":"` + strings.Repeat("x", 200<<10) + `"}`
		post := func(appID, key, text string, body io.Reader) *httptest.ResponseRecorder {
			r := httptest.NewRequest("POST", apitest.Signed("POST", "/apps/"+appID+"/events", text, key, time.Now()), body)
			r.ContentLength = int64(len(text))
			w := httptest.NewRecorder()
			n.API.ServeHTTP(w, r)
			return w
		}
		var slow sync.WaitGroup
		var ends []*io.PipeWriter
		begin := func(appID, key string) {
			body, end := io.Pipe()
			ends = append(ends, end)
			slow.Go(func() { post(appID, key, long, body) })
			synctest.Wait()
		}
		for range 2 { // half of the budget
			begin("77", "mill-key")
		}
		begun := time.Now()
		n.Expect(post("77", "mill-key", long, strings.NewReader(long)), 503, " backpressure")
		if took := time.Since(begun); took != time.Second {
			t.Errorf("a third long body of the app was refused after %v, want 1s", took)
		}
		n.Expect(post("78", "other-key", long, strings.NewReader(long)), 200, `{}`)
		for range 3 { // of which one fits
			begin("78", "other-key")
		}
		begun = time.Now()
		n.Expect(post("77", "mill-key", apitest.Tick, strings.NewReader(apitest.Tick)), 200, `{}`)
		n.Expect(post("78", "other-key", apitest.Tick, strings.NewReader(apitest.Tick)), 200, `{}`)
		if took := time.Since(begun); took != 0 {
			t.Errorf("usual publishes waited for %v", took)
		}
		for _, end := range ends {
			_ = end.CloseWithError(io.ErrUnexpectedEOF)
		}
		slow.Wait()
		n.Expect(post("77", "mill-key", long, strings.NewReader(long)), 200, `{}`)
		if bodies.Used() != 0 {
			t.Errorf("%d bytes are never given back", bodies.Used())
		}
	})
}

func TestAPanicGivesRoomBack(t *testing.T) {
	t.Parallel()
	bodies := limit.NewBudget(1 << 20)
	change := func(_ *app.App, o *apitest.Options) {
		o.Bodies, o.Channels.Publisher = bodies, panicky{}
	}
	apitest.In(t, change, func(n *apitest.Node) {
		var wg sync.WaitGroup
		wg.Go(func() {
			defer func() { _ = recover() }()
			n.Publish(apitest.Tick)
		})
		wg.Wait()
		if bodies.Used() != 0 {
			t.Errorf("%d bytes are never given back", bodies.Used())
		}
	})
}

// Over a real connection, because what happens to a body that nobody reads is net/http's.
func TestBodySize(t *testing.T) { // A23
	t.Parallel()
	n := apitest.New(t, nil)
	server := httptest.NewServer(n.API)
	defer server.Close()
	send := func(body io.Reader, target string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+target, body)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(text)
	}
	hide := func(r io.Reader) io.Reader { return struct{ io.Reader }{r} } // its length, so it goes in chunks
	large := strings.Repeat("x", 11<<20)
	fits := `{"name":"e","channel":"a","data":"1","x":"` + strings.Repeat("x", 9<<20) + `"}`
	signed := func(body string) string {
		return apitest.Signed("POST", "/apps/77/events", body, "mill-key", time.Now())
	}
	for _, tt := range []struct {
		name, target, body string
		status             int
	}{
		{"11 MB without a signature", "/apps/77/events", large, 401},
		{"11 MB", signed(large), large, 413},
		{"9 MB", signed(fits), fits, 200},
	} {
		if status, text := send(strings.NewReader(tt.body), tt.target); status != tt.status {
			t.Errorf("%s, announced: got %d %s, want %d", tt.name, status, text, tt.status)
		}
		if status, text := send(hide(strings.NewReader(tt.body)), tt.target); status != tt.status {
			t.Errorf("%s in chunks: got %d %s, want %d", tt.name, status, text, tt.status)
		}
	}
}

type panicky struct{}

func (panicky) Publish(context.Context, *app.App, []channel.Event) error { panic("broken") }
