package client

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/socket"
)

// viewServer answers the n-th subscribe with the n-th step.
type viewServer struct {
	t      *testing.T
	engine *socket.Engine
	steps  []func(c *socket.Conn, subscribe string)

	mu    sync.Mutex
	n     int
	query []string
}

func startViewServer(t *testing.T, steps ...func(*socket.Conn, string)) (*viewServer, string) {
	t.Helper()
	engine, err := socket.New(socket.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := &viewServer{t: t, engine: engine, steps: steps}
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
	return s, server.URL
}

func (s *viewServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/views/"+testKey {
		http.Error(w, "no", http.StatusUnauthorized)
		return
	}
	c, err := s.engine.Upgrade(w, r, &socket.Endpoint{MaxMessage: 1 << 16, MaxQueueFrames: 100})
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.query = append(s.query, r.URL.RawQuery)
	step := s.steps[min(s.n, len(s.steps)-1)]
	s.n++
	c.Start(viewStep{step})
}

type viewStep struct {
	step func(*socket.Conn, string)
}

func (s viewStep) Message(c *socket.Conn, _ socket.Opcode, payload []byte) {
	if strings.Contains(string(payload), "subscribe") {
		s.step(c, string(payload))
	}
}
func (viewStep) Timeout(*socket.Conn)                    {}
func (viewStep) Drained(*socket.Conn)                    {}
func (viewStep) Closed(*socket.Conn, socket.CloseReason) {}

// frames sends binary messages, compressed where they begin with z, and closes.
func frames(texts ...string) func(*socket.Conn, string) {
	return func(c *socket.Conn, _ string) {
		for _, text := range texts {
			if plain, ok := strings.CutPrefix(text, "z"); ok {
				var b bytes.Buffer
				w := gzip.NewWriter(&b)
				_, _ = w.Write([]byte(plain))
				_ = w.Close()
				text = b.String()
			}
			c.SendBinary([]byte(text))
		}
		c.Close(socket.Disconnect{Code: 1001, Reason: "going-away: restart"})
	}
}

func say(text string, code int) func(*socket.Conn, string) {
	return func(c *socket.Conn, _ string) {
		c.Send([]byte(text))
		if code > 0 {
			c.Close(socket.Disconnect{Code: code})
		}
	}
}

const (
	revoked = `{"type":"error","error":"token-expired","message":"revoked","code":"token-expired","retryable":true,"fatal":true}`
	unknown = `{"type":"error","error":"unknown-view","message":"no such view","code":"internal-error","retryable":true,"fatal":false}`
)

func TestWatchMakesRowsOfFrames(t *testing.T) {
	t.Parallel()
	s, url := startViewServer(
		t,
		frames(
			`{"op":"subscribed","view":"Auction/list","mode":"list"}`,
			`z{"op":"snapshot","mode":"list","entity":"Auction/list","data":[{"key":"a","data":{"n":9007199254740993,"l":[1],"_seq":"7:1"}}],"complete":false}`,
			`{"op":"snapshot","data":[{"key":"b","data":{"n":1}},{"key":"c","data":{}}],"complete":true}`,
			`{"op":"patch","key":"a","data":{"l":[2],"s":{"x":null},"_seq":"7:2"},"append":["l"],"seq":"7:2"}`,
			`{"op":"patch","key":"new","data":{"n":"<"}}`,
			`{"op":"delete","key":"b","data":null,"seq":"7:3"}`,
			`{"op":"delete","key":"nobody","data":null}`,
			`{"op":"unheard","key":"a","data":5}`,
		),
		frames(`{"op":"snapshot","data":[{"key":"a","data":{"l":[1,2],"n":9007199254740993,"s":{"x":null},"_seq":"7:2"}},{"key":"c","data":{"n":2}}],"complete":true}`),
		say(revoked, 1008),
	)
	c, waits := newClient(t, url)
	take := 5
	var got []Change
	err := c.Watch(t.Context(), "Auction/list", WatchOptions{ViewOptions{Take: &take}, "a.b+c"}, func(c Change) { got = append(got, c) })
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "token-expired: revoked") {
		t.Errorf("got %v", err)
	}
	raw := func(text string) json.RawMessage { return json.RawMessage(text) }
	want := []Change{
		{Op: "snapshot", Key: "a", Data: raw(`{"_seq":"7:1","l":[1],"n":9007199254740993}`), Seq: "7:1"},
		{Op: "snapshot", Key: "b", Data: raw(`{"n":1}`)},
		{Op: "snapshot", Key: "c", Data: raw(`{}`)},
		{
			Op: "patch", Key: "a", Data: raw(`{"_seq":"7:2","l":[1,2],"n":9007199254740993,"s":{"x":null}}`),
			Patch: raw(`{"l":[2],"s":{"x":null},"_seq":"7:2"}`), Seq: "7:2",
		},
		{Op: "patch", Key: "new", Data: raw(`{"n":"<"}`), Patch: raw(`{"n":"<"}`)},
		{Op: "delete", Key: "b", Seq: "7:3"},
		{Op: "upsert", Key: "c", Data: raw(`{"n":2}`)}, // what the second connection found changed
		{Op: "delete", Key: "new"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(*waits) != 2 {
		t.Errorf("waited %v, want twice", *waits)
	}
	if s.query[0] != "hs_token=a.b%2Bc" {
		t.Errorf("query %q", s.query[0])
	}
}

func TestWatchResumes(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var asked []string
	note := func(step func(*socket.Conn, string)) func(*socket.Conn, string) {
		return func(c *socket.Conn, subscribe string) {
			mu.Lock()
			asked = append(asked, subscribe)
			mu.Unlock()
			step(c, subscribe)
		}
	}
	_, url := startViewServer(
		t,
		note(frames(
			`{"op":"snapshot","data":[{"key":"a","data":{"_seq":"9:000000000002"}}],"complete":true}`,
			`{"op":"delete","key":"x","data":null,"seq":"10:000000000001"}`,
		)),
		note(frames(`{"op":"snapshot","data":[],"complete":true}`)),
		note(say(unknown, 0)),
	)
	c, _ := newClient(t, url)
	after, key := "9:1", "k"
	var got []string
	err := c.Watch(t.Context(), "V", WatchOptions{ViewOptions: ViewOptions{After: &after, Key: &key}}, func(c Change) { got = append(got, c.Op+" "+c.Key) })
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "no such view") {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff([]string{"snapshot a", "delete x"}, got); diff != "" {
		t.Error(diff)
	}
	want := []string{
		`{"type":"subscribe","view":"V","key":"k","after":"9:1"}`,
		`{"type":"subscribe","view":"V","key":"k","after":"10:000000000001="}`,
		`{"type":"subscribe","view":"V","key":"k","after":"10:000000000001="}`,
	}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Error(diff)
	}
}

// A snapshot that says that it is whole replaces everything, whatever was asked for, and so
// do its positions, which may be of another server.
func TestWatchTakesAWholeViewForOne(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var asked []string
	note := func(step func(*socket.Conn, string)) func(*socket.Conn, string) {
		return func(c *socket.Conn, subscribe string) {
			mu.Lock()
			asked = append(asked, subscribe)
			mu.Unlock()
			step(c, subscribe)
		}
	}
	_, url := startViewServer(
		t,
		note(frames(
			`{"op":"snapshot","whole":false,"data":[{"key":"a","data":{"_seq":"9:000007000002"}},{"key":"b","data":{"_seq":"9:000007000003"}}],"deleted":["x"],"complete":true}`,
			`{"op":"delete","key":"x","data":null,"seq":"9:000007000002"}`,
		)),
		note(frames(
			`{"op":"snapshot","whole":true,"data":[{"key":"c","data":{"_seq":"8:000003000009"}}],"complete":false}`,
		)),
		note(frames(
			`{"op":"snapshot","whole":true,"data":[{"key":"c","data":{"_seq":"8:000003000009"}}],"complete":false}`,
			`{"op":"snapshot","data":[{"key":"b","data":{"_seq":"8:000003000001"}}],"complete":true}`,
		)),
		note(say(unknown, 0)),
	)
	c, _ := newClient(t, url)
	after := "9:000007000001"
	var got []string
	err := c.Watch(t.Context(), "V", WatchOptions{ViewOptions: ViewOptions{After: &after}}, func(c Change) { got = append(got, c.Op+" "+c.Key) })
	if !errors.Is(err, ErrRefused) {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff([]string{"snapshot a", "snapshot b", "delete x", "upsert c", "upsert b", "delete a"}, got); diff != "" {
		t.Error(diff)
	}
	want := []string{
		`{"type":"subscribe","view":"V","after":"9:000007000001"}`,
		`{"type":"subscribe","view":"V","after":"9:000007000003="}`,
		`{"type":"subscribe","view":"V"}`,
		`{"type":"subscribe","view":"V","after":"8:000003000009="}`,
	}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Error(diff)
	}
}

func TestWatchGivesUp(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, key, want string
		step            func(*socket.Conn, string)
	}{
		{"on a handshake that is refused", "nobody", "401 Unauthorized: the app wants a token", nil},
		{"on a frame that is no JSON", testKey, "cannot be read", frames(`{"op":`)},
		{"on a row that is no list", testKey, "cannot be read", frames(`{"op":"snapshot","data":5}`)},
		{"on a frame whose compression is broken", testKey, "cannot be read", frames("\x1f\x8bnonsense")},
		{"on an error that stays", testKey, "gone for good", say(`{"type":"error","code":"origin-mismatch","message":"gone for good","retryable":false,"fatal":true}`, 1008)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, url := startViewServer(t, tt.step)
			c, waits := newClient(t, url)
			c.o.Key = tt.key
			err := c.Watch(t.Context(), "V", WatchOptions{}, func(Change) {})
			if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), tt.want) || len(*waits) > 0 {
				t.Errorf("got %v after %v", err, *waits)
			}
		})
	}
}

// The table of views 5.6, without what the server cuts off.
func TestMerge(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, stored, patch, paths, want string }{
		{"M01 objects merge", `{"x":{"p":1}}`, `{"x":{"q":2}}`, ``, `{"x":{"p":1,"q":2}}`},
		{"M02 an array is replaced", `{"l":[1,2]}`, `{"l":[3]}`, ``, `{"l":[3]}`},
		{"M03 an array is appended to", `{"l":[1,2]}`, `{"l":[3]}`, `l`, `{"l":[1,2,3]}`},
		{"M04 an inner array is appended to", `{"s":{"l":[1]}}`, `{"s":{"l":[2]}}`, `s.l`, `{"s":{"l":[1,2]}}`},
		{"M05 a path begins at the root", `{"s":{"l":[1]}}`, `{"s":{"l":[2]}}`, `l`, `{"s":{"l":[2]}}`},
		{"M06 null is a value", `{"x":1}`, `{"x":null}`, ``, `{"x":null}`},
		{"M07 a scalar replaces", `{"x":{"p":1}}`, `{"x":5}`, ``, `{"x":5}`},
		{"M08 null is not appended to", `{"l":null}`, `{"l":[1]}`, `l`, `{"l":[1]}`},
	}
	for _, tt := range tests {
		stored, _ := decode(json.RawMessage(tt.stored))
		patch, _ := decode(json.RawMessage(tt.patch))
		got := encode(merge(stored, patch, []string{tt.paths}, ""))
		if string(got) != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
		if string(encode(stored)) != tt.stored {
			t.Errorf("%s: what was stored has changed: %s", tt.name, encode(stored))
		}
	}
}
