package pusher_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/bus/bustest"
	"github.com/millrace/millrace/internal/bus/local"
	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/entity/owner"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/protocol/pusher"
	"github.com/millrace/millrace/internal/session"
	pushersession "github.com/millrace/millrace/internal/session/pusher"
	"github.com/millrace/millrace/internal/socket"
	"github.com/millrace/millrace/internal/testkit"
	"github.com/millrace/millrace/internal/view"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const waitLimit = testkit.WaitLimit

// errStillThere is why a test waits.
var errStillThere = errors.New("what should have ended is still there")

// errDown is what broken parts answer.
var errDown = errors.New("backend is down")

// forgetfulBus cannot read what it has retained.
type forgetfulBus struct{ bus.Bus }

func (b forgetfulBus) Join(ctx context.Context, j bus.Join) (bus.State, error) {
	st, err := b.Bus.Join(ctx, j)
	st.Retained, st.RetainedErr = nil, errDown
	return st, err
}

// brokenRegistry cannot be asked.
type brokenRegistry struct{}

func (brokenRegistry) ByKey(context.Context, string) (*app.App, error) { return nil, errDown }
func (brokenRegistry) ByID(context.Context, string) (*app.App, error)  { return nil, errDown }

// panickyCodec panics on one word.
type panickyCodec struct{ pusher.Codec }

func (c panickyCodec) Decode(payload []byte) (protocol.Command, *protocol.Error) {
	if bytes.Contains(payload, []byte("dynamite")) {
		panic("boom")
	}
	return c.Codec.Decode(payload)
}

// stack is everything that sessions need, with parts that a test may break.
type stack struct {
	addr     string
	sessions *session.Table
	entities *entity.State
	owner    *owner.Owner
	views    *view.Engine
	app      *app.App // a test may change it before anybody connects
	draining atomic.Bool
	log      *bytes.Buffer // read after stop
	stop     func()
}

// newStack makes a stack. wrap may put something before the bus.
func newStack(t *testing.T, change func(*pushersession.Options), wrap func(bus.Bus) bus.Bus) *stack {
	t.Helper()
	return newStackTelling(t, nil, change, wrap)
}

// newStackTelling makes a stack whose rooms tell l.
func newStackTelling(t *testing.T, l local.Listener, change func(*pushersession.Options), wrap func(bus.Bus) bus.Bus) *stack {
	t.Helper()
	s := &stack{log: &bytes.Buffer{}, app: &app.App{
		ID: testkit.AppID, Key: testkit.Key, Secret: testkit.Secret, Enabled: true, Limits: app.DefaultLimits(),
	}}
	registry, err := app.NewStatic([]*app.App{s.app})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(s.log, nil))
	codec := pusher.Codec{}
	h := hub.New(hub.Options{Codecs: [protocol.NumVariants]protocol.Codec{protocol.VariantPusher: codec}})
	rooms := local.New(h, local.Options{Listener: l})
	b := bustest.Wrap(t, rooms)
	if wrap != nil {
		b = wrap(b)
	}
	engine := channel.New(h, b, channel.Options{Log: log})
	s.entities = entity.NewState(nil)
	s.owner = owner.New(s.entities, owner.Options{Log: log})
	s.views = view.New(s.entities, h, local.NewOrder(h), view.Options{})
	s.views.Open(testkit.AppID)
	sockets, err := socket.New(socket.Options{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	s.sessions = session.New(session.Options{Log: log})
	o := pushersession.Options{
		Table: s.sessions,
		Apps:  registry, Channels: engine, Views: s.views, Hub: h, Sockets: sockets, Codec: codec,
		Endpoint:        socket.Endpoint{MaxMessage: 64 << 10, MaxQueueFrames: 1000},
		ActivityTimeout: 120 * time.Second, PongTimeout: 30 * time.Second,
		StrictProtocol: true, Draining: s.draining.Load, Log: log,
	}
	if change != nil {
		change(&o)
	}
	s.sessions = o.Table
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = h.Run(ctx) })
	running.Go(func() { _ = sockets.Run(ctx) })
	running.Go(func() { _ = s.sessions.Run(ctx) })
	running.Go(func() { _ = s.owner.Run(ctx, s.views) })
	server := httptest.NewServer(pushersession.New(o))
	s.addr = server.Listener.Addr().String()
	s.stop = sync.OnceFunc(func() {
		server.Close()
		_ = rooms.Shutdown(context.Background())
		cancel()
		running.Wait()
	})
	t.Cleanup(s.stop)
	return s
}

func (s *stack) dial(t *testing.T) *testkit.Peer {
	t.Helper()
	p, err := testkit.DialPeer(s.addr, "/app/"+testkit.Key+"?protocol=7", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Cut)
	return p
}

func (s *stack) connect(t *testing.T) *testkit.Peer {
	t.Helper()
	p := s.dial(t)
	if _, err := p.Established(waitLimit); err != nil {
		t.Fatal(err)
	}
	return p
}

// Operators are told once how to admit clients that name no protocol version, and not of others.
func TestHintForClientsWithoutAVersion(t *testing.T) {
	t.Parallel()
	s := newStack(t, nil, nil)
	for _, query := range []string{"?protocol=99", "", "?client=x", ""} {
		p, err := testkit.DialPeer(s.addr, "/app/"+testkit.Key+query, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Next(waitLimit); err != nil {
			t.Fatal(err)
		}
		p.Cut()
	}
	s.stop()
	if got := strings.Count(s.log.String(), "handshake.strict_protocol = false"); got != 1 {
		t.Errorf("%d hints, want one:\n%s", got, s.log)
	}
}

func wantText(t *testing.T, p *testkit.Peer, want string) {
	t.Helper()
	f, err := p.Next(waitLimit)
	if err != nil || string(f.Payload) != want {
		t.Fatalf("got %q, %v; want %q", f.Payload, err, want)
	}
}

func wantClose(t *testing.T, p *testkit.Peer, code int) {
	t.Helper()
	f, err := p.Next(waitLimit)
	if err != nil || f.Opcode != testkit.Close || f.CloseCode() != code {
		t.Fatalf("got opcode %d, code %d, %v; want close %d", f.Opcode, f.CloseCode(), err, code)
	}
}

func TestK11ACacheThatCannotBeReadIsAMissAndTheSubscriptionStays(t *testing.T) {
	t.Parallel()
	s := newStack(t, nil, func(b bus.Bus) bus.Bus { return forgetfulBus{b} })
	p := s.connect(t)
	p.Subscribe(t, "cache-fx")
	wantText(t, p, `{"event":"pusher:cache_miss","channel":"cache-fx"}`)
	p.Subscribe(t, "cache-fx") // still there: answered again
	wantText(t, p, `{"event":"pusher:cache_miss","channel":"cache-fx"}`)
	s.stop()
	if !strings.Contains(s.log.String(), errDown.Error()) {
		t.Errorf("the log does not tell why:\n%s", s.log)
	}
}

func TestARegistryThatCannotBeAskedIs4100(t *testing.T) {
	t.Parallel()
	s := newStack(t, func(o *pushersession.Options) { o.Apps = brokenRegistry{} }, nil)
	p := s.dial(t)
	wantText(t, p, `{"event":"pusher:error","data":{"code":4100,"message":"The server cannot look up the app right now; try again later"}}`)
	wantClose(t, p, 4100)
}

func TestAPanicCostsItsConnectionAndNoOther(t *testing.T) {
	t.Parallel()
	s := newStack(t, func(o *pushersession.Options) { o.Codec = panickyCodec{} }, nil)
	bystander, victim := s.connect(t), s.connect(t)
	if err := victim.SendText("dynamite"); err != nil {
		t.Fatal(err)
	}
	wantClose(t, victim, 1011)
	bystander.Subscribe(t, "prices")
	if err := testkit.Eventually(t.Context(), func() error {
		if n := s.sessions.Len(); n != 1 {
			return errors.New("the connection of the panic is still there")
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	s.stop()
	for _, want := range []string{"panic on a connection", "boom", "Decode"} {
		if !strings.Contains(s.log.String(), want) {
			t.Errorf("the log does not hold %q:\n%s", want, s.log)
		}
	}
}

func TestTheLimitOfSubscriptionsIsToldWithTheChannelAndLoggedWithItsSetting(t *testing.T) {
	t.Parallel()
	now := time.Now() // it stands still: one line a second is logged
	s := newStack(t, func(o *pushersession.Options) {
		o.Table = session.New(session.Options{Log: o.Log, Now: func() time.Time { return now }})
	}, nil)
	s.app.Limits.MaxSubscriptionsPerConnection = 1
	p := s.connect(t)
	for _, name := range []string{"one", "two", "three"} {
		if err := p.SendText(`{"event":"pusher:subscribe","data":{"channel":"` + name + `"}}`); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{
		`"channel":"one","data":"{}"`, `two is refused: the connection has 1 subscriptions, which is the limit`, `three is refused`,
	} {
		if f, err := p.Next(waitLimit); err != nil || !strings.Contains(string(f.Payload), want) {
			t.Fatalf("got %q, %v; want %q in it", f.Payload, err, want)
		}
	}
	s.stop()
	if log := s.log.String(); strings.Count(log, "setting=max_subscriptions_per_connection limit=1") != 1 {
		t.Errorf("the log has not one line that names the setting:\n%s", log)
	}
}

func TestWhileDrainingNobodyIsAdmitted(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		handsOver bool
		message   string
		code      int
	}{
		"the port closes":             {false, "The server is shutting down; try again in a moment", 4100},
		"the port is the next server": {true, "The server is shutting down; reconnect", 4200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, func(o *pushersession.Options) { o.HandsOver = func() bool { return tt.handsOver } }, nil)
			s.draining.Store(true)
			p, err := testkit.DialPeer(s.addr, "/app/nobody", nil, nil) // before every check of the app
			if err != nil {
				t.Fatalf("no upgrade, after which pusher-js waits 15 s: %v", err)
			}
			wantText(t, p, fmt.Sprintf(`{"event":"pusher:error","data":{"code":%d,"message":%q}}`, tt.code, tt.message))
			wantClose(t, p, tt.code)
			if n := s.sessions.Len(); n != 0 {
				t.Errorf("%d sessions", n)
			}
		})
	}
}

func TestDrainClosesEverybodyWhateverTheSpread(t *testing.T) {
	t.Parallel()
	for name, spread := range map[string]time.Duration{"at once": 0, "spread": 100 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, nil, nil)
			peers := make([]*testkit.Peer, 30)
			for i := range peers {
				peers[i] = s.connect(t)
			}
			s.draining.Store(true)
			s.sessions.Drain(t.Context(), spread)
			if n := s.sessions.Len(); n != 0 {
				t.Errorf("%d are left", n)
			}
			for _, p := range peers {
				wantText(t, p, `{"event":"pusher:error","data":{"code":4100,"message":"The server is shutting down; try again in a moment"}}`)
				wantClose(t, p, 4100)
			}
		})
	}
}

func TestWhereAnotherProcessTakesOverThePortClientsComeBackAtOnce(t *testing.T) {
	t.Parallel()
	s := newStack(t, func(o *pushersession.Options) { o.HandsOver = func() bool { return true } }, nil)
	p := s.connect(t)
	s.draining.Store(true)
	s.sessions.Drain(t.Context(), 0)
	wantText(t, p, `{"event":"pusher:error","data":{"code":4200,"message":"The server is shutting down; reconnect"}}`)
	wantClose(t, p, 4200)
}

func TestRequestsThatAreNoUpgrade(t *testing.T) {
	t.Parallel()
	s := newStack(t, nil, nil)
	tests := []struct {
		name, method, path string
		header             http.Header
		status             int
		want               string
	}{
		{"a plain GET is told to upgrade", "GET", "/app/mill-key?protocol=7", nil, 426, "proxy"},
		{"an old WebSocket version", "GET", "/app/mill-key?protocol=7", http.Header{
			"Connection": {"keep-alive, Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"8"},
			"Sec-Websocket-Key": {"bWlsbHJhY2UtdGVzdGtpdA=="},
		}, 426, "13"},
		{"a key that is none", "GET", "/app/mill-key?protocol=7", http.Header{
			"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"short"},
		}, 400, "Sec-WebSocket-Key"},
		{"an impossible path", "GET", "/app", nil, 404, "404 NOT FOUND"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r, err := http.NewRequestWithContext(t.Context(), tt.method, "http://"+s.addr+tt.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Close = true
			maps.Copy(r.Header, tt.header)
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			body, err := io.ReadAll(answer.Body)
			if err != nil {
				t.Fatal(err)
			}
			if answer.StatusCode != tt.status || !strings.Contains(string(body), tt.want) {
				t.Errorf("got %d %q, want %d with %q", answer.StatusCode, body, tt.status, tt.want)
			}
		})
	}
}
