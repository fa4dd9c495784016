package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/httpapi"
	"github.com/millrace/millrace/internal/room"
	"github.com/millrace/millrace/internal/webhook"
	"github.com/millrace/millrace/internal/webhook/outbox"
)

// teapot answers webhooks to the host "up" and refuses all others.
type teapot struct{}

func (teapot) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	if r.URL.Host != "up" {
		w.WriteHeader(http.StatusTeapot)
	}
	return w.Result(), nil
}

// theApp is the only one there is.
type theApp struct{ *app.App }

func (a theApp) ByID(context.Context, string) (*app.App, error) { return a.App, nil }

// inTold runs test on a node whose app has webhooks: what goes to "hook" dies at once, what
// goes to "later" is tried again and again, what goes to "fine" arrives. There are three dead
// letters.
func inTold(t *testing.T, test func(n *node, letters []webhook.Letter)) {
	t.Helper()
	inNode(t, nil, func(n *node) {
		n.tell("hook", "later", "fine")
		for i := range 3 {
			n.webhooks.Tell(&room.Event{Kind: room.CacheMiss, App: "77", Channel: fmt.Sprintf("cache-\"%d", i)})
			time.Sleep(time.Second)
		}
		time.Sleep(10 * time.Minute) // the breaker lets one through in a minute
		synctest.Wait()
		letters, err := n.webhooks.Dead(context.Background(), "77", 0, 10)
		if err != nil || len(letters) != 3 {
			n.t.Fatalf("got %d letters, %v", len(letters), err)
		}
		test(n, letters)
	})
}

// tell sets the webhooks of the app.
func (n *node) tell(ids ...string) {
	n.t.Helper()
	var list []webhook.Endpoint
	for _, id := range ids {
		e := webhook.Endpoint{ID: id, URL: "http://" + id + "/", EventTypes: []string{"cache_miss"}}
		switch id {
		case "hook":
			e.Retry.Enabled = app.SwitchOff
		case "later":
			e.EventTypes = []string{"channel_occupied"}
		case "fine":
			e.URL, e.EventTypes = "http://up/", []string{"user_online", "user_offline"}
		}
		e.Batching.Enabled = app.SwitchOff
		list = append(list, e)
	}
	if err := n.webhooks.SetEndpoints("77", list); err != nil {
		n.t.Fatal(err)
	}
}

func TestWebhookStatus(t *testing.T) {
	t.Parallel()
	inTold(t, func(n *node, _ []webhook.Letter) {
		at := time.Now()
		n.webhooks.Tell(&room.Event{Kind: room.ChannelOccupied, App: "77", Channel: "x"})
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		w := n.do("GET", "/apps/77/webhooks", "")
		want := fmt.Sprintf(`{"webhooks":[{"id":"hook","events":0,"bytes":0,"failures":3,"is_broken":false,"last_error":"status 418 I'm a teapot"},`+
			`{"id":"later","events":1,"bytes":41,"oldest_ms":%d,"failures":1,"is_broken":false,"last_error":"status 418 I'm a teapot","retry_at_ms":RETRY},`+
			`{"id":"fine","events":0,"bytes":0,"failures":0,"is_broken":false,"last_error":""}]}`, at.UnixMilli())
		var got struct {
			Webhooks []struct {
				RetryAt int64 `json:"retry_at_ms"`
			}
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || len(got.Webhooks) != 3 || got.Webhooks[1].RetryAt <= at.UnixMilli() {
			t.Fatalf("got %s, %v", w.Body, err)
		}
		n.expect(w, 200, strings.Replace(want, "RETRY", strconv.FormatInt(got.Webhooks[1].RetryAt, 10), 1))
		n.expect(n.raw("GET", signedTarget("GET", "/apps/78/webhooks", "", "other-key", time.Now()), ""), 200, `{"webhooks":[]}`)
	})
}

// letterJSON is a letter of inTold as the API tells it.
func letterJSON(l *webhook.Letter, withEvents bool) string {
	text := fmt.Sprintf(`{"number":%d,"webhook":"hook","delivery":%q,"time_ms":%d,"count":1,"size":%d,"reason":"no_retry",`+
		`"detail":%q,"attempts":1,"died_ms":%d`, l.Number, l.Delivery, l.Time, len(l.Events), l.Detail, l.Died.UnixMilli())
	if withEvents {
		text += `,"events":[` + string(l.Events) + `]`
	}
	return text + "}"
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	inTold(t, func(n *node, letters []webhook.Letter) {
		bare := []string{letterJSON(&letters[0], false), letterJSON(&letters[1], false), letterJSON(&letters[2], false)}
		number := func(i int) string { return strconv.FormatUint(letters[i].Number, 10) }
		for _, tt := range []struct {
			name, query string
			status      int
			want        string
		}{
			{"all", "", 200, `{"letters":[` + strings.Join(bare, ",") + `]}`},
			{"with their events", "?events=true&limit=1", 200, `{"letters":[` + letterJSON(&letters[0], true) + `],"next":` + number(0) + `}`},
			{"explicitly without", "?events=false&after=" + number(1), 200, `{"letters":[` + bare[2] + `]}`},
			{"a page, of which more follow", "?limit=2", 200, `{"letters":[` + bare[0] + "," + bare[1] + `],"next":` + number(1) + `}`},
			{"the last page", "?limit=2&after=" + number(1), 200, `{"letters":[` + bare[2] + `]}`},
			{"a page that holds exactly the rest", "?limit=3", 200, `{"letters":[` + strings.Join(bare, ",") + `]}`},
			{"after the last", "?after=9007199254740991", 200, `{"letters":[]}`},
			{"a limit of none", "?limit=0", 400, " invalid_input"},
			{"a limit above the bound", "?limit=1001", 400, " invalid_input"},
			{"a limit that is no number", "?limit=x", 400, " invalid_input"},
			{"after nothing", "?after=", 400, " invalid_input"},
			{"after a number below zero", "?after=-1", 400, " invalid_input"},
			{"after more than any number", "?after=9223372036854775808", 400, " invalid_input"},
			{"events that are neither", "?events=yes", 400, " invalid_input"},
		} {
			t.Log(tt.name)
			n.expect(n.do("GET", "/apps/77/webhooks/dead"+tt.query, ""), tt.status, tt.want)
		}
		n.expect(n.raw("GET", signedTarget("GET", "/apps/78/webhooks/dead", "", "other-key", time.Now()), ""), 200, `{"letters":[]}`)
	})
}

func TestReplayAndDiscard(t *testing.T) {
	t.Parallel()
	const dead = "/apps/77/webhooks/dead"
	inTold(t, func(n *node, letters []webhook.Letter) {
		n.expect(n.do("POST", dead+"/discard", fmt.Sprintf(`{"numbers":[%d,12345]}`, letters[0].Number)), 200, `{"discarded":1}`)
		n.expect(n.do("POST", dead+"/replay", `{"webhook":"later"}`), 200, `{"replayed":0}`)
		n.tell("later")
		w := n.do("POST", dead+"/replay", `{"webhook":"hook"}`)
		n.expect(w, 409, " conflict")
		if !strings.HasSuffix(w.Body.String(), `"status":409,"replayed":0}`) {
			t.Errorf("got %s, which does not tell how many were replayed", w.Body)
		}
		n.tell("hook", "later")
		n.expect(n.do("POST", dead+"/replay", fmt.Sprintf(`{"numbers":[%d],"webhook":"hook"}`, letters[1].Number)), 200, `{"replayed":1}`)
		time.Sleep(10 * time.Minute) // it fails again
		synctest.Wait()
		n.expect(n.do("POST", dead+"/discard", `{"webhook":"hook","all":true}`), 200, `{"discarded":2}`)
		n.expect(n.do("GET", dead, ""), 200, `{"letters":[]}`)
		n.expect(n.do("POST", dead+"/replay", `{"all":true}`), 200, `{"replayed":0}`)
	})
}

func TestSelectionsThatAreRefused(t *testing.T) {
	t.Parallel()
	tooMany := `{"numbers":[1` + strings.Repeat(",1", 1000) + `]}`
	for _, tt := range []struct{ name, body, code string }{
		{"no body", ``, "invalid_input"},
		{"no JSON", `{`, "invalid_input"},
		{"no object", `[1]`, "invalid_input"},
		{"nothing selected", `{}`, "invalid_input"},
		{"all said to be false", `{"all":false}`, "invalid_input"},
		{"null everywhere", `{"all":null,"numbers":null,"webhook":null}`, "invalid_input"},
		{"a misspelled condition", `{"all":true,"webhok":"hook"}`, "invalid_input"},
		{"an empty list, which is not all", `{"numbers":[],"webhook":"hook"}`, "invalid_input"},
		{"numbers that contradict all", `{"numbers":[1],"all":true}`, "invalid_input"},
		{"a number that is a string", `{"numbers":["1"]}`, "invalid_input"},
		{"a number that is none", `{"numbers":[0]}`, "invalid_input"},
		{"a number below zero", `{"numbers":[-1]}`, "invalid_input"},
		{"a broken number", `{"numbers":[1.5]}`, "invalid_input"},
		{"a number beyond all", `{"numbers":[9223372036854775808]}`, "invalid_input"},
		{"numbers that are one", `{"numbers":1}`, "invalid_input"},
		{"more numbers than are allowed", tooMany, "limit_exceeded"},
		{"an empty webhook", `{"webhook":""}`, "invalid_input"},
		{"a webhook that is no string", `{"webhook":1}`, "invalid_input"},
		{"all that is no boolean", `{"all":1}`, "invalid_input"},
		{"all that is a string", `{"all":"true"}`, "invalid_input"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inNode(t, nil, func(n *node) {
				n.expect(n.do("POST", "/apps/77/webhooks/dead/replay", tt.body), 400, " "+tt.code)
				n.expect(n.do("POST", "/apps/77/webhooks/dead/discard", tt.body), 400, " "+tt.code)
			})
		})
	}
}

// lettersFail is an engine all of whose calls about letters fail, after two of them.
type lettersFail struct {
	*outbox.Engine
	err error
}

func (f lettersFail) Dead(context.Context, string, uint64, int) ([]webhook.Letter, error) {
	return nil, f.err
}

func (f lettersFail) Replay(context.Context, string, webhook.Selection) (int, error) { return 2, f.err }

func (f lettersFail) Discard(context.Context, string, webhook.Selection) (int, error) {
	return 2, f.err
}

func TestWebhookErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err    error
		status int
		code   string
	}{
		{webhook.ErrNothingSelected, 400, "invalid_input"},
		{fmt.Errorf("%w: %q", webhook.ErrNoEndpoint, "hook"), 409, "conflict"},
		{fmt.Errorf("%w: %q", webhook.ErrBacklog, "hook"), 409, "conflict"},
		{webhook.ErrClosed, 503, "service_unavailable"},
		{context.DeadlineExceeded, 503, "service_unavailable"},
		{errors.New("disk: secret detail"), 503, "service_unavailable"},
	} {
		change := func(_ *app.App, o *httpapi.Options) { o.Webhooks = lettersFail{err: tt.err} }
		inNode(t, change, func(n *node) {
			for path, word := range map[string]string{"/replay": "replayed", "/discard": "discarded", "": ""} {
				method, body, want := "POST", `{"all":true}`, fmt.Sprintf(`"status":%d,"%s":2}`, tt.status, word)
				if path == "" {
					method, body, want = "GET", "", fmt.Sprintf(`"status":%d}`, tt.status)
				}
				w := n.do(method, "/apps/77/webhooks/dead"+path, body)
				n.expect(w, tt.status, " "+tt.code)
				if got := w.Body.String(); !strings.HasSuffix(got, want) || strings.Contains(got, "secret detail") {
					t.Errorf("%s, %v: got %s, want it to end with %s", path, tt.err, got, want)
				}
				if again := w.Header().Get("Retry-After"); (again != "") != (tt.status == 503) {
					t.Errorf("%s, %v: got Retry-After %q", path, tt.err, again)
				}
			}
		})
	}
}

// large has letters of a megabyte without end.
type large struct{ *outbox.Engine }

func (large) Dead(_ context.Context, app string, after uint64, limit int) (letters []webhook.Letter, _ error) {
	events := []byte(`{"x":"` + strings.Repeat("x", 1<<20) + `"}`)
	for range limit {
		after++
		letters = append(letters, webhook.Letter{Number: after, App: app, Events: events})
	}
	return letters, nil
}

func TestAnAnswerWithLargeLettersIsBounded(t *testing.T) {
	t.Parallel()
	inNode(t, func(_ *app.App, o *httpapi.Options) { o.Webhooks = large{} }, func(n *node) {
		var seen []uint64
		for after := uint64(0); len(seen) < 20; {
			w := n.do("GET", fmt.Sprintf("/apps/77/webhooks/dead?events=true&limit=1000&after=%d", after), "")
			var got struct {
				Letters []struct{ Number uint64 }
				Next    uint64
			}
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || len(got.Letters) == 0 || w.Body.Len() > 12<<20 {
				t.Fatalf("got %d letters, %d bytes, %v", len(got.Letters), w.Body.Len(), err)
			}
			for _, l := range got.Letters {
				seen = append(seen, l.Number)
			}
			after = got.Next
		}
		for i, number := range seen {
			if number != uint64(i+1) {
				t.Fatalf("got letters %v, want each once", seen)
			}
		}
	})
}

func TestOnlineUsers(t *testing.T) {
	t.Parallel()
	inNode(t, nil, func(n *node) {
		start := time.Now().UnixMilli() // from which an engine without a store numbers
		n.expect(n.do("GET", "/apps/77/users", ""), 200, `{"users":[],"seq":0}`)
		n.tell("fine")
		for _, id := range []string{"u-9", `u"8`, "u-7"} {
			n.webhooks.Tell(&room.Event{Kind: room.UserOnline, App: "77", User: id})
		}
		time.Sleep(time.Second)
		n.expect(n.do("GET", "/apps/77/users", ""), 200, fmt.Sprintf(`{"users":["u\"8","u-7","u-9"],"seq":%d}`, start+3))
		n.webhooks.Tell(&room.Event{Kind: room.UserOffline, App: "77", User: "u-9"})
		time.Sleep(time.Minute)
		n.expect(n.do("GET", "/apps/77/users", ""), 200, fmt.Sprintf(`{"users":["u\"8","u-7"],"seq":%d}`, start+4))
	})
}

func TestOperatorsSpendRequests(t *testing.T) {
	t.Parallel()
	change := func(a *app.App, _ *httpapi.Options) { a.Limits.MaxReadRequestsPerSecond = 1 }
	inNode(t, change, func(n *node) {
		for _, tt := range everyRoute {
			if tt.needs == "publish" {
				continue
			}
			time.Sleep(2 * time.Second)
			first, second := n.do(tt.method, tt.target, tt.body).Code, n.do(tt.method, tt.target, tt.body).Code
			if diff := cmp.Diff([]int{tt.status, 429}, []int{first, second}); diff != "" {
				t.Errorf("%s %s (-want +got):\n%s", tt.method, tt.target, diff)
			}
		}
	})
}
