package operators_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/httpapi/apitest"
	"github.com/millrace/millrace/internal/room"
	"github.com/millrace/millrace/internal/webhook"
	"github.com/millrace/millrace/internal/webhook/outbox"
)

// inTold runs test on a node whose app has webhooks: what goes to "hook" dies at once, what
// goes to "later" is tried again and again, what goes to "fine" arrives. There are three dead
// letters.
func inTold(t *testing.T, test func(n *apitest.Node, letters []webhook.Letter)) {
	t.Helper()
	apitest.In(t, nil, func(n *apitest.Node) {
		n.Tell("hook", "later", "fine")
		for i := range 3 {
			n.Webhooks.Tell(&room.Event{Kind: room.CacheMiss, App: "77", Channel: fmt.Sprintf("cache-\"%d", i)})
			time.Sleep(time.Second)
		}
		time.Sleep(10 * time.Minute) // the breaker lets one through in a minute
		synctest.Wait()
		letters, err := n.Webhooks.Dead(context.Background(), "77", 0, 10)
		if err != nil || len(letters) != 3 {
			n.T.Fatalf("got %d letters, %v", len(letters), err)
		}
		test(n, letters)
	})
}

func TestWebhookStatus(t *testing.T) {
	t.Parallel()
	inTold(t, func(n *apitest.Node, _ []webhook.Letter) {
		at := time.Now()
		n.Webhooks.Tell(&room.Event{Kind: room.ChannelOccupied, App: "77", Channel: "x"})
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		w := n.Do("GET", "/apps/77/webhooks", "")
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
		n.Expect(w, 200, strings.Replace(want, "RETRY", strconv.FormatInt(got.Webhooks[1].RetryAt, 10), 1))
		n.Expect(n.Raw("GET", apitest.Signed("GET", "/apps/78/webhooks", "", "other-key", time.Now()), ""), 200, `{"webhooks":[]}`)
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
	inTold(t, func(n *apitest.Node, letters []webhook.Letter) {
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
			n.Expect(n.Do("GET", "/apps/77/webhooks/dead"+tt.query, ""), tt.status, tt.want)
		}
		n.Expect(n.Raw("GET", apitest.Signed("GET", "/apps/78/webhooks/dead", "", "other-key", time.Now()), ""), 200, `{"letters":[]}`)
	})
}

func TestReplayAndDiscard(t *testing.T) {
	t.Parallel()
	const dead = "/apps/77/webhooks/dead"
	inTold(t, func(n *apitest.Node, letters []webhook.Letter) {
		n.Expect(n.Do("POST", dead+"/discard", fmt.Sprintf(`{"numbers":[%d,12345]}`, letters[0].Number)), 200, `{"discarded":1}`)
		n.Expect(n.Do("POST", dead+"/replay", `{"webhook":"later"}`), 200, `{"replayed":0}`)
		n.Tell("later")
		w := n.Do("POST", dead+"/replay", `{"webhook":"hook"}`)
		n.Expect(w, 409, " conflict")
		if !strings.HasSuffix(w.Body.String(), `"status":409,"replayed":0}`) {
			t.Errorf("got %s, which does not tell how many were replayed", w.Body)
		}
		n.Tell("hook", "later")
		n.Expect(n.Do("POST", dead+"/replay", fmt.Sprintf(`{"numbers":[%d],"webhook":"hook"}`, letters[1].Number)), 200, `{"replayed":1}`)
		time.Sleep(10 * time.Minute) // it fails again
		synctest.Wait()
		n.Expect(n.Do("POST", dead+"/discard", `{"webhook":"hook","all":true}`), 200, `{"discarded":2}`)
		n.Expect(n.Do("GET", dead, ""), 200, `{"letters":[]}`)
		n.Expect(n.Do("POST", dead+"/replay", `{"all":true}`), 200, `{"replayed":0}`)
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
			apitest.In(t, nil, func(n *apitest.Node) {
				n.Expect(n.Do("POST", "/apps/77/webhooks/dead/replay", tt.body), 400, " "+tt.code)
				n.Expect(n.Do("POST", "/apps/77/webhooks/dead/discard", tt.body), 400, " "+tt.code)
			})
		})
	}
}

// lettersFail is an engine all of whose calls about letters fail, after two of them.
type lettersFail struct {
	*outbox.Outbox
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
		change := func(_ *app.App, o *apitest.Options) { o.Operators.Webhooks = lettersFail{err: tt.err} }
		apitest.In(t, change, func(n *apitest.Node) {
			for path, word := range map[string]string{"/replay": "replayed", "/discard": "discarded", "": ""} {
				method, body, want := "POST", `{"all":true}`, fmt.Sprintf(`"status":%d,"%s":2}`, tt.status, word)
				if path == "" {
					method, body, want = "GET", "", fmt.Sprintf(`"status":%d}`, tt.status)
				}
				w := n.Do(method, "/apps/77/webhooks/dead"+path, body)
				n.Expect(w, tt.status, " "+tt.code)
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
type large struct{ *outbox.Outbox }

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
	apitest.In(t, func(_ *app.App, o *apitest.Options) { o.Operators.Webhooks = large{} }, func(n *apitest.Node) {
		var seen []uint64
		for after := uint64(0); len(seen) < 20; {
			w := n.Do("GET", fmt.Sprintf("/apps/77/webhooks/dead?events=true&limit=1000&after=%d", after), "")
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
	apitest.In(t, nil, func(n *apitest.Node) {
		start := time.Now().UnixMilli() // from which an engine without a store numbers
		n.Expect(n.Do("GET", "/apps/77/users", ""), 200, `{"users":[],"seq":0}`)
		n.Tell("fine")
		for _, id := range []string{"u-9", `u"8`, "u-7"} {
			n.Webhooks.Tell(&room.Event{Kind: room.UserOnline, App: "77", User: id})
		}
		time.Sleep(time.Second)
		n.Expect(n.Do("GET", "/apps/77/users", ""), 200, fmt.Sprintf(`{"users":["u\"8","u-7","u-9"],"seq":%d}`, start+3))
		n.Webhooks.Tell(&room.Event{Kind: room.UserOffline, App: "77", User: "u-9"})
		time.Sleep(time.Minute)
		n.Expect(n.Do("GET", "/apps/77/users", ""), 200, fmt.Sprintf(`{"users":["u\"8","u-7"],"seq":%d}`, start+4))
	})
}

func TestOperatorsSpendRequests(t *testing.T) {
	t.Parallel()
	change := func(a *app.App, _ *apitest.Options) { a.Limits.MaxReadRequestsPerSecond = 1 }
	apitest.In(t, change, func(n *apitest.Node) {
		for _, tt := range apitest.EveryRoute() {
			if tt.Needs == "publish" {
				continue
			}
			time.Sleep(2 * time.Second)
			first, second := n.Do(tt.Method, tt.Target, tt.Body).Code, n.Do(tt.Method, tt.Target, tt.Body).Code
			if diff := cmp.Diff([]int{tt.Status, 429}, []int{first, second}); diff != "" {
				t.Errorf("%s %s (-want +got):\n%s", tt.Method, tt.Target, diff)
			}
		}
	})
}
