package httpapi_test

import (
	"context"
	"encoding/binary"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/auth"
	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/bus/bustest"
	"github.com/millrace/millrace/internal/bus/local"
	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/httpapi"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/protocol/pusher"
	"github.com/millrace/millrace/internal/token"
	"github.com/millrace/millrace/internal/view"
	"github.com/millrace/millrace/internal/webhook/outbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is the API on a real engine, hub and bus, without sockets.
type node struct {
	t      testing.TB
	app    *app.App
	hub    *hub.Hub
	engine *channel.Engine
	bus    *local.Bus
	api    http.Handler

	entities *entity.Engine
	views    *view.Engine
	sessions *token.Revocations
	webhooks *outbox.Engine
	open     *connections
}

func testApp() *app.App {
	return &app.App{ID: "77", Key: "mill-key", Secret: "mill-secret", Enabled: true, Limits: app.DefaultLimits()}
}

// inNode runs test within a synctest bubble, on a node whose app and options change has
// changed.
func inNode(t *testing.T, change func(a *app.App, o *httpapi.Options), test func(n *node)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(newNode(t, change)) })
}

func newNode(t testing.TB, change func(a *app.App, o *httpapi.Options)) *node {
	t.Helper()
	n := &node{t: t, app: testApp()}
	n.hub = hub.New(hub.Options{Codecs: [protocol.NumVariants]protocol.Codec{protocol.VariantPusher: pusher.Codec{}}})
	n.bus = local.New(n.hub, nil)
	n.engine = channel.New(n.hub, bustest.Wrap(t, n.bus), channel.Options{})
	n.entities = entity.New(entity.Options{})
	n.views = view.New(n.entities, n.hub, local.NewOrder(n.hub), view.Options{})
	n.sessions = token.NewRevocations(token.RevocationOptions{})
	other := testApp()
	other.ID, other.Key = "78", "other-key"
	off := testApp()
	off.ID, off.Key, off.Enabled = "79", "off-key", false
	n.webhooks, n.open = outbox.New(outbox.Options{Apps: theApp{n.app}, Transport: teapot{}}), &connections{}
	o := httpapi.Options{
		Channels: n.engine, Entities: n.entities, Views: n.views, Revocations: n.sessions,
		Webhooks: n.webhooks, Connections: n.open, Admin: app.Credential{Key: "admin-key", Secret: "admin-secret"},
	}
	if change != nil {
		change(n.app, &o)
	}
	apps, err := app.NewStatic([]*app.App{n.app, other, off})
	if err != nil {
		t.Fatal(err)
	}
	if o.Apps == nil {
		o.Apps = apps
	}
	n.api = httpapi.New(o)

	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = n.hub.Run(ctx) })
	wg.Go(func() { _ = n.entities.Run(ctx, n.views) })
	wg.Go(func() { _ = n.webhooks.Run(ctx) })
	t.Cleanup(func() {
		if err := n.bus.Shutdown(context.Background()); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		cancel()
		wg.Wait()
	})
	return n
}

// signedTarget is target with authentication parameters. target is a path and query.
func signedTarget(method, target, body, key string, now time.Time) string {
	return signedWith("mill-secret", method, target, body, key, now)
}

func signedWith(secret, method, target, body, key string, now time.Time) string {
	path, rawQuery, _ := strings.Cut(target, "?")
	values, err := url.ParseQuery(rawQuery)
	if err != nil {
		panic(err)
	}
	r := auth.Request{Method: method, Path: path, Body: []byte(body)}
	return path + "?" + auth.SignRequest(r, values, key, secret, now).Encode()
}

// do sends a signed request.
func (n *node) do(method, target, body string) *httptest.ResponseRecorder {
	return n.raw(method, signedTarget(method, target, body, "mill-key", time.Now()), body)
}

// raw sends a request as it is.
func (n *node) raw(method, target, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	n.api.ServeHTTP(w, httptest.NewRequest(method, target, strings.NewReader(body)))
	return w
}

func (n *node) publish(body string) *httptest.ResponseRecorder {
	return n.do("POST", "/apps/77/events", body)
}

func (n *node) batch(body string) *httptest.ResponseRecorder {
	return n.do("POST", "/apps/77/batch_events", body)
}

// expect compares status and body. A want that begins with a space is the code of an error.
func (n *node) expect(w *httptest.ResponseRecorder, status int, want string) {
	n.t.Helper()
	body := w.Body.String()
	if code, ok := strings.CutPrefix(want, " "); ok {
		if w.Code != status || !strings.Contains(body, `,"code":"`+code+`","status":`) {
			n.t.Errorf("got %d %s, want %d with code %s", w.Code, body, status, code)
		}
		return
	}
	if w.Code != status || body != want {
		n.t.Errorf("got %d %s, want %d %s", w.Code, body, status, want)
	}
}

// conn is a connection that records the payloads of the frames it is sent.
type conn struct {
	channel.Connection
	n *node

	terminated atomic.Bool

	mu     sync.Mutex
	frames []string
}

func (n *node) connect(channels ...string) *conn {
	n.t.Helper()
	c := &conn{n: n}
	if !n.hub.Attach(&c.Subscriber, c, protocol.NewSocketID(), protocol.VariantPusher) {
		n.t.Fatal("socket id in use")
	}
	c.Init(n.app, c)
	for _, name := range channels {
		c.join(name, "")
	}
	c.take()
	return c
}

func (c *conn) join(name, userID string) {
	c.n.t.Helper()
	m := protocol.Member{UserID: userID, Info: []byte(`{}`)}
	if err := c.n.engine.Subscribe(context.Background(), &c.Connection, name, m, nil); err != nil {
		c.n.t.Fatalf("join %s: %v", name, err)
	}
}

func (c *conn) Reply(m *protocol.Message) { c.record(pusher.Codec{}.AppendMessage(nil, m)) }

func (c *conn) ReplyPublication(p *protocol.Publication) {
	c.record(pusher.Codec{}.AppendPublication(nil, p))
}

func (c *conn) Terminate() { c.terminated.Store(true) }

// WriteSegments reads unmasked, unfragmented frames.
func (c *conn) WriteSegments(segs []bufpool.Segment) {
	for _, s := range segs {
		for b := s.Bytes(); len(b) > 0; {
			size, head := int(b[1]), 2
			switch size {
			case 126:
				size, head = int(binary.BigEndian.Uint16(b[2:])), 4
			case 127:
				size, head = int(binary.BigEndian.Uint64(b[2:])), 10
			}
			c.record(b[head : head+size])
			b = b[head+size:]
		}
	}
}
func (*conn) IsCongested(int) bool { return false }

func (c *conn) record(payload []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frames = append(c.frames, string(payload))
}

// take waits for fan-out and returns what came since the last call.
func (c *conn) take() []string {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	frames := slices.Clone(c.frames)
	c.frames = nil
	return frames
}

// expect compares what came with want, channel by channel: order is a promise within a
// channel only.
func (c *conn) expect(want ...string) {
	c.n.t.Helper()
	got := c.take()
	slices.SortStableFunc(got, byChannel)
	slices.SortStableFunc(want, byChannel)
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		c.n.t.Errorf("frames (-want +got):\n%s", diff)
	}
}

func byChannel(a, b string) int {
	_, a, _ = strings.Cut(a, `"channel":`)
	_, b, _ = strings.Cut(b, `"channel":`)
	a, _, _ = strings.Cut(a, `,`)
	b, _, _ = strings.Cut(b, `,`)
	return strings.Compare(a, b)
}
