package channels_test

import (
	"context"
	"errors"
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
	"github.com/millrace/millrace/internal/httpapi/channels"
	"github.com/millrace/millrace/internal/idempotency"
	"github.com/millrace/millrace/internal/idempotency/local"
)

// keyed sends a signed request with X-Idempotency-Key.
func keyed(n *apitest.Node, target, key, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", apitest.Signed("POST", target, body, "mill-key", time.Now()), strings.NewReader(body))
	r.Header["X-Idempotency-Key"] = []string{key}
	w := httptest.NewRecorder()
	n.API.ServeHTTP(w, r)
	return w
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
		change func(a *app.App, o *apitest.Options)
		steps  []step
	}{
		{"A35 the same key is published once", nil, []step{
			{events, "-", apitest.With(`"k1"`), 200, `{}`, 1},
			{events, "-", apitest.With(`"k1"`), 200, `{}`, 0},
			{events, "-", apitest.With(`"k2"`), 200, `{}`, 1},
		}},
		{"a header is a key, and the body's counts before it", nil, []step{
			{events, "h", plain, 200, `{}`, 1},
			{events, "h", apitest.With(`"k"`), 200, `{}`, 1},
			{events, "other", apitest.With(`"k"`), 200, `{}`, 0},
			{events, "h", apitest.With(`null`), 200, `{}`, 0},
			{events, "-", apitest.With(`"h"`), 200, `{}`, 0},
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
			{events, "-", apitest.With(`""`), 400, " invalid_input", 0},
			{events, "-", apitest.With(`"` + long + `"`), 400, " invalid_input", 0},
			{events, "-", apitest.With(`7`), 400, " invalid_input", 0},
			{batches, "", `{"batch":[]}`, 400, " invalid_input", 0},
			{batches, "-", `{"batch":[` + plain + `,` + apitest.With(`""`) + `]}`, 400, " invalid_input", 0},
		}},
		{"a batch has a key, apart from those of events", nil, []step{
			{batches, "k", `{"batch":[` + plain + `]}`, 200, `{}`, 1},
			{batches, "k", `{"batch":[` + plain + `]}`, 200, `{}`, 0},
			{events, "k", plain, 200, `{}`, 1},
		}},
		{"the events of a batch have keys, shared with single events", nil, []step{
			{events, "-", apitest.With(`"k"`), 200, `{}`, 1},
			{batches, "-", `{"batch":[` + apitest.With(`"k"`) + `,` + plain + `,` + apitest.With(`"m"`) + `,` + apitest.With(`"m"`) + `]}`, 200, `{}`, 2},
			{events, "-", apitest.With(`"m"`), 200, `{}`, 0},
			{batches, "-", `{"batch":[` + apitest.With(`"m"`) + `]}`, 200, `{}`, 0},
		}},
		{"the entry of a repeated event is empty", nil, []step{
			{batches, "-", `{"batch":[{"name":"e","channel":"a","data":"1","idempotency_key":"k","info":"subscription_count"}]}`, 200, `{"batch":[{"subscription_count":1}]}`, 1},
			{batches, "-", `{"batch":[{"name":"e","channel":"a","data":"1","idempotency_key":"k","info":"subscription_count"},{"name":"e","channel":"a","data":"1","info":"subscription_count"}]}`, 200, `{"batch":[{},{"subscription_count":1}]}`, 1},
		}},
		{"A36 a batch that failed leaves no claim", nil, []step{
			{batches, "b", `{"batch":[` + apitest.With(`"k"`) + `,{}]}`, 400, " invalid_input", 0},
			{batches, "b", `{"batch":[` + apitest.With(`"k"`) + `]}`, 200, `{}`, 1},
		}},
		{"a publish over the limit leaves no claim", func(a *app.App, _ *apitest.Options) { a.Limits.MaxBackendEventsPerSecond = 1 }, []step{
			{events, "h", `{"name":"e","channels":["a","b"],"data":"1"}`, 429, " rate_limited", 0},
			{events, "h", plain, 200, `{}`, 1},
		}},
		{"off: keys are ignored", func(_ *app.App, o *apitest.Options) { o.Channels.Idempotency.Off = true }, []step{
			{events, "", plain, 200, `{}`, 1}, {events, "h", plain, 200, `{}`, 1}, {events, "h", apitest.With(`7`), 200, `{}`, 1},
		}},
		{"an app turns it off", func(a *app.App, _ *apitest.Options) { a.Features.Idempotency = app.SwitchOff }, []step{
			{events, "h", plain, 200, `{}`, 1}, {events, "h", plain, 200, `{}`, 1},
		}},
		{"an app turns it on", func(a *app.App, o *apitest.Options) {
			a.Features.Idempotency, o.Channels.Idempotency.Off = app.SwitchOn, true
		}, []step{
			{events, "h", plain, 200, `{}`, 1}, {events, "h", plain, 200, `{}`, 0},
		}},
		{"no room for a key", func(_ *app.App, o *apitest.Options) {
			o.Channels.Idempotency.Owner = local.New(idempotency.Limits{Keys: 1})
		}, []step{
			{events, "h", plain, 200, `{}`, 1}, {events, "i", plain, 503, " backpressure", 0}, {events, "h", plain, 200, `{}`, 0},
		}},
		{"no room for a key of the app", func(_ *app.App, o *apitest.Options) {
			o.Channels.Idempotency.Owner = local.New(idempotency.Limits{BytesPerApp: 1})
		}, []step{
			{events, "h", plain, 429, " rate_limited", 0}, {events, "-", plain, 200, `{}`, 1},
		}},
		{"claims cannot be asked", func(_ *app.App, o *apitest.Options) { o.Channels.Idempotency.Owner = noClaims{} }, []step{
			{events, "h", plain, 503, " service_unavailable", 0}, {events, "-", plain, 200, `{}`, 1},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			apitest.In(t, tt.change, func(n *apitest.Node) {
				a := n.Connect("a")
				for i, s := range tt.steps {
					var w *httptest.ResponseRecorder
					if s.header == "-" {
						w = n.Do("POST", s.target, s.body)
					} else {
						w = keyed(n, s.target, s.header, s.body)
					}
					n.Expect(w, s.status, s.want)
					if got := len(a.Take()); got != s.events {
						t.Errorf("step %d: %d events came, want %d", i, got, s.events)
					}
				}
			})
		})
	}
}

type noClaims struct{ idempotency.Owner }

func (noClaims) Claim(context.Context, idempotency.Key, time.Duration) (bool, []byte, error) {
	return false, nil, errors.New("down")
}

func TestUnauthenticatedRequestsClaimNothing(t *testing.T) {
	t.Parallel()
	claims := local.New(idempotency.Limits{})
	n := apitest.New(t, func(_ *app.App, o *apitest.Options) { o.Channels.Idempotency.Owner = claims })
	n.Expect(n.Raw("POST", "/apps/77/events?auth_key=mill-key", apitest.With(`"k"`)), 401, " auth_failed")
	if keys, _ := claims.Size(); keys != 0 {
		t.Errorf("%d keys are claimed", keys)
	}
}

func TestKeysAreForgottenInTime(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(a *app.App, o *apitest.Options)
		ttl    time.Duration
	}{
		{"the default", nil, 120 * time.Second},
		{"of the server", func(_ *app.App, o *apitest.Options) { o.Channels.Idempotency.TTL = time.Second }, time.Second},
		{"of the app", func(a *app.App, _ *apitest.Options) { a.Limits.IdempotencyTTL = time.Hour }, time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			apitest.In(t, tt.change, func(n *apitest.Node) {
				a := n.Connect("a")
				for i, s := range []struct {
					after time.Duration
					want  int
				}{{0, 1}, {tt.ttl - 1, 0}, {1, 1}} {
					time.Sleep(s.after) // of the bubble
					n.Expect(n.Publish(apitest.With(`"k"`)), 200, `{}`)
					if got := len(a.Take()); got != s.want {
						t.Errorf("publish %d: %d events, want %d", i, got, s.want)
					}
				}
			})
		})
	}
}

// gated is an engine whose publishes wait.
type gated struct {
	channels.Publisher
	gate chan error
}

func (g gated) Publish(ctx context.Context, a *app.App, events []channel.Event) error {
	if err := <-g.gate; err != nil {
		return err
	}
	return g.Publisher.Publish(ctx, a, events)
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
				change := func(_ *app.App, o *apitest.Options) {
					gate = make(chan error, 2) // in the bubble
					o.Channels.Publisher = gated{o.Channels.Publisher, gate}
				}
				apitest.In(t, change, func(n *apitest.Node) {
					a := n.Connect("a")
					body := apitest.With(`"k"`)
					if strings.HasSuffix(target, "batch_events") {
						body = `{"batch":[` + body + `]}`
					}
					var first *httptest.ResponseRecorder
					var wg sync.WaitGroup
					wg.Go(func() { first = n.Do("POST", target, body) })
					synctest.Wait()
					wg.Go(func() {
						time.Sleep(tt.after)
						gate <- tt.fails
						gate <- nil
					})
					second := n.Do("POST", target, body)
					wg.Wait()
					if n.Expect(second, tt.status, tt.want); second.Code == 503 && second.Header().Get("Retry-After") != "1" {
						t.Errorf("Retry-After %q", second.Header().Get("Retry-After"))
					}
					if tt.fails == nil && first.Code != 200 || tt.fails != nil && first.Code != 500 {
						t.Errorf("the first got %d", first.Code)
					}
					if got := len(a.Take()); got != tt.events {
						t.Errorf("%d events, want %d", got, tt.events)
					}
				})
			})
		}
	}
}

func TestAPanicLeavesNoClaim(t *testing.T) {
	t.Parallel()
	apitest.In(t, func(_ *app.App, o *apitest.Options) { o.Channels.Publisher = panicky{} }, func(n *apitest.Node) {
		for range 2 {
			func() {
				defer func() {
					if recover() == nil {
						t.Error("nothing was published: the claim was left behind")
					}
				}()
				n.Publish(apitest.With(`"k"`))
			}()
		}
	})
}

type panicky struct{}

func (panicky) Publish(context.Context, *app.App, []channel.Event) error { panic("broken") }

func TestKeysOfAppsAreApart(t *testing.T) { // pusher 5.9
	t.Parallel()
	claims := local.New(idempotency.Limits{})
	apitest.In(t, func(_ *app.App, o *apitest.Options) { o.Channels.Idempotency.Owner = claims }, func(n *apitest.Node) {
		for i, as := range []struct{ app, key string }{{"77", "mill-key"}, {"78", "other-key"}, {"77", "mill-key"}, {"78", "other-key"}} {
			target := apitest.Signed("POST", "/apps/"+as.app+"/events", apitest.With(`"k"`), as.key, time.Now())
			n.Expect(n.Raw("POST", target, apitest.With(`"k"`)), 200, `{}`)
			if keys, _ := claims.Size(); keys != min(i+1, 2) {
				t.Errorf("after %d requests: %d keys, want %d", i+1, keys, min(i+1, 2))
			}
		}
	})
}
