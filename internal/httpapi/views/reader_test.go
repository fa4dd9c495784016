package views_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/httpapi"
	"github.com/millrace/millrace/internal/httpapi/apitest"
	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/token"
)

func origins(t *testing.T, entries ...string) app.Origins {
	t.Helper()
	o, err := app.ParseOrigins(entries)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// What browsers are told about views is what the app says, within what the server says.
func TestCORSOfViewsIsTheApps(t *testing.T) {
	t.Parallel()
	const shop, other = "https://shop.example", "https://b.example"
	everyone := httpapi.CORS{}
	credentials := httpapi.CORS{Origins: origins(t, shop, other), Credentials: true}
	for _, tt := range []struct {
		name         string
		cors         httpapi.CORS
		apps         []string
		method       string
		target       string
		origin, want string
	}{
		{"an app for all pages", everyone, nil, "GET", "/apps/77/views/A/top", other, "*"},
		{"a page of the app", everyone, []string{shop}, "GET", "/apps/77/views/A/top", shop, shop},
		{"another page", everyone, []string{shop}, "GET", "/apps/77/views/A/top", other, ""},
		{"another page, asking before", everyone, []string{shop}, "OPTIONS", "/apps/77/views/A/top", other, ""},
		{"a page of the app, asking before", everyone, []string{shop}, "OPTIONS", "/apps/77/views/A/top", shop, shop},
		{"the list of views", everyone, []string{shop}, "OPTIONS", "/apps/77/views", other, ""},
		{"a page that the server does not name", httpapi.CORS{Origins: origins(t, other)}, []string{shop}, "OPTIONS", "/apps/77/views/A/top", shop, ""},
		{"a page that only the server names", credentials, []string{shop}, "OPTIONS", "/apps/77/views/A/top", other, ""},
		{"no page of the server", httpapi.CORS{Off: true}, []string{shop}, "OPTIONS", "/apps/77/views/A/top", shop, ""},
		{"what is signed is the server's", everyone, []string{shop}, "OPTIONS", "/apps/77/views/A/top?auth_key=x", other, "*"},
		{"what is signed in capitals is the server's", everyone, []string{shop}, "OPTIONS", "/apps/77/views/A/top?AUTH%5fKEY=x", other, "*"},
		{"a key in a value of another name signs nothing", everyone, []string{shop}, "GET", "/apps/77/views/A/top?z=auth_key=", other, ""},
		{"nor at the end of another name", everyone, []string{shop}, "GET", "/apps/77/views/A/top?z.auth_key=x", other, ""},
		{"nor does an empty key", everyone, []string{shop}, "GET", "/apps/77/views/A/top?auth_key=", other, ""},
		{"nor one before an empty key", everyone, []string{shop}, "OPTIONS", "/apps/77/views/A/top?auth_key=x&auth_key=", other, ""},
		{"nor a query that cannot be read", everyone, []string{shop}, "OPTIONS", "/apps/77/views/A/top?auth_key=x&y=%", other, ""},
		{"what is no view is the server's", everyone, []string{shop}, "OPTIONS", "/apps/77/channels", other, "*"},
	} {
		filled(t, func(a *app.App, o *apitest.Options) {
			o.CORS, o.Views.Readers, a.AllowedOrigins = tt.cors, tokenRules(openReaders), origins(t, tt.apps...)
		}, func(n *apitest.Node, _ []string) {
			r := httptest.NewRequest(tt.method, tt.target, nil)
			r.Header.Set("Origin", tt.origin)
			w := httptest.NewRecorder()
			n.API.ServeHTTP(w, r)
			h := w.Header()
			if got := h.Get("Access-Control-Allow-Origin"); got != tt.want {
				t.Errorf("%s: Access-Control-Allow-Origin %q, want %q", tt.name, got, tt.want)
			}
			if tt.want == "" && (h.Get("Access-Control-Allow-Methods") != "" || h.Get("Access-Control-Allow-Credentials") != "") {
				t.Errorf("%s: headers %v", tt.name, h)
			}
			if len(tt.apps) > 0 && tt.want != "*" && !tt.cors.Off && h.Get("Vary") != "Origin" {
				t.Errorf("%s: Vary %q", tt.name, h.Get("Vary"))
			}
		})
	}
}

// Browsers name no origin when a page reads from where it came from.
func TestReadsFromThePagesOwnOrigin(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, site, host string
		status           int
	}{
		{"a page of the app", "same-origin", "shop.example", 200},
		{"another page, such as one whose name was bound again", "same-origin", "b.example", 403},
		{"a page elsewhere that hides its origin", "cross-site", "shop.example", 403},
		{"no browser", "", "shop.example", 403},
	} {
		filled(t, func(a *app.App, o *apitest.Options) {
			o.Views.Readers, a.AllowedOrigins = tokenRules(openReaders), origins(t, "http://shop.example")
		}, func(n *apitest.Node, _ []string) {
			r := httptest.NewRequest("GET", "/apps/77/views/A/top", nil)
			r.Host = tt.host
			if tt.site != "" {
				r.Header.Set("Sec-Fetch-Site", tt.site)
			}
			w := httptest.NewRecorder()
			n.API.ServeHTTP(w, r)
			if w.Code != tt.status {
				t.Errorf("%s: %d %s, want %d", tt.name, w.Code, w.Body, tt.status)
			}
		})
	}
}

// Whether a reader has an answer already is told to those only who may have it.
func TestETagsAreForReaders(t *testing.T) {
	t.Parallel()
	static := token.NewStatic([]token.StaticToken{{Token: "s3cret"}}, "")
	filled(t, func(_ *app.App, o *apitest.Options) {
		o.Views.Readers = tokenRules(func(string) token.Authenticator { return static })
		o.Views.Readers.Base = nil
	}, func(n *apitest.Node, _ []string) {
		tag := n.Do("GET", "/apps/77/views/A/list", "").Header().Get("ETag")
		ask := func(target string) int {
			r := httptest.NewRequest("GET", target, nil)
			r.Header.Set("If-None-Match", tag)
			w := httptest.NewRecorder()
			n.API.ServeHTTP(w, r)
			return w.Code
		}
		if code := ask("/apps/77/views/A/list"); code != 401 {
			t.Errorf("without a token: %d", code)
		}
		if code := ask("/apps/77/views/A/list?token=s3cret"); code != 403 {
			t.Errorf("with a token: %d", code)
		}
	})
}

// slowTaker is a client that takes its answer when it is told to.
type slowTaker struct {
	*httptest.ResponseRecorder
	takes  <-chan struct{}
	within *time.Duration // how long it may take, where it was told; may be nil
}

func (s slowTaker) Write(p []byte) (int, error) {
	<-s.takes
	return s.ResponseRecorder.Write(p)
}

// SetWriteDeadline is for http.ResponseController.
func (s slowTaker) SetWriteDeadline(t time.Time) error {
	if s.within != nil {
		*s.within = time.Until(t)
	}
	return nil
}

// from is a read by the client with this address.
func from(address, target string) *http.Request {
	r := httptest.NewRequest("GET", target, nil)
	r.RemoteAddr = address
	return r
}

func read(n *apitest.Node, address, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	n.API.ServeHTTP(w, from(address, target))
	return w
}

// What readers without a signature make the server hold for them by taking no answers is bounded,
// and bounds neither the app's own reads nor small ones. One address has half of it, so that it
// leaves room for the largest answer to another.
func TestAnswersThatAreNotTakenAreBounded(t *testing.T) {
	t.Parallel()
	change := func(_ *app.App, o *apitest.Options) {
		o.Views.Readers, o.Bodies = tokenRules(openReaders), limit.NewBudget(700<<10)
	}
	apitest.In(t, change, func(n *apitest.Node) {
		n.Mutate(`{"entity":"Auction","key":"large","data":{"a":"` + strings.Repeat("x", 300<<10) + `"}},{"entity":"Auction","key":"small","data":{}}`)
		const large, small = "/apps/77/views/Auction/state?key=large", "/apps/77/views/Auction/state?key=small"
		const one, sameSite, other, third = "[2001:db8::1]:5", "[2001:db8::2]:5", "192.0.2.7:5", "192.0.2.8:5"
		takes := make(chan struct{})
		var slow sync.WaitGroup
		occupy := func(address string) *time.Duration {
			within := new(time.Duration)
			slow.Go(func() {
				n.API.ServeHTTP(slowTaker{httptest.NewRecorder(), takes, within}, from(address, large))
			})
			synctest.Wait()
			return within
		}
		wantBackpressure := func(address string) {
			t.Helper()
			begun := time.Now()
			n.Expect(read(n, address, large), 503, " backpressure")
			if took := time.Since(begun); took != time.Second {
				t.Errorf("refused after %v, want 1s", took)
			}
		}
		if within := occupy(one); *within != 0 {
			t.Errorf("the first of two may take %v for its answer, want no less than usual", *within)
		}
		wantBackpressure(sameSite)
		if w := read(n, other, large); w.Code != 200 {
			t.Errorf("beside a slow reader of another address: got %d", w.Code)
		}
		if within := occupy(other); *within < 10*time.Second || *within > 11*time.Second {
			t.Errorf("who takes the last of the room may take %v, want 10s and a little for the size", *within)
		}
		wantBackpressure(third)
		for _, w := range []*httptest.ResponseRecorder{n.Do("GET", large, ""), n.Raw("GET", small, "")} {
			if w.Code != 200 {
				t.Errorf("got %d %s, want 200", w.Code, w.Body)
			}
		}
		close(takes)
		slow.Wait()
		for _, address := range []string{one, sameSite, other, third} {
			if w := read(n, address, large); w.Code != 200 {
				t.Errorf("once they were taken: got %d", w.Code)
			}
		}
	})
}

// An answer that would take the room of others is refused, and the refusal says how to get less.
func TestAnAnswerMayTakeHalfOfTheRoom(t *testing.T) {
	t.Parallel()
	change := func(_ *app.App, o *apitest.Options) {
		o.Views.Readers, o.Bodies = tokenRules(openReaders), limit.NewBudget(500<<10)
	}
	apitest.In(t, change, func(n *apitest.Node) {
		for _, key := range []string{"a", "b"} {
			n.Mutate(`{"entity":"Auction","key":"` + key + `","data":{"a":"` + strings.Repeat("x", 200<<10) + `"}}`)
		}
		const list = "/apps/77/views/Auction/list"
		n.Expect(n.Raw("GET", list, ""), 400, " limit_exceeded")
		if w := n.Raw("GET", list+"?limit=1", ""); w.Code != 200 {
			t.Errorf("one of two rows: got %d", w.Code)
		}
		if w := n.Do("GET", list, ""); w.Code != 200 {
			t.Errorf("the app's own: got %d", w.Code)
		}
	})
}
