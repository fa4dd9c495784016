package server_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/server"
	"github.com/millrace/millrace/internal/testkit"
)

// hookRequest is what a receiver got.
type hookRequest struct {
	At     time.Time
	Path   string
	Header http.Header
	Body   string
	events []string // as they are on the wire
}

// hookReceiver is the server of the test app, which answers every webhook with 200 and checks
// what must be true of all.
type hookReceiver struct {
	URL string
	t   testing.TB

	mu       sync.Mutex
	requests []hookRequest
	taken    int           // events that expect has seen
	changed  chan struct{} // closed and made anew with each request
}

func receiveHooks(t testing.TB) *hookReceiver {
	t.Helper()
	r := &hookReceiver{t: t, changed: make(chan struct{})}
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	r.URL = s.URL
	return r
}

func (r *hookReceiver) ServeHTTP(_ http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // given up
	}
	got := hookRequest{At: time.Now(), Path: req.URL.Path, Header: req.Header.Clone(), Body: string(body)}
	mac := hmac.New(sha256.New, []byte(testkit.Secret))
	mac.Write(body)
	if want := hex.EncodeToString(mac.Sum(nil)); req.Header.Get("X-Pusher-Signature") != want || req.Header.Get("X-Pusher-Key") != testkit.Key {
		r.t.Errorf("signature or key of %v are wrong", req.Header)
	}
	var content struct {
		TimeMS int64 `json:"time_ms"`
		Events []json.RawMessage
	}
	if err := json.Unmarshal(body, &content); err != nil || content.TimeMS == 0 {
		r.t.Errorf("body %s: %v", body, err)
	}
	for _, e := range content.Events {
		got.events = append(got.events, string(e))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = append(r.requests, got)
	close(r.changed)
	r.changed = make(chan struct{})
}

// all is every request so far, all events in their order, and a channel that says when there is
// more.
func (r *hookReceiver) all() (requests []hookRequest, events []string, changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, req := range r.requests {
		events = append(events, req.events...)
	}
	return append(requests, r.requests...), events, r.changed
}

// expect waits until so many events have come since the last look, which must be these, in any
// requests.
func (r *hookReceiver) expect(t testing.TB, when string, want ...string) {
	t.Helper()
	deadline := time.After(waitLimit)
	for {
		_, events, changed := r.all()
		if got := events[r.taken:]; len(got) >= len(want) {
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("%s (-want +got):\n%s", when, diff)
			}
			r.taken = len(events)
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("%s: got %q, want %q", when, events[r.taken:], want)
		}
	}
}

// hook is a webhook at the receiver.
func (r *hookReceiver) hook(kinds ...string) config.Webhook {
	h := config.DefaultWebhook()
	h.URL, h.EventTypes = r.URL+"/hook", kinds
	return h
}

// Kinds of events that go together.
var (
	ofChannels = []string{"channel_occupied", "channel_vacated"}
	ofMembers  = []string{"channel_occupied", "channel_vacated", "member_added", "member_removed"}
	ofUsers    = []string{"user_online", "user_offline"}
)

// withHooks is a configuration with webhooks of the test app, whose graces are short.
func withHooks(hooks ...config.Webhook) *config.Config {
	c := twoApps()
	c.Apps = c.Apps[:1]
	c.Apps[0].Webhooks = hooks
	c.Webhooks.Grace, c.Webhooks.UserGrace = config.Duration(300*time.Millisecond), config.Duration(300*time.Millisecond)
	c.Webhooks.BatchDuration = config.Duration(time.Millisecond)
	return c
}

// startServer runs a server until the test or stop ends it, as a signal does.
func startServer(t *testing.T, c *config.Config) (s *server.Server, stop func()) {
	t.Helper()
	s, err := server.New(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }() // ends with cancel
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	<-s.Ready()
	return s, stop
}

// hooked is a client of the test app.
type hooked struct {
	*testkit.Peer
	t  testing.TB
	id string
}

func connect(t *testing.T, s *server.Server) *hooked {
	t.Helper()
	return connectTo(t, s.Addr().String())
}

func connectTo(t *testing.T, addr string) *hooked {
	t.Helper()
	p, err := testkit.DialPeer(addr, "/app/"+testkit.Key+"?protocol=7", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Cut)
	id, err := p.Established(waitLimit)
	if err != nil {
		t.Fatal(err)
	}
	return &hooked{p, t, id}
}

// say sends an event and waits for the answer with this word in it.
func (h *hooked) say(event, data, want string) {
	h.t.Helper()
	if err := h.SendText(`{"event":"` + event + `","data":` + data + `}`); err != nil {
		h.t.Fatal(err)
	}
	for want != "" {
		f, err := h.Next(waitLimit)
		if err != nil {
			h.t.Fatalf("%s: no %s: %v", event, want, err)
		}
		if strings.Contains(string(f.Payload), want) {
			return
		}
	}
}

// enter subscribes to a channel, to a presence channel as the user.
func (h *hooked) enter(channel string, user ...string) {
	h.t.Helper()
	h.say("pusher:subscribe", h.entrance(channel, user...), "subscription_succeeded")
}

// leaveAndReturn unsubscribes and subscribes in one write, so that no grace ends in between.
func (h *hooked) leaveAndReturn(channel, user string) {
	h.t.Helper()
	both := testkit.AppendFrame(nil, testkit.Text, []byte(`{"event":"pusher:unsubscribe","data":{"channel":"`+channel+`"}}`))
	both = testkit.AppendFrame(both, testkit.Text, []byte(`{"event":"pusher:subscribe","data":`+h.entrance(channel, user)+`}`))
	if err := h.SendRaw(both); err != nil {
		h.t.Fatal(err)
	}
	h.fence()
}

// entrance is the data of a signed subscribe.
func (h *hooked) entrance(channel string, user ...string) string {
	h.t.Helper()
	data := map[string]string{"channel": channel}
	if len(user) > 0 {
		data["channel_data"] = `{"user_id":"` + user[0] + `"}`
	}
	data["auth"] = testkit.ChannelAuth(h.id, channel, data["channel_data"])
	text, err := json.Marshal(data)
	if err != nil {
		h.t.Fatal(err)
	}
	return string(text)
}

func (h *hooked) exit(channel string) {
	h.t.Helper()
	h.say("pusher:unsubscribe", `{"channel":"`+channel+`"}`, "")
	h.fence()
}

// fence returns when the server has done what it was asked before.
func (h *hooked) fence() {
	h.t.Helper()
	h.say("pusher:ping", `{}`, "pusher:pong")
}

func (h *hooked) signIn(user string) {
	h.t.Helper()
	userData := `{"id":"` + user + `"}`
	text, err := json.Marshal(map[string]string{"user_data": userData, "auth": testkit.UserAuth(h.id, userData)})
	if err != nil {
		h.t.Fatal(err)
	}
	h.say("pusher:signin", string(text), "signin_success")
}

// Events as they are on the wire.

func occupied(channel string) string {
	return `{"name":"channel_occupied","channel":"` + channel + `"}`
}

func vacated(channel string) string { return `{"name":"channel_vacated","channel":"` + channel + `"}` }

func added(channel, user string) string {
	return `{"name":"member_added","channel":"` + channel + `","user_id":"` + user + `"}`
}

func removed(channel, user string) string {
	return `{"name":"member_removed","channel":"` + channel + `","user_id":"` + user + `"}`
}

// afterRestart is an event of a subject that has not come back since the start.
func afterRestart(event string) string {
	return strings.TrimSuffix(event, "}") + `,"cause":"server_restart"}`
}

func count(channel string, n int) string {
	return fmt.Sprintf(`{"name":"subscription_count","channel":%q,"subscription_count":%d}`, channel, n)
}
