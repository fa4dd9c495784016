package outbox_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/store/embedded"
	"github.com/millrace/millrace/internal/webhook"
	"github.com/millrace/millrace/internal/webhook/outbox"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 5 && os.Args[1] == childCommand {
		os.Exit(tellUntilKilled(os.Args[2], os.Args[3], os.Args[4]))
	}
	goleak.VerifyTestMain(m)
}

// apps has the apps of the tests; app "other" has another key.
func apps(t testing.TB) *app.Static {
	t.Helper()
	enabled := func(id, key string) *app.App {
		return &app.App{ID: id, Key: key, Secret: key + "-secret", Enabled: true, Limits: app.DefaultLimits()}
	}
	registry, err := app.NewStatic([]*app.App{enabled("app", "mill-key"), enabled("other", "other-key")})
	if err != nil {
		t.Fatal(err)
	}
	return registry
}

// request is what a receiver got.
type request struct {
	At     time.Time
	Path   string
	Header http.Header
	Body   string
	Status int // of the answer
}

// events are the events of the request, each as "name channel user", then what else it has.
func (r request) events(t testing.TB) []string {
	t.Helper()
	var all []string
	for _, e := range r.raw(t) {
		var fields struct {
			Name    string
			Channel string
			UserID  string `json:"user_id"`
			Count   *int   `json:"subscription_count"`
			Event   string
			Seq     int
			Cause   string
		}
		if err := json.Unmarshal(e, &fields); err != nil {
			t.Fatalf("event %s: %v", e, err)
		}
		if own := "#server-to-user-" + fields.UserID; fields.Channel == own {
			fields.Channel = "" // which says nothing more
		}
		words := []string{fields.Name, fields.Channel, fields.UserID, fields.Event}
		if fields.Count != nil {
			words = append(words, strconv.Itoa(*fields.Count))
		}
		if fields.Seq != 0 {
			words = append(words, strconv.Itoa(fields.Seq))
		}
		words = append(words, fields.Cause)
		all = append(all, strings.Join(slices.DeleteFunc(words, func(s string) bool { return s == "" }), " "))
	}
	return all
}

func (r request) raw(t testing.TB) []json.RawMessage {
	t.Helper()
	var body struct {
		TimeMS int64 `json:"time_ms"`
		Events []json.RawMessage
	}
	if err := json.Unmarshal([]byte(r.Body), &body); err != nil {
		t.Fatalf("body %q: %v", r.Body, err)
	}
	if body.TimeMS == 0 || len(body.Events) == 0 {
		t.Errorf("body without time or events: %s", r.Body)
	}
	return body.Events
}

// eventsText is the body without its time.
func eventsText(r request) string {
	_, text, _ := strings.Cut(r.Body, `"events":`)
	return text
}

// receiver is the server of an app. It answers as it is told, 200 unless told otherwise, and
// checks what must be true of every request.
type receiver struct {
	t testing.TB

	mu       sync.Mutex
	requests []request
	answer   func(r request, n int) int // status; n counts the requests from 1; 0 hangs
	release  chan struct{}              // ends hanging
}

func newReceiver(t testing.TB) *receiver {
	return &receiver{t: t, release: make(chan struct{})}
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // given up
	}
	got := request{time.Now(), req.URL.Path, req.Header.Clone(), string(body), http.StatusOK}
	r.check(got)
	r.mu.Lock()
	if r.answer != nil {
		got.Status = r.answer(got, len(r.requests)+1)
	}
	r.requests = append(r.requests, got)
	r.mu.Unlock()
	status := got.Status
	if status == 0 {
		select {
		case <-req.Context().Done():
		case <-r.release:
		}
		status = http.StatusServiceUnavailable
	}
	if status/100 == 3 {
		w.Header().Set("Location", "/elsewhere")
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "thanks")
}

func (r *receiver) check(got request) {
	key := got.Header.Get("X-Pusher-Key")
	mac := hmac.New(sha256.New, []byte(key+"-secret"))
	mac.Write([]byte(got.Body))
	if want := hex.EncodeToString(mac.Sum(nil)); got.Header.Get("X-Pusher-Signature") != want {
		r.t.Errorf("signature %q of key %q, want %q", got.Header.Get("X-Pusher-Signature"), key, want)
	}
	if got.Header.Get("Content-Type") != "application/json" || got.Header.Get("X-Millrace-Delivery") == "" {
		r.t.Errorf("headers: %v", got.Header)
	}
}

// answers makes the receiver answer in this way from now on.
func (r *receiver) answers(fn func(got request, n int) int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = fn
}

// take returns the requests since the last take.
func (r *receiver) take() []request {
	r.mu.Lock()
	defer r.mu.Unlock()
	got := r.requests
	r.requests = nil
	return got
}

func (r *receiver) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.requests)
}

// expect wants exactly these events since the last look, in this order, in any requests.
func (r *receiver) expect(t testing.TB, when string, want ...string) {
	t.Helper()
	var got []string
	for _, req := range r.take() {
		got = append(got, req.events(t)...)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", when, diff)
	}
}

// transport brings requests to handlers by host without a network, so that a bubble's clock
// can go on while one hangs.
type transport map[string]http.Handler

func (tr transport) RoundTrip(req *http.Request) (*http.Response, error) {
	handler := tr[req.URL.Host]
	if handler == nil {
		return nil, fmt.Errorf("no host %s", req.URL.Host)
	}
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, req)
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	return recorder.Result(), nil
}

// node is one engine that runs until the test ends or stop is called.
type node struct {
	*outbox.Outbox
	t      testing.TB
	cancel context.CancelFunc
	done   chan error
}

// start runs an engine with endpoints of the app "app".
func start(t testing.TB, o outbox.Options, endpoints ...webhook.Endpoint) *node {
	t.Helper()
	return startWith(t, o, map[string][]webhook.Endpoint{"app": endpoints})
}

func startWith(t testing.TB, o outbox.Options, byApp map[string][]webhook.Endpoint) *node {
	t.Helper()
	if o.Apps == nil {
		o.Apps = apps(t)
	}
	n := &node{Outbox: outbox.New(o), t: t, done: make(chan error, 1)}
	for id, list := range byApp {
		if err := n.SetEndpoints(id, list); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	go func() { n.done <- n.Run(ctx) }()
	t.Cleanup(func() { _ = n.stop() })
	return n
}

// stop ends Run at once, as a shutdown without time does.
func (n *node) stop() error {
	if n.cancel == nil {
		return nil
	}
	n.cancel()
	n.cancel = nil
	return <-n.done
}

func all() []string {
	var names []string
	for k := webhook.KindChannelOccupied; k.String() != "unknown"; k++ {
		names = append(names, k.String())
	}
	return names
}

// hook is an endpoint at a host of the transport.
func hook(id string, kinds ...string) webhook.Endpoint {
	if len(kinds) == 0 {
		kinds = all()
	}
	return webhook.Endpoint{ID: id, URL: "http://" + id + "/hook", EventTypes: kinds}
}

func unbatched(p webhook.Endpoint) webhook.Endpoint {
	p.Batching.Enabled = app.SwitchOff
	return p
}

// bubble runs a test with a receiver at host "hook" and a clock that only goes on when all
// wait.
func bubble(t *testing.T, test func(t *testing.T, r *receiver, o outbox.Options)) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		test(t, r, outbox.Options{Transport: transport{"hook": r}})
	})
}

// after lets time pass.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func openStore(t testing.TB, folder string) *embedded.Store {
	t.Helper()
	s, err := embedded.Open(t.Context(), embedded.Options{Path: folder})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closeStore(t testing.TB, s *embedded.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}
