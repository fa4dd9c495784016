package cli_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/bus/local"
	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/httpapi"
	"github.com/millrace/millrace/internal/httpapi/channels"
	"github.com/millrace/millrace/internal/httpapi/operators"
	"github.com/millrace/millrace/internal/hub"
	embeddedlog "github.com/millrace/millrace/internal/log/embedded"
	"github.com/millrace/millrace/internal/room"
	"github.com/millrace/millrace/internal/sqlite"
	"github.com/millrace/millrace/internal/webhook"
	"github.com/millrace/millrace/internal/webhook/outbox"
)

// TestOperatorScripts runs the commands of operators against the HTTP API on an outbox
// whose endpoints fail, and on connections that are what the scripts say.
func TestOperatorScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/operator",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"millrace": millrace, "code": code, "api": api,
		},
	})
}

// api starts the HTTP API of the development app. Three requests to its webhook "hook" are
// dead, one waits for "later", and u-1 and "u\n2" are online. Three events of the channel "orders" are kept.
func api(ts *testscript.TestScript, _ bool, _ []string) {
	a := &app.App{
		ID: "app-id", Key: "app-key", Secret: "app-secret", Enabled: true, Limits: app.DefaultLimits(),
		Credentials: []app.Credential{{Key: "read-key", Secret: "read-secret", Rights: app.RightsRead}},
		Features:    app.Features{History: true},
	}
	apps, err := app.NewStatic([]*app.App{a})
	ts.Check(err)
	hooks := outbox.New(outbox.Options{Apps: apps, Transport: status(http.StatusTeapot)})
	h := hub.New(hub.Options{})
	rooms := keeping(ts, h)
	engine := channel.New(h, rooms, channel.Options{})
	server := httptest.NewServer(httpapi.New(httpapi.Options{
		Apps: apps, Admin: app.Credential{Key: "admin-key", Secret: "admin-secret"},
		Routes: slices.Concat(
			channels.Routes(channels.Options{Publisher: engine, Reader: engine, History: rooms}),
			operators.Routes(operators.Options{Webhooks: hooks, Connections: newListed()}),
		),
	}))
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = hooks.Run(ctx) })
	wg.Go(func() { _ = rooms.Run(ctx) })
	ts.Defer(func() {
		server.Close()
		cancel()
		wg.Wait()
	})
	ts.Setenv("URL", server.URL)
	for i, data := range []string{`"one"`, `"two"`, `"{\"n\":3}"`} {
		ts.Check(engine.Publish(ctx, a, []channel.Event{{Channel: "orders", Name: "event-" + strconv.Itoa(i+1), Data: []byte(data)}}))
	}
	ts.Check(hooks.SetEndpoints(a.ID, []webhook.Endpoint{
		{ID: "hook", URL: "http://hook/", EventTypes: []string{"cache_miss"}, Retry: app.WebhookRetry{Enabled: app.SwitchOff}},
		{ID: "later", URL: "http://later/", EventTypes: []string{"channel_occupied", "user_online"}},
	}))
	for i := range 3 {
		hooks.Tell(&room.Event{Kind: room.CacheMiss, App: a.ID, Channel: "cache-" + strconv.Itoa(i)})
		wait(ts, func() bool {
			letters, err := hooks.Dead(ctx, a.ID, 0, 10)
			ts.Check(err)
			return len(letters) == i+1
		})
	}
	letters, err := hooks.Dead(ctx, a.ID, 0, 10)
	ts.Check(err)
	for i, l := range letters {
		ts.Setenv("LETTER"+strconv.Itoa(i+1), strconv.FormatUint(l.Number, 10))
	}
	hooks.Tell(&room.Event{Kind: room.ChannelOccupied, App: a.ID, Channel: "x"})
	hooks.Tell(&room.Event{Kind: room.UserOnline, App: a.ID, User: "u-1"})
	hooks.Tell(&room.Event{Kind: room.UserOnline, App: a.ID, User: "u\n2"})
	wait(ts, func() bool {
		users, _ := hooks.Online(a.ID)
		return len(users) == 2 && hooks.Status(a.ID)[1].Failures > 0
	})
}

// keeping is a bus that keeps the channels of the development app.
func keeping(ts *testscript.TestScript, h *hub.Hub) *local.Bus {
	ctx := context.Background()
	db, err := sqlite.Open(ctx, sqlite.Options{Path: ts.MkAbs("store")})
	ts.Check(err)
	ts.Defer(func() { _ = db.Close(ctx) })
	l, err := embeddedlog.Open(ctx, db, embeddedlog.Options{Node: "node"})
	ts.Check(err)
	ts.Defer(func() { _ = l.Close() })
	b := local.New(h, local.Options{Log: l})
	ts.Check(b.Load(ctx, []string{"app-id"}))
	return b
}

// wait waits for what other goroutines do.
func wait(ts *testscript.TestScript, isDone func() bool) {
	deadline, tick := time.After(waitLimit), time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !isDone() {
		select {
		case <-deadline:
			ts.Fatalf("it does not happen")
		case <-tick.C:
		}
	}
}

// status answers every request.
type status int

func (s status) RoundTrip(*http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	w.WriteHeader(int(s))
	return w.Result(), nil
}

// listed are connections of which only the list is real.
type listed struct {
	mu   sync.Mutex
	list []operators.Connection // by socket id; guarded by mu
}

func newListed() *listed {
	since := time.UnixMilli(1700000000123)
	return &listed{list: []operators.Connection{
		{SocketID: "1.1", Protocol: "channels", IP: "192.0.2.1", UserID: "u-1", Key: "app-key", Since: since, Channels: []string{"a", "private-b"}, Total: 3, Waiting: 12},
		{SocketID: "1.2", Protocol: "views", IP: "2001:db8::1", UserID: "\x1b[2J", Since: since, IsTraced: true},
	}}
}

func (l *listed) List(_ context.Context, _ string, q operators.ConnectionQuery) (found []operators.Connection, _ error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.list {
		if c.SocketID > q.After && (q.Protocol == "" || q.Protocol == c.Protocol) && (q.IP == "" || q.IP == c.IP) &&
			(q.UserID == "" || q.UserID == c.UserID) && (q.Channel == "" || slices.Contains(c.Channels, q.Channel)) && len(found) < q.Limit {
			found = append(found, c)
		}
	}
	return found, nil
}

func (l *listed) Find(_ context.Context, _, socketID string) (operators.Connection, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := l.findLocked(socketID)
	if i < 0 {
		return operators.Connection{}, operators.ErrNoConnection
	}
	return l.list[i], nil
}

func (l *listed) findLocked(socketID string) int {
	return slices.IndexFunc(l.list, func(c operators.Connection) bool { return c.SocketID == socketID })
}

func (l *listed) Close(_ context.Context, _, socketID string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := l.findLocked(socketID)
	if i < 0 {
		return operators.ErrNoConnection
	}
	l.list = slices.Delete(l.list, i, i+1)
	return nil
}

func (l *listed) Trace(_ context.Context, _, socketID string, d time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := l.findLocked(socketID)
	if i < 0 {
		return operators.ErrNoConnection
	}
	l.list[i].IsTraced = d > 0
	return nil
}
