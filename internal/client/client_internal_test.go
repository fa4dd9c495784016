package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/auth"
	"github.com/millrace/millrace/internal/socket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testKey    = "mill-key"
	testSecret = "mill-secret"
)

func newClient(t *testing.T, url string) (*Client, *[]time.Duration) {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	c, err := New(Options{URL: url, App: "77", Key: testKey, Secret: testSecret, HTTP: &http.Client{Transport: transport}})
	if err != nil {
		t.Fatal(err)
	}
	var waits []time.Duration
	c.wait = func(ctx context.Context, d time.Duration) error {
		waits = append(waits, d)
		return ctx.Err()
	}
	return c, &waits
}

func TestReactToCloseCodes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		code int
		want reaction
	}{
		{0, backOff},
		{1006, backOff},
		{4000, giveUp},
		{4001, giveUp},
		{4099, giveUp},
		{4100, backOff},
		{4199, backOff},
		{4200, atOnce},
		{4201, atOnce},
		{4299, atOnce},
		{4300, giveUp},
		{4301, giveUp},
	}
	for _, tt := range tests {
		if got := react(tt.code); got != tt.want {
			t.Errorf("code %d: got %d, want %d", tt.code, got, tt.want)
		}
	}
}

func TestDelaysGrowWithinBounds(t *testing.T) {
	t.Parallel()
	var d delays
	if got := d.next(&endedError{closing{code: 4200}}); got != 0 {
		t.Errorf("the first 4200 waits %v", got)
	}
	for i, full := range []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, lastDelay, lastDelay} {
		if got := d.next(&endedError{closing{code: 4200}}); got > full || got <= full/2 {
			t.Errorf("failure %d waits %v, want at most %v", i+2, got, full)
		}
	}
	d.reset()
	if got := d.next(errors.New("connection refused")); got > firstDelay || got <= firstDelay/2 {
		t.Errorf("a first failure waits %v", got)
	}
}

func TestURLsWithAPasswordAreRefusedAndNotRepeated(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"http://user:hush@host", "ftp://user:hush@host", "https://user@host"} {
		_, err := New(Options{URL: url, Key: testKey})
		_, adminErr := NewAdmin(Options{URL: url, Key: testKey, Secret: testSecret})
		for _, err := range []error{err, adminErr} {
			if err == nil || !strings.Contains(err.Error(), "leave out the user") || strings.Contains(err.Error(), "hush") {
				t.Errorf("%s: got error %v", url, err)
			}
		}
	}
}

func TestNewWantsAWholeURL(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"127.0.0.1:6001", "localhost:6001", "http://", "ws://host", "http://[::1"} {
		_, err := New(Options{URL: url, Key: testKey})
		if err == nil || !strings.Contains(err.Error(), "want http://host:port") {
			t.Errorf("%s: got error %v", url, err)
		}
	}
}

func TestPublishNamesAServerThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	c, _ := newClient(t, server.URL)
	err := c.Publish(t.Context(), Event{Name: "e", Channels: []string{"x"}})
	if err == nil || !strings.Contains(err.Error(), "no answer from "+server.URL+": ") || strings.Contains(err.Error(), "auth_signature") {
		t.Errorf("got error %v", err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := c.Publish(ended, Event{Name: "e", Channels: []string{"x"}}); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v", err)
	}
}

// A first connection that cannot be opened is more likely a wrong URL than a restart.
func TestStreamsEndWhereNoServerHasEverBeen(t *testing.T) {
	t.Parallel()
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	answers := func(status int) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		t.Cleanup(s.Close)
		return s.URL
	}
	missing, ending := answers(http.StatusNotFound), answers(http.StatusServiceUnavailable)
	unencrypted := strings.Replace(missing, "http://", "https://", 1)
	tests := []struct {
		name, url, want string
		isTriedAgain    bool
	}{
		{"a server without TLS", unencrypted, "speaks no TLS: write http://", false},
		{"no server", closed.URL, "no answer from " + closed.URL + ": ", false},
		{"a server that is no Millrace", missing, "404 Not Found; see that " + missing + " is the address", false},
		{"a server that is ending", ending, "context canceled", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for name, stream := range map[string]func(context.Context, *Client) error{
				"subscribe": func(ctx context.Context, c *Client) error {
					return c.Subscribe(ctx, []string{"x"}, nil, func(Message) {})
				},
				"watch": func(ctx context.Context, c *Client) error {
					return c.Watch(ctx, "V", WatchOptions{}, func(Change) {})
				},
			} {
				ctx, cancel := context.WithCancel(t.Context())
				c, _ := newClient(t, tt.url)
				waits := 0
				c.wait = func(context.Context, time.Duration) error {
					waits++
					cancel()
					return ctx.Err()
				}
				err := stream(ctx, c)
				cancel()
				if err == nil || !strings.Contains(err.Error(), tt.want) || (waits > 0) != tt.isTriedAgain {
					t.Errorf("%s: got %v after %d waits", name, err, waits)
				}
			}
		})
	}
}

// Not every server behind the URL is a Millrace.
func TestRefusalsOfOtherServersAreShort(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]string{
		"404 page not found\n":          "404: Not Found; see that ",
		"<html><body>gone":              "404: Not Found; see that ",
		strings.Repeat("long ", 1000):   "404: Not Found; see that ",
		"there is nothing\nof any kind": "404: there is nothing; see that ",
		`{"error":"No","code":"wrong"}`: "404 wrong: No",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, answer)
		}))
		c, _ := newClient(t, server.URL)
		err := c.Publish(t.Context(), Event{Name: "e", Channels: []string{"x"}})
		server.Close()
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "body") {
			t.Errorf("%.20q: got %v", answer, err)
		}
	}
}

func TestPublishIsSignedAndTriesAgain(t *testing.T) {
	t.Parallel()
	var bodies []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var p auth.Params
		if err := auth.ParseQuery(&p, r.URL.RawQuery); err != nil {
			t.Error(err)
		}
		if err := new(auth.Verifier).VerifyRequest(auth.Request{Method: r.Method, Path: r.URL.EscapedPath(), Body: body}, &p, testSecret, time.Now()); err != nil {
			t.Error(err)
		}
		if bodies = append(bodies, string(body)); len(bodies) < 3 {
			w.Header().Set("Retry-After", "7")
			http.Error(w, `{"error":"behind","code":"backpressure","status":503}`, http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	c, waits := newClient(t, server.URL)
	if err := c.Publish(t.Context(), Event{Name: "tick", Channels: []string{"prices"}, Data: `{"p":1}`}); err != nil {
		t.Fatal(err)
	}
	want := `{"name":"tick","channels":["prices"],"data":"{\"p\":1}"}`
	if diff := cmp.Diff([]string{want, want, want}, bodies); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]time.Duration{7 * time.Second, 7 * time.Second}, *waits); diff != "" {
		t.Error(diff)
	}
}

func TestPublishGivesUp(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		status int
		body   string
		waits  int
		want   APIError
	}{
		{
			"at once after a refusal", 400, `{"error":"Bad name","code":"invalid_input","status":400}`, 0,
			APIError{400, "invalid_input", "Bad name", 0},
		},
		{"with the plain text of an unknown route", 404, "404 NOT FOUND", 0, APIError{404, "", "Not Found", 0}},
		{
			"after enough tries", 503, `{"error":"behind","code":"backpressure","status":503}`, maxTries - 1,
			APIError{503, "backpressure", "behind", 0},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			}))
			defer server.Close()
			c, waits := newClient(t, server.URL)
			err := c.Publish(t.Context(), Event{Name: "tick", Channels: []string{"prices"}})
			var refused *APIError
			if !errors.As(err, &refused) {
				t.Fatalf("got %v", err)
			}
			if diff := cmp.Diff(tt.want, *refused); diff != "" || len(*waits) != tt.waits {
				t.Errorf("waited %d times; %s", len(*waits), diff)
			}
		})
	}
}

// script is a server whose n-th connection is treated by the n-th step. A step gets the
// subscribe frames of its connection.
type script struct {
	t      *testing.T
	engine *socket.Engine
	steps  []func(c *socket.Conn, subscribe map[string]string)

	mu sync.Mutex
	n  int
}

func startScript(t *testing.T, steps ...func(*socket.Conn, map[string]string)) string {
	t.Helper()
	engine, err := socket.New(socket.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := &script{t: t, engine: engine, steps: steps}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- engine.Run(ctx) }()
	server := httptest.NewServer(s)
	t.Cleanup(func() {
		server.Close()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return server.URL
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/app/"+testKey || r.URL.Query().Get("protocol") != "7" {
		s.t.Errorf("upgrade of %s", r.URL)
	}
	c, err := s.engine.Upgrade(w, r, &socket.Endpoint{MaxMessage: 1 << 16, MaxQueueFrames: 100})
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	step := s.steps[min(s.n, len(s.steps)-1)]
	s.n++
	c.Send([]byte(`{"event":"pusher:connection_established","data":"{\"socket_id\":\"4711.815\",\"activity_timeout\":120}"}`))
	c.Start(scripted{step})
}

type scripted struct {
	step func(*socket.Conn, map[string]string)
}

func (s scripted) Message(c *socket.Conn, _ socket.Opcode, payload []byte) {
	var e struct {
		Event string
		Data  map[string]string
	}
	if json.Unmarshal(payload, &e) == nil && e.Event == "pusher:subscribe" {
		s.step(c, e.Data)
	}
}

func (scripted) Timeout(*socket.Conn) {}
func (scripted) Drained(*socket.Conn) {}

func (scripted) Closed(*socket.Conn, socket.CloseReason) {}

func closeWith(code int, text string) func(*socket.Conn, map[string]string) {
	return func(c *socket.Conn, _ map[string]string) {
		frame, _ := json.Marshal(map[string]any{"event": "pusher:error", "data": map[string]any{"code": code, "message": text}})
		c.Close(socket.Disconnect{Message: frame, Code: code, Reason: text})
	}
}

func TestSubscribeComesBackAsTheCodeWants(t *testing.T) {
	t.Parallel()
	url := startScript(
		t,
		closeWith(4200, "shutting down"),
		closeWith(4100, "full"),
		func(c *socket.Conn, _ map[string]string) {
			c.Send([]byte(`{"event":"pusher_internal:subscription_succeeded","channel":"prices","data":"{}"}`))
			c.Send([]byte(`{"event":"pusher:ping"}`))
			c.Send([]byte(`{"event":"tick","channel":"prices","data":"{\"p\":1}"}`))
			c.Send([]byte(`{"event":"client-a","channel":"presence-x","data":{},"user_id":12345678901234567891}`))
			c.Send([]byte(`{"event":"client-a","channel":"presence-x","data":{},"user_id":"u-\u0039"}`))
			closeWith(4003, "disabled")(c, nil)
		},
	)
	c, waits := newClient(t, url)
	var got []Message
	err := c.Subscribe(t.Context(), []string{"prices"}, nil, func(m Message) { got = append(got, m) })
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "4003: disabled") {
		t.Errorf("got %v", err)
	}
	want := []Message{
		{Event: "pusher_internal:subscription_succeeded", Channel: "prices", Data: "{}"},
		{Event: "tick", Channel: "prices", Data: `{"p":1}`},
		{Event: "client-a", Channel: "presence-x", Data: `{}`, UserID: "12345678901234567891"},
		{Event: "client-a", Channel: "presence-x", Data: `{}`, UserID: "u-9"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if w := *waits; len(w) != 2 || w[0] != 0 || w[1] <= 0 {
		t.Errorf("waited %v, want none after 4200 and some after 4100", w)
	}
}

func TestSubscribeSigns(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var got []map[string]string
	url := startScript(t, func(c *socket.Conn, subscribe map[string]string) {
		mu.Lock()
		defer mu.Unlock()
		if got = append(got, subscribe); len(got) == 3 {
			c.Send([]byte(`{"event":"pusher:subscription_error","channel":"prices","data":{"type":"AuthError","error":"no","status":401}}`))
		}
	})
	c, _ := newClient(t, url)
	member := &Member{UserID: "u-9", Info: json.RawMessage(`{"name":"Ida"}`)}
	err := c.Subscribe(t.Context(), []string{"prices", "private-orders", "presence-lobby"}, member, func(Message) {})
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "channel prices: AuthError: no") {
		t.Errorf("got %v", err)
	}
	want := []map[string]string{ // signatures: vectors of pusher 2.4.1
		{"channel": "prices", "auth": ""},
		{"channel": "private-orders", "auth": testKey + ":43500007267b0f969cf855c9b3dc388dc95ddf36421788f14844963af7d7d9c4"},
		{
			"channel": "presence-lobby", "channel_data": `{"user_id":"u-9","user_info":{"name":"Ida"}}`,
			"auth": testKey + ":e891085865d00a89212fb40ae259e0e333eac3a5c9b41a86381924c0140069ad",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSubscribeEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	url := startScript(t, func(*socket.Conn, map[string]string) { cancel() })
	c, _ := newClient(t, url)
	if err := c.Subscribe(ctx, []string{"prices"}, nil, func(Message) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestSubscribeChecksItsArguments(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		secret   string
		channels []string
		want     string
	}{
		{"no channel", testSecret, nil, "no channel"},
		{"a signed channel without secret", "", []string{"private-x"}, "needs the app secret"},
		{"a presence channel without user", testSecret, []string{"presence-x"}, "needs a user id"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := New(Options{URL: "http://127.0.0.1:1", Key: testKey, Secret: tt.secret})
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Subscribe(t.Context(), tt.channels, nil, nil); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
