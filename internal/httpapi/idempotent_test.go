package httpapi_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/bus/bustest"
	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/httpapi"
)

// keyed sends a signed request with X-Idempotency-Key.
func (n *node) keyed(target, key, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", signedTarget("POST", target, body, "mill-key", time.Now()), strings.NewReader(body))
	r.Header["X-Idempotency-Key"] = []string{key}
	w := httptest.NewRecorder()
	n.api.ServeHTTP(w, r)
	return w
}

func with(key string) string {
	return `{"name":"e","channel":"a","data":"1","idempotency_key":` + key + `}`
}

func TestIdempotencyKeys(t *testing.T) {
	t.Parallel()
	const events, batches = "/apps/77/events", "/apps/77/batch_events"
	const plain = `{"name":"e","channel":"a","data":"1"}`
	long := strings.Repeat("k", 129)
	type step struct {
		target, header string // header "-": none
		body           string
		status         int
		want           string
		events         int // delivered
	}
	tests := []struct {
		name   string
		change func(a *app.App, o *httpapi.Options)
		steps  []step
	}{
		{"A35 the same key is published once", nil, []step{
			{events, "-", with(`"k1"`), 200, `{}`, 1},
			{events, "-", with(`"k1"`), 200, `{}`, 0},
			{events, "-", with(`"k2"`), 200, `{}`, 1},
		}},
		{"a header is a key, and the body's counts before it", nil, []step{
			{events, "h", plain, 200, `{}`, 1},
			{events, "h", with(`"k"`), 200, `{}`, 1},
			{events, "other", with(`"k"`), 200, `{}`, 0},
			{events, "h", with(`null`), 200, `{}`, 0},
			{events, "-", with(`"h"`), 200, `{}`, 0},
		}},
		{"the stored answer is given whatever the repeated request says", nil, []step{
			{events, "h", `{"name":"e","channel":"a","data":"1","info":"subscription_count"}`, 200, `{"channels":{"a":{"subscription_count":1}}}`, 1},
			{events, "h", `{"name":""}`, 200, `{"channels":{"a":{"subscription_count":1}}}`, 0},
		}},
		{"A36 a request that failed can be corrected", nil, []step{
			{events, "h", `{"name":"e","channel":"bad name","data":"1"}`, 400, " invalid_input", 0},
			{events, "h", plain, 200, `{}`, 1},
		}},
		{"A38 empty and long keys", nil, []step{
			{events, "", plain, 400, " invalid_input", 0},
			{events, long, plain, 400, " invalid_input", 0},
			{events, long[1:], plain, 200, `{}`, 1},
			{events, "-", with(`""`), 400, " invalid_input", 0},
			{events, "-", with(`"` + long + `"`), 400, " invalid_input", 0},
			{events, "-", with(`7`), 400, " invalid_input", 0},
			{batches, "", `{"batch":[]}`, 400, " invalid_input", 0},
			{batches, "-", `{"batch":[` + plain + `,` + with(`""`) + `]}`, 400, " invalid_input", 0},
		}},
		{"a batch has a key, apart from those of events", nil, []step{
			{batches, "k", `{"batch":[` + plain + `]}`, 200, `{}`, 1},
			{batches, "k", `{"batch":[` + plain + `]}`, 200, `{}`, 0},
			{events, "k", plain, 200, `{}`, 1},
		}},
		{"the events of a batch have keys, shared with single events", nil, []step{
			{events, "-", with(`"k"`), 200, `{}`, 1},
			{batches, "-", `{"batch":[` + with(`"k"`) + `,` + plain + `,` + with(`"m"`) + `,` + with(`"m"`) + `]}`, 200, `{}`, 2},
			{events, "-", with(`"m"`), 200, `{}`, 0},
			{batches, "-", `{"batch":[` + with(`"m"`) + `]}`, 200, `{}`, 0},
		}},
		{"the entry of a repeated event is empty", nil, []step{
			{batches, "-", `{"batch":[{"name":"e","channel":"a","data":"1","idempotency_key":"k","info":"subscription_count"}]}`, 200, `{"batch":[{"subscription_count":1}]}`, 1},
			{batches, "-", `{"batch":[{"name":"e","channel":"a","data":"1","idempotency_key":"k","info":"subscription_count"},{"name":"e","channel":"a","data":"1","info":"subscription_count"}]}`, 200, `{"batch":[{},{"subscription_count":1}]}`, 1},
		}},
		{"A36 a batch that failed leaves no claim", nil, []step{
			{batches, "b", `{"batch":[` + with(`"k"`) + `,{}]}`, 400, " invalid_input", 0},
			{batches, "b", `{"batch":[` + with(`"k"`) + `]}`, 200, `{}`, 1},
		}},
		{"a publish over the limit leaves no claim", func(a *app.App, _ *httpapi.Options) { a.Limits.MaxBackendEventsPerSecond = 1 }, []step{
			{events, "h", `{"name":"e","channels":["a","b"],"data":"1"}`, 429, " rate_limited", 0},
			{events, "h", plain, 200, `{}`, 1},
		}},
		{"off: keys are ignored", func(_ *app.App, o *httpapi.Options) { o.Idempotency.Off = true }, []step{
			{events, "", plain, 200, `{}`, 1}, {events, "h", plain, 200, `{}`, 1}, {events, "h", with(`7`), 200, `{}`, 1},
		}},
		{"an app turns it off", func(a *app.App, _ *httpapi.Options) { a.Features.Idempotency = app.SwitchOff }, []step{
			{events, "h", plain, 200, `{}`, 1}, {events, "h", plain, 200, `{}`, 1},
		}},
		{"an app turns it on", func(a *app.App, o *httpapi.Options) {
			a.Features.Idempotency, o.Idempotency.Off = app.SwitchOn, true
		}, []step{
			{events, "h", plain, 200, `{}`, 1}, {events, "h", plain, 200, `{}`, 0},
		}},
		{"no room for a key", func(_ *app.App, o *httpapi.Options) {
			o.Idempotency.Claims = httpapi.NewMemoryClaims(httpapi.ClaimLimits{Keys: 1})
		}, []step{
			{events, "h", plain, 200, `{}`, 1}, {events, "i", plain, 503, " backpressure", 0}, {events, "h", plain, 200, `{}`, 0},
		}},
		{"claims cannot be asked", func(_ *app.App, o *httpapi.Options) { o.Idempotency.Claims = noClaims{} }, []step{
			{events, "h", plain, 503, " service_unavailable", 0}, {events, "-", plain, 200, `{}`, 1},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inNode(t, tt.change, func(n *node) {
				a := n.connect("a")
				for i, s := range tt.steps {
					var w *httptest.ResponseRecorder
					if s.header == "-" {
						w = n.do("POST", s.target, s.body)
					} else {
						w = n.keyed(s.target, s.header, s.body)
					}
					n.expect(w, s.status, s.want)
					if got := len(a.take()); got != s.events {
						t.Errorf("step %d: %d events came, want %d", i, got, s.events)
					}
				}
			})
		})
	}
}

type noClaims struct{}

func (noClaims) Claim(context.Context, httpapi.ClaimKey, time.Duration) (httpapi.Claim, []byte, error) {
	return nil, nil, errors.New("down")
}

func TestUnauthenticatedRequestsClaimNothing(t *testing.T) {
	t.Parallel()
	claims := httpapi.NewMemoryClaims(httpapi.ClaimLimits{})
	n := newNode(t, func(_ *app.App, o *httpapi.Options) { o.Idempotency.Claims = claims })
	n.expect(n.raw("POST", "/apps/77/events?auth_key=mill-key", with(`"k"`)), 401, " auth_failed")
	if keys, _ := claims.Len(); keys != 0 {
		t.Errorf("%d keys are claimed", keys)
	}
}

// The keys of one app take no more than its share, and leave room for those of others.
func TestAppsHaveSharesOfTheRoomForKeys(t *testing.T) {
	t.Parallel()
	claims := httpapi.NewMemoryClaims(httpapi.ClaimLimits{Bytes: 10_000, BytesPerApp: 2_000})
	synctest.Test(t, func(t *testing.T) {
		claim := func(appID string, i int) error {
			c, _, err := claims.Claim(t.Context(), httpapi.ClaimKey{App: appID, Name: strconv.Itoa(i)}, time.Second)
			if c != nil {
				_ = c.Keep(t.Context(), []byte(`{}`))
			}
			return err
		}
		fill := func(appID string) (keys int, err error) {
			for err == nil {
				keys++
				err = claim(appID, keys)
			}
			return keys - 1, err
		}
		keys, err := fill("greedy")
		if !errors.Is(err, httpapi.ErrShareFull) || keys < 5 {
			t.Errorf("%d keys of one app, then %v", keys, err)
		}
		if _, size := claims.Len(); size > 2_000 {
			t.Errorf("one app holds %d bytes", size)
		}
		others := 0
		for ; ; others++ {
			if _, err := fill("other-" + strconv.Itoa(others)); errors.Is(err, httpapi.ErrClaimsFull) {
				break
			}
		}
		if _, size := claims.Len(); others < 3 || size > 10_000 {
			t.Errorf("%d other apps, %d bytes", others, size)
		}
		time.Sleep(time.Second)
		if keys, err = fill("greedy"); !errors.Is(err, httpapi.ErrShareFull) || keys < 5 {
			t.Errorf("afterwards %d keys, then %v", keys, err)
		}
	})
}

// An answer that there is no room for is not kept, but its key is.
func TestAnAnswerWithoutRoomIsNotCarriedOutAgain(t *testing.T) {
	t.Parallel()
	claims := httpapi.NewMemoryClaims(httpapi.ClaimLimits{Bytes: 1000})
	key := httpapi.ClaimKey{App: "77", Name: "k"}
	c, _, err := claims.Claim(t.Context(), key, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Keep(t.Context(), make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	again, kept, err := claims.Claim(t.Context(), key, time.Minute)
	if again != nil || string(kept) != `{}` || err != nil {
		t.Errorf("the second gets %v, %d bytes, %v; want the usual answer", again, len(kept), err)
	}
	if _, size := claims.Len(); size > 1000 {
		t.Errorf("%d bytes are kept", size)
	}
}

func TestKeysAreForgottenInTime(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(a *app.App, o *httpapi.Options)
		ttl    time.Duration
	}{
		{"the default", nil, 120 * time.Second},
		{"of the server", func(_ *app.App, o *httpapi.Options) { o.Idempotency.TTL = time.Second }, time.Second},
		{"of the app", func(a *app.App, _ *httpapi.Options) { a.Limits.IdempotencyTTL = time.Hour }, time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inNode(t, tt.change, func(n *node) {
				a := n.connect("a")
				for i, s := range []struct {
					after time.Duration
					want  int
				}{{0, 1}, {tt.ttl - 1, 0}, {1, 1}} {
					time.Sleep(s.after) // of the bubble
					n.expect(n.publish(with(`"k"`)), 200, `{}`)
					if got := len(a.take()); got != s.want {
						t.Errorf("publish %d: %d events, want %d", i, got, s.want)
					}
				}
			})
		})
	}
}

// gated is an engine whose publishes wait.
type gated struct {
	*channel.Engine
	gate chan error
}

func (g gated) Publish(ctx context.Context, a *app.App, events []channel.Event) error {
	if err := <-g.gate; err != nil {
		return err
	}
	return g.Engine.Publish(ctx, a, events)
}

func TestA37TheSecondWaitsForTheFirst(t *testing.T) {
	t.Parallel()
	bustest.SkipIfSlow(t)
	for _, tt := range []struct {
		name   string
		after  time.Duration
		fails  error
		status int
		want   string
		events int // delivered after both have been answered
	}{
		{"and gets its answer", 299 * time.Millisecond, nil, 200, `{}`, 1},
		{"and is told to try again", 301 * time.Millisecond, nil, 503, " backpressure", 1},
		{"and carries it out if the first fails", 100 * time.Millisecond, errors.New("broken"), 200, `{}`, 1},
	} {
		for _, target := range []string{"/apps/77/events", "/apps/77/batch_events"} {
			t.Run(tt.name+" "+target, func(t *testing.T) {
				t.Parallel()
				var gate chan error
				change := func(_ *app.App, o *httpapi.Options) {
					gate = make(chan error, 2) // in the bubble
					o.Channels = gated{o.Channels.(*channel.Engine), gate}
				}
				inNode(t, change, func(n *node) {
					a := n.connect("a")
					body := with(`"k"`)
					if strings.HasSuffix(target, "batch_events") {
						body = `{"batch":[` + body + `]}`
					}
					var first *httptest.ResponseRecorder
					var wg sync.WaitGroup
					wg.Go(func() { first = n.do("POST", target, body) })
					synctest.Wait()
					wg.Go(func() {
						time.Sleep(tt.after)
						gate <- tt.fails
						gate <- nil
					})
					second := n.do("POST", target, body)
					wg.Wait()
					if n.expect(second, tt.status, tt.want); second.Code == 503 && second.Header().Get("Retry-After") != "1" {
						t.Errorf("Retry-After %q", second.Header().Get("Retry-After"))
					}
					if tt.fails == nil && first.Code != 200 || tt.fails != nil && first.Code != 500 {
						t.Errorf("the first got %d", first.Code)
					}
					if got := len(a.take()); got != tt.events {
						t.Errorf("%d events, want %d", got, tt.events)
					}
				})
			})
		}
	}
}

func TestAPanicLeavesNoClaim(t *testing.T) {
	t.Parallel()
	inNode(t, func(_ *app.App, o *httpapi.Options) { o.Channels = panicky{o.Channels.(*channel.Engine)} }, func(n *node) {
		for range 2 {
			func() {
				defer func() {
					if recover() == nil {
						t.Error("nothing was published: the claim was left behind")
					}
				}()
				n.publish(with(`"k"`))
			}()
		}
	})
}

type panicky struct{ *channel.Engine }

func (panicky) Publish(context.Context, *app.App, []channel.Event) error { panic("broken") }
