package channels_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/httpapi/apitest"
	"github.com/millrace/millrace/internal/hub"
)

func event(name, data string) string {
	return fmt.Sprintf(`{"event":"e","channel":%q,"data":%s}`, name, data)
}

// names is a JSON array of n channel names.
func names(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`"c%d"`, i)
	}
	return "[" + strings.Join(list, ",") + "]"
}

// Each case publishes while one connection is on a, b, cache-c and presence-p, and says
// what is answered and what arrives.
func TestPublish(t *testing.T) {
	t.Parallel()
	text := func(n int) string { return `"` + strings.Repeat("x", n) + `"` }
	tests := []struct {
		name, body string
		status     int
		want       string
		frames     []string
	}{
		{"A08: several channels", `{"name":"e","channels":["a","other"],"data":"1"}`, 200, `{}`, []string{event("a", `"1"`)}},
		{"one channel", `{"name":"e","channel":"a","data":"1"}`, 200, `{}`, []string{event("a", `"1"`)}},
		{"channels win over channel", `{"name":"e","channel":"a","channels":["b"],"data":"1"}`, 200, `{}`, []string{event("b", `"1"`)}},
		{"null fields count as absent", `{"name":"e","channel":"a","channels":null,"socket_id":null,"info":null,"data":"1"}`, 200, `{}`, []string{event("a", `"1"`)}},
		{"unknown fields are ignored", `{"labels":{"x":[1,{}]},"name":"e","channel":"a","data":"1","delta":true}`, 200, `{}`, []string{event("a", `"1"`)}},
		{"what V2 alone shows", `{"tags":{"x":"1"},"extras":{"ephemeral":true,"other":[]},"name":"e","channel":"a","data":"1"}`, 200, `{}`, []string{event("a", `"1"`)}},
		{"tags that are no texts", `{"tags":{"x":1},"name":"e","channel":"a","data":"1"}`, 400, " invalid_input", nil},
		{"the last of repeated keys counts", `{"name":"x","name":"e","channel":"b","data":"0","channel":"a","data":"1"}`, 200, `{}`, []string{event("a", `"1"`)}},
		{"keys are told by what they mean", `{"n\u0061me":"e","\u0063hannel":"a","data":"1"}`, 200, `{}`, []string{event("a", `"1"`)}},
		{"keys differ by case", `{"name":"e","channel":"a","data":"1","Data":"2","CHANNEL":"b"}`, 200, `{}`, []string{event("a", `"1"`)}},
		{"names with escapes", `{"name":"\u0065","channel":"\u0061","data":"1"}`, 200, `{}`, []string{event("a", `"1"`)}},
		{"space everywhere", " {\n\t\"name\" : \"e\" , \"channel\" : \"a\" , \"data\" : \"1\" }\r\n", 200, `{}`, []string{event("a", `"1"`)}},
		{"data keeps its spelling", `{"name":"e","channel":"a","data":"\u00e9\/{\"p\": 1}é"}`, 200, `{}`, []string{event("a", `"\u00e9\/{\"p\": 1}é"`)}},
		{"A10: a socket id of nobody", `{"name":"e","channel":"a","data":"1","socket_id":"1.2"}`, 200, `{}`, []string{event("a", `"1"`)}},
		{"A10: a socket id of another form", `{"name":"e","channel":"a","data":"1","socket_id":"abc"}`, 400, " invalid_input", nil},
		{"a socket id that is no string", `{"name":"e","channel":"a","data":"1","socket_id":1.2}`, 400, " invalid_input", nil},
		{"A11: no name", `{"channel":"a","data":"1"}`, 400, " invalid_input", nil},
		{"A11: an empty name", `{"name":"","channel":"a","data":"1"}`, 400, " invalid_input", nil},
		{"a name that is no string", `{"name":1,"channel":"a","data":"1"}`, 400, " invalid_input", nil},
		{"A11: a name of 201 bytes", `{"name":` + text(201) + `,"channel":"zzz","data":"1"}`, 400, " limit_exceeded", nil},
		{"a name of 200 bytes", `{"name":` + text(200) + `,"channel":"zzz","data":"1"}`, 200, `{}`, nil},
		{"A11: a reserved name", `{"name":"pusher:x","channel":"a","data":"1"}`, 400, " invalid_input", nil},
		{"an internal name", `{"name":"pusher_internal:x","channel":"a","data":"1"}`, 400, " invalid_input", nil},
		{"a client event's name is legal", `{"name":"client-x","channel":"zzz","data":"1"}`, 200, `{}`, nil},
		{"A12: no data", `{"name":"e","channel":"a"}`, 400, " invalid_input", nil},
		{"A13: data of 10240 bytes", `{"name":"e","channel":"a","data":` + text(10240) + `}`, 200, `{}`, []string{event("a", text(10240))}},
		{"A13: data of 10241 bytes", `{"name":"e","channel":"a","data":` + text(10241) + `}`, 413, " payload_too_large", nil},
		{"escapes count as what they mean", `{"name":"e","channel":"zzz","data":"` + strings.Repeat(`\u0041`, 10240) + `"}`, 200, `{}`, nil},
		{"two-byte letters count as two", `{"name":"e","channel":"a","data":"` + strings.Repeat(`\u00e9`, 5121) + `"}`, 413, " payload_too_large", nil},
		{"A14: data as an object", `{"name":"e","channel":"a","data":{ "p" : [1, 2.50] , "s":"a \"b\" \\" }}`, 200, `{}`, []string{event("a", `"{\"p\":[1,2.50],\"s\":\"a \\\"b\\\" \\\\\"}"`)}},
		{"data as a number", `{"name":"e","channel":"a","data": 1.50 }`, 200, `{}`, []string{event("a", `"1.50"`)}},
		{"data as null", `{"name":"e","channel":"a","data":null}`, 200, `{}`, []string{event("a", `"null"`)}},
		{"A15: 100 channels", `{"name":"e","channels":` + names(100) + `,"data":"1"}`, 200, `{}`, nil},
		{"A15: 101 channels", `{"name":"e","channels":` + names(101) + `,"data":"1"}`, 400, " limit_exceeded", nil},
		{"A15: no channels in spite of a channel", `{"name":"e","channels":[],"channel":"a","data":"1"}`, 400, " missing_channel_info", nil},
		{"neither channel nor channels", `{"name":"e","data":"1"}`, 400, " missing_channel_info", nil},
		{"channels that are no array", `{"name":"e","channels":"a","data":"1"}`, 400, " invalid_input", nil},
		{"a channel that is no string", `{"name":"e","channels":["a",1],"data":"1"}`, 400, " invalid_input", nil},
		{"A16: one bad channel name", `{"name":"e","channels":["a","bad name"],"data":"1"}`, 400, " invalid_input", nil},
		{"an empty channel name", `{"name":"e","channel":"","data":"1"}`, 400, " invalid_input", nil},
		{"a channel name that is too long", `{"name":"e","channel":` + text(201) + `,"data":"1"}`, 400, " limit_exceeded", nil},
		{"A17: a repeated channel", `{"name":"e","channels":["a","a","\u0061"],"data":"1"}`, 200, `{}`, []string{event("a", `"1"`)}},
		{"repeated channels among many", `{"name":"e","channels":` + strings.Replace(names(50), "]", `,"a","c7","a","c40"]`, 1) + `,"data":"1"}`, 200, `{}`, []string{event("a", `"1"`)}},
		{
			"A18: info", `{"name":"e","channels":["a","presence-p","zzz"],"data":"1","info":"user_count,subscription_count"}`,
			200, `{"channels":{"a":{"subscription_count":1},"presence-p":{"subscription_count":1,"user_count":1},"zzz":{"subscription_count":0}}}`,
			[]string{event("a", `"1"`), event("presence-p", `"1"`)},
		},
		{"info that applies to nothing", `{"name":"e","channel":"zzz","data":"1","info":"user_count"}`, 200, `{"channels":{"zzz":{}}}`, nil},
		{"info that means nothing", `{"name":"e","channel":"zzz","data":"1","info":"nonsense"}`, 200, `{"channels":{"zzz":{}}}`, nil},
		{"empty info", `{"name":"e","channel":"zzz","data":"1","info":""}`, 200, `{}`, nil},
		{"info that is no string", `{"name":"e","channel":"a","data":"1","info":[]}`, 400, " invalid_input", nil},
		{"a user channel", `{"name":"e","channel":"#server-to-user-u\"9","data":"1","info":"subscription_count"}`, 200, `{"channels":{"#server-to-user-u\"9":{}}}`, nil},
		{"A22: a body that is no JSON", `{"name":`, 400, " invalid_input", nil},
		{"an empty body", ``, 400, " invalid_input", nil},
		{"a body with something after it", `{"name":"e","channel":"a","data":"1"}{}`, 400, " invalid_input", nil},
		{"a body that is no object", `["name"]`, 400, " invalid_input", nil},
		{"a body that is no UTF-8", "{\"name\":\"e\",\"channel\":\"a\",\"data\":\"\xff\"}", 400, " invalid_input", nil},
		{"a deeply nested body", `{"name":"e","channel":"a","data":` + strings.Repeat("[", 100000) + strings.Repeat("]", 100000) + `}`, 400, " invalid_input", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			apitest.In(t, nil, func(n *apitest.Node) {
				a := n.Connect("a", "b")
				a.Join("presence-p", "u")
				a.Take()
				n.Expect(n.Publish(tt.body), tt.status, tt.want)
				a.Expect(tt.frames...)
			})
		})
	}
}

// The suites of official libraries look for these words in what they are refused with.
func TestWordsThatLibrariesLookFor(t *testing.T) {
	t.Parallel()
	long := `{"name":"e","channel":"a","data":"` + strings.Repeat("a", 11<<10) + `"}`
	for _, tt := range []struct {
		name, route, body string
		status            int
		want              string
	}{
		{"too much data", "events", long, 413, "The data content of this event is 11264 bytes, more than 10240"},
		{"too much data in a batch", "batch_events", `{"batch":[` + long + `]}`, 413, "batch[0]: The data content of this event is 11264 bytes"},
		{
			"too many events", "batch_events", `{"batch":[` + strings.Repeat(apitest.Tick+",", 10) + apitest.Tick + `]}`, 400,
			"Batch too large: it holds more than 10 events",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			apitest.In(t, nil, func(n *apitest.Node) {
				w := n.Do("POST", "/apps/77/"+tt.route, tt.body)
				if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.want) {
					t.Errorf("got %d %s, want %d with %q", w.Code, w.Body, tt.status, tt.want)
				}
			})
		})
	}
}

func TestErrorBody(t *testing.T) { // A22
	t.Parallel()
	apitest.In(t, nil, func(n *apitest.Node) {
		w := n.Publish(`{"name":"e","channel":"bad \"name\"","data":"1"}`)
		n.Expect(w, 400, `{"error":"Channel name \"bad \\\"name\\\"\" is not allowed; use letters, digits and _ - = @ , . ;","code":"invalid_input","status":400}`)
		if got := w.Header().Get("Content-Type"); got != "application/json" {
			t.Errorf("content type %q", got)
		}
	})
}

func TestSocketIDIsExcluded(t *testing.T) { // A09
	t.Parallel()
	apitest.In(t, nil, func(n *apitest.Node) {
		a, b := n.Connect("a", "b"), n.Connect("a", "b")
		n.Expect(n.Publish(`{"name":"e","channels":["a","b"],"data":"1","socket_id":"`+a.ID().String()+`"}`), 200, `{}`)
		a.Expect()
		b.Expect(event("a", `"1"`), event("b", `"1"`))
	})
}

func TestBatch(t *testing.T) {
	t.Parallel()
	many := func(n int) string {
		return `{"batch":[` + strings.TrimSuffix(strings.Repeat(`{"name":"e","channel":"zzz","data":"1"},`, n), ",") + `]}`
	}
	tests := []struct {
		name, body string
		status     int
		want       string
		frames     []string
	}{
		{"events in order", `{"batch":[{"name":"e","channel":"a","data":"1"},{"name":"e","channels":["b","a"],"data":"2"}]}`, 200, `{}`, []string{event("a", `"1"`), event("b", `"2"`), event("a", `"2"`)}},
		{"A19: ten events", many(10), 200, `{}`, nil},
		{"A19: eleven events", many(11), 400, " limit_exceeded", nil},
		{"A20: one invalid event", `{"batch":[{"name":"e","channel":"a","data":"1"},{"name":"","channel":"a","data":"2"}]}`, 400, " invalid_input", nil},
		{"A21: info on the second only", `{"batch":[{"name":"e","channel":"zzz","data":"1"},{"name":"e","channels":["b","zzz"],"data":"2","info":"subscription_count"}]}`, 200, `{"batch":[{},{"subscription_count":1}]}`, []string{event("b", `"2"`)}},
		{"no events", `{"batch":[]}`, 200, `{}`, nil},
		{"no batch", `{}`, 400, " invalid_input", nil},
		{"a batch that is no array", `{"batch":{}}`, 400, " invalid_input", nil},
		{"an event that is no object", `{"batch":[1]}`, 400, " invalid_input", nil},
		{"the last of repeated batches counts", `{"batch":[{"name":"e","channel":"a","data":"1"}],"batch":[]}`, 200, `{}`, nil},
		{"a body that is no JSON", `{"batch":[{"name":"e","channel":"a","data":"1"}]`, 400, " invalid_input", nil},
		{"a bare array", `[]`, 400, " invalid_input", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			apitest.In(t, nil, func(n *apitest.Node) {
				a := n.Connect("a", "b")
				n.Expect(n.Batch(tt.body), tt.status, tt.want)
				a.Expect(tt.frames...)
			})
		})
	}
}

func TestBatchNamesTheBadEvent(t *testing.T) {
	t.Parallel()
	apitest.In(t, nil, func(n *apitest.Node) {
		w := n.Batch(`{"batch":[{"name":"e","channel":"a","data":"1"},{"name":"e","data":"1"}]}`)
		n.Expect(w, 400, " missing_channel_info")
		if !strings.Contains(w.Body.String(), "batch[1]: ") {
			t.Errorf("got %s, want it to name batch[1]", w.Body)
		}
	})
}

func TestPublishLimit(t *testing.T) { // A45
	t.Parallel()
	change := func(a *app.App, _ *apitest.Options) { a.Limits.MaxBackendEventsPerSecond = 5 }
	apitest.In(t, change, func(n *apitest.Node) {
		a := n.Connect("a")
		w := n.Publish(`{"name":"e","channels":["a","b","c","d","e","f"],"data":"1"}`)
		n.Expect(w, 429, " rate_limited")
		if got := w.Header().Get("Retry-After"); got != "1" {
			t.Errorf("Retry-After %q, want 1", got)
		}
		a.Expect()
		n.Expect(n.Publish(`{"name":"e","channel":"a","data":""}x`), 400, " invalid_input") // costs nothing
		n.Expect(n.Publish(`{"name":"e","channels":["a","a","b","c","d"],"data":"1"}`), 200, `{}`)
		n.Expect(n.Batch(`{"batch":[{"name":"e","channel":"a","data":"2"},{"name":"e","channel":"a","data":"3"}]}`), 429, " rate_limited")
		n.Expect(n.Publish(`{"name":"e","channel":"a","data":"4"}`), 200, `{}`)
		n.Expect(n.Publish(`not json`), 429, " rate_limited") // refused before it is read
		n.Expect(n.Do("GET", "/apps/77/channels", ""), 200, `{"channels":{"a":{}}}`)
		a.Expect(event("a", `"1"`), event("a", `"4"`))
		<-time.After(time.Second)
		n.Expect(n.Publish(`{"name":"e","channel":"a","data":"5"}`), 200, `{}`)
	})
}

// TestPublishLimitOfSlowBodies publishes while the body of another publish is on its way: what began
// long ago must not open the window again.
func TestPublishLimitOfSlowBodies(t *testing.T) {
	t.Parallel()
	change := func(a *app.App, _ *apitest.Options) { a.Limits.MaxBackendEventsPerSecond = 1 }
	apitest.In(t, change, func(n *apitest.Node) {
		body := &slowBody{Reader: strings.NewReader(apitest.Tick), before: func() {
			<-time.After(10 * time.Second)
			n.Expect(n.Publish(apitest.Tick), 200, `{}`)
		}}
		target := apitest.Signed("POST", "/apps/77/events", apitest.Tick, "mill-key", time.Now())
		w := httptest.NewRecorder()
		n.API.ServeHTTP(w, httptest.NewRequest("POST", target, body))
		n.Expect(w, 429, " rate_limited")
	})
}

// slowBody does something before it is read.
type slowBody struct {
	io.Reader
	before func()
}

func (b *slowBody) Read(p []byte) (int, error) {
	if b.before != nil {
		b.before()
		b.before = nil
	}
	return b.Reader.Read(p)
}

func TestReadLimit(t *testing.T) {
	t.Parallel()
	change := func(a *app.App, _ *apitest.Options) { a.Limits.MaxReadRequestsPerSecond = 1 }
	apitest.In(t, change, func(n *apitest.Node) {
		n.Expect(n.Do("GET", "/apps/77/channels", ""), 200, `{"channels":{}}`)
		n.Expect(n.Do("GET", "/apps/77/channels/a", ""), 429, " rate_limited")
		n.Expect(n.Publish(apitest.Tick), 200, `{}`)
		<-time.After(time.Second)
		n.Expect(n.Do("GET", "/apps/77/channels/a", ""), 200, `{"occupied":false}`)
	})
}

// failing is an engine whose Publish fails, or waits until its context ends.
type failing struct{ err error }

func (f failing) Publish(ctx context.Context, _ *app.App, _ []channel.Event) error {
	if f.err != nil {
		return f.err
	}
	<-ctx.Done()
	if ctx.Err() == nil {
		return errors.New("context done without an error")
	}
	return fmt.Errorf("channel: publish: %w", hub.ErrBackpressure)
}

func TestPublishFailures(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		err    error
		status int
		want   string
		retry  string
	}{
		{"no room in time", nil, 503, " backpressure", "1"},
		{"the owner is out of reach", fmt.Errorf("x: %w", bus.ErrUnavailable), 503, " service_unavailable", "1"},
		{"the owner has not answered", fmt.Errorf("x: %w", bus.ErrUncertain), 503, " uncertain", ""},
		{"the bus has ended", fmt.Errorf("x: %w", bus.ErrClosed), 503, " service_unavailable", "1"},
		{"entities cannot be stored", fmt.Errorf("%w: secret detail", entity.ErrNotStored), 503, " service_unavailable", "1"},
		{"anything else", errors.New("secret detail"), 500, " internal_error", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			change := func(_ *app.App, o *apitest.Options) { o.Channels.Publisher = failing{tt.err} }
			apitest.In(t, change, func(n *apitest.Node) {
				start := time.Now()
				w := n.Publish(apitest.Tick)
				n.Expect(w, tt.status, tt.want)
				if got := w.Header().Get("Retry-After"); got != tt.retry {
					t.Errorf("Retry-After %q, want %q", got, tt.retry)
				}
				if strings.Contains(w.Body.String(), "secret detail") {
					t.Errorf("detail shown: %s", w.Body)
				}
				if waited := time.Since(start); tt.err == nil && waited != time.Second {
					t.Errorf("waited %s, want 1s", waited)
				}
			})
		})
	}
}

func TestTargetsGetTheirOwnCopies(t *testing.T) {
	t.Parallel()
	apitest.In(t, nil, func(n *apitest.Node) {
		n.Expect(n.Publish(`{"name":"e","channel":"cache-c","data":"first"}`), 200, `{}`)
		for range 50 { // buffers are used again
			n.Publish(`{"name":"e","channel":"cache-d","data":"other"}`)
		}
		synctest.Wait()
		n.Expect(n.Do("GET", "/apps/77/channels/cache-c?info=cache", ""), 200, `{"occupied":false,"cache":{"data":"first","ttl":1800}}`)
	})
}
