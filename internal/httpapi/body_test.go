package httpapi_test

import (
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
	"github.com/millrace/millrace/internal/httpapi"
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
	events := func(key string, at time.Time) string { return signedTarget("POST", "/apps/77/events", tick, key, at) }
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
		{"a body without body_md5", func() string { return signedTarget("POST", "/apps/77/events", "", "mill-key", time.Now()) }, nil, 401, " auth_failed"},
		{"the admin key with a wrong secret", func() string { return events("admin-key", time.Now()) }, nil, 401, " auth_failed"},
		{"a disabled app", func() string { return signedTarget("POST", "/apps/79/events", tick, "off-key", time.Now()) }, nil, 403, " forbidden"},
		{"a key without the right", func() string {
			return signedWith("read-secret", "POST", "/apps/77/events", tick, "read-key", time.Now())
		}, nil, 403, " forbidden"},
		{"gzip", good, http.Header{"Content-Encoding": {"gzip"}}, 415, `{"error":"The body is coded as gzip; send it as it is, ` +
			`without Content-Encoding","code":"unsupported_encoding","status":415}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inNode(t, withKeys, func(n *node) {
				r := httptest.NewRequest("POST", tt.target(), untouched{t})
				r.ContentLength = 10 << 20
				if tt.header != nil {
					r.Header = tt.header
				}
				w := httptest.NewRecorder()
				n.api.ServeHTTP(w, r)
				n.expect(w, tt.status, tt.want)
				if got := w.Header().Get("Accept-Encoding"); (got == "identity") != (tt.status == 415) {
					t.Errorf("Accept-Encoding %q", got)
				}
			})
		})
	}
}

func TestIdentityIsNoCoding(t *testing.T) {
	t.Parallel()
	inNode(t, nil, func(n *node) {
		r := httptest.NewRequest("POST", signedTarget("POST", "/apps/77/events", tick, "mill-key", time.Now()), strings.NewReader(tick))
		r.Header.Set("Content-Encoding", "Identity")
		w := httptest.NewRecorder()
		n.api.ServeHTTP(w, r)
		n.expect(w, 200, `{}`)
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
		{"a body that fits", tick, false, budget - 512, time.Hour, 200, `{}`, 0},
		{"a body that fits a moment later", tick, false, budget, 999 * time.Millisecond, 200, `{}`, 999 * time.Millisecond},
		{"a body that does not", tick, false, budget, time.Hour, 503, " backpressure", time.Second},
		{"a long body that fits", long, false, budget - 128<<10, time.Hour, 200, `{}`, 0},
		{"a long body that does not", long, false, budget - 128<<10 + 1, time.Hour, 503, " backpressure", time.Second},
		{"a short body in chunks", tick, true, budget - 64<<10, time.Hour, 200, `{}`, 0},
		{"a short body in chunks that does not fit", tick, true, budget, time.Hour, 503, " backpressure", time.Second},
		{"a long body in chunks, which may become as long as any", long, true, 1, 500 * time.Millisecond, 200, `{}`, 500 * time.Millisecond},
		{"a long body in chunks that does not fit", long, true, 1, time.Hour, 503, " backpressure", time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var bodies *limit.Budget
			change := func(_ *app.App, o *httpapi.Options) {
				bodies = limit.NewBudget(budget)
				o.Bodies, o.MaxBody = bodies, budget-1
			}
			inNode(t, change, func(n *node) {
				bodies.TryAcquire(tt.held)
				release := time.AfterFunc(tt.lasts, func() { bodies.Release(tt.held) })
				r := httptest.NewRequest("POST", signedTarget("POST", "/apps/77/events", tt.body, "mill-key", time.Now()), strings.NewReader(tt.body))
				if tt.isChunked {
					r.ContentLength = -1
				}
				start, w := time.Now(), httptest.NewRecorder()
				n.api.ServeHTTP(w, r)
				n.expect(w, tt.status, tt.want)
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
	change := func(_ *app.App, o *httpapi.Options) { o.Bodies, o.MaxBody = bodies, maxBody }
	inNode(t, change, func(n *node) {
		long := `{"name":"e","channel":"a","data":"1","x":"` + strings.Repeat("x", 200<<10) + `"}`
		post := func(appID, key, text string, body io.Reader) *httptest.ResponseRecorder {
			r := httptest.NewRequest("POST", signedTarget("POST", "/apps/"+appID+"/events", text, key, time.Now()), body)
			r.ContentLength = int64(len(text))
			w := httptest.NewRecorder()
			n.api.ServeHTTP(w, r)
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
		n.expect(post("77", "mill-key", long, strings.NewReader(long)), 503, " backpressure")
		if took := time.Since(begun); took != time.Second {
			t.Errorf("a third long body of the app was refused after %v, want 1s", took)
		}
		n.expect(post("78", "other-key", long, strings.NewReader(long)), 200, `{}`)
		for range 3 { // of which one fits
			begin("78", "other-key")
		}
		begun = time.Now()
		n.expect(post("77", "mill-key", tick, strings.NewReader(tick)), 200, `{}`)
		n.expect(post("78", "other-key", tick, strings.NewReader(tick)), 200, `{}`)
		if took := time.Since(begun); took != 0 {
			t.Errorf("usual publishes waited for %v", took)
		}
		for _, end := range ends {
			_ = end.CloseWithError(io.ErrUnexpectedEOF)
		}
		slow.Wait()
		n.expect(post("77", "mill-key", long, strings.NewReader(long)), 200, `{}`)
		if bodies.Used() != 0 {
			t.Errorf("%d bytes are never given back", bodies.Used())
		}
	})
}

func TestAPanicGivesRoomBack(t *testing.T) {
	t.Parallel()
	bodies := limit.NewBudget(1 << 20)
	change := func(_ *app.App, o *httpapi.Options) {
		o.Bodies, o.Channels = bodies, panicky{o.Channels.(*channel.Engine)}
	}
	inNode(t, change, func(n *node) {
		var wg sync.WaitGroup
		wg.Go(func() {
			defer func() { _ = recover() }()
			n.publish(tick)
		})
		wg.Wait()
		if bodies.Used() != 0 {
			t.Errorf("%d bytes are never given back", bodies.Used())
		}
	})
}
