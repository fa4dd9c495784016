package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/room"
	"github.com/millrace/millrace/internal/webhook"
	"github.com/millrace/millrace/internal/webhook/delivery"
	"github.com/millrace/millrace/internal/webhook/outbox"
)

// network is an endpoint over a real network that is tried again soon.
func network(id, url string) webhook.Endpoint {
	p := webhook.Endpoint{ID: id, URL: url, EventTypes: all()}
	p.Retry.InitialBackoff, p.Retry.MaxBackoff = 10*time.Millisecond, 50*time.Millisecond
	p.Batching.Duration = time.Millisecond
	return p
}

func TestReceiverOfAllSorts(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(request, int) int{
		"answers":                 nil,
		"fails every second time": func(_ request, n int) int { return []int{200, 500}[n%2] },
		"hangs every third time":  func(_ request, n int) int { return []int{0, 200, 202}[n%3] },
		"redirects at first": func(_ request, n int) int {
			if n < 3 {
				return http.StatusTemporaryRedirect
			}
			return 200
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReceiver(t)
			r.answers(answer)
			server := httptest.NewServer(r)
			defer server.Close()
			defer close(r.release)
			p := network("hook", server.URL)
			p.Batching.Size, p.RequestTimeout = 10, 500*time.Millisecond
			n := start(t, outbox.Options{}, p)
			for i := range 200 {
				n.CacheMiss("app", fmt.Sprintf("cache-%d", i))
			}
			waitFor(t, "all is delivered", func() bool { s := n.Status("app")[0]; return s.Events == 0 && r.count() >= 20 })
			expectInOrder(t, r, 200)
		})
	}
}

// expectInOrder wants cache-0 to cache-n-1, in order, each delivery counted once: the last of
// its attempts, which are all the same.
func expectInOrder(t *testing.T, r *receiver, n int) {
	t.Helper()
	seen, next := map[string]bool{}, 0
	for _, req := range r.take() {
		if req.Path == "/elsewhere" {
			t.Error("a redirect was followed")
		}
		if id := req.Header.Get("X-Millrace-Delivery"); seen[id] {
			continue
		} else {
			seen[id] = true
		}
		for _, e := range req.events(t) {
			if want := fmt.Sprintf("cache_miss cache-%d", next); e != want {
				t.Fatalf("got %s, want %s", e, want)
			}
			next++
		}
	}
	if next != n {
		t.Errorf("got %d events, want %d", next, n)
	}
}

func TestReceiverRestarts(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	server := &http.Server{Handler: r}
	go func() { _ = server.Serve(listener) }()
	n := start(t, outbox.Options{}, network("hook", "http://"+address))
	for i := range 10 {
		n.CacheMiss("app", fmt.Sprintf("cache-%d", i))
	}
	waitFor(t, "the first are delivered", func() bool { return r.count() > 0 && n.Status("app")[0].Events == 0 })
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	for i := 10; i < 30; i++ {
		n.CacheMiss("app", fmt.Sprintf("cache-%d", i))
	}
	waitFor(t, "the breaker opens", func() bool { return n.Status("app")[0].IsBroken })
	if s := n.Status("app")[0]; s.LastError == "" || s.Events != 20 || s.RetryAt.IsZero() || s.Oldest.IsZero() {
		t.Errorf("got status %+v", s)
	}
	if listener, err = net.Listen("tcp", address); err != nil {
		t.Skipf("somebody else has taken the port: %v", err)
	}
	server = &http.Server{Handler: r}
	go func() { _ = server.Serve(listener) }()
	defer func() { _ = server.Close() }()
	waitFor(t, "the rest is delivered", func() bool { return n.Status("app")[0].Events == 0 })
	if n.Status("app")[0].IsBroken {
		t.Error("the breaker is still open")
	}
	expectInOrder(t, r, 30)
}

// Once the breaker is open, what has waited too long is given up without a request, and one
// request is made at a time after the back-off of the endpoint.
func TestBreaker(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, r *receiver, o outbox.Options) {
		registry := prometheus.NewRegistry()
		o.Metrics = outbox.NewMetrics(registry)
		n := start(t, o, unbatched(hook("hook")))
		r.answers(func(request, int) int { return 500 })
		for i := range 100 {
			n.CacheMiss("app", fmt.Sprintf("cache-%d", i))
		}
		after(244 * time.Second)
		first := r.take()
		if s := n.Status("app")[0]; !s.IsBroken || s.Events != 99 || len(first) != 10 {
			t.Errorf("got %d attempts and status %+v", len(first), s)
		}
		expectMetrics(t, registry, map[string]int{
			"events_total": 100, "pending_events": 99, "open_breakers": 1, "failed_requests_total": 10, "retries_total": 9,
			"dead_events_total": 1, "dead_letters": 1, "sent_events_total": 0,
		})
		n.CacheMiss("app", "cache-late")
		after(180 * time.Second)
		if s := n.Status("app")[0]; s.Events != 1 {
			t.Errorf("got status %+v, want only the last event to wait", s)
		}
		if got := len(r.take()); got > 4 {
			t.Errorf("got %d attempts in three minutes", got)
		}
		letters, err := n.Dead(t.Context(), "app", 0, 1000)
		if err != nil || len(letters) != 100 || letters[0].Reason != webhook.ReasonMaxElapsed || letters[99].Reason != webhook.ReasonExpired {
			t.Errorf("got %d letters, %v", len(letters), err)
		}
		r.answers(nil)
		after(61 * time.Second)
		r.expect(t, "it works again", "cache_miss cache-late")
		n.CacheMiss("app", "cache-x")
		after(time.Second)
		r.expect(t, "and is as fast as ever", "cache_miss cache-x")
		expectMetrics(t, registry, map[string]int{
			"events_total": 102, "pending_events": 0, "open_breakers": 0, "dead_events_total": 100, "dead_letters": 100, "sent_events_total": 2,
		})
	})
}

func expectMetrics(t *testing.T, g prometheus.Gatherer, want map[string]int) {
	t.Helper()
	got := map[string]int{}
	for name := range want {
		got[name] = value(t, g, "millrace_webhook_"+name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

func TestAnotherURLIsTriedAtOnce(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, r *receiver, o outbox.Options) {
		p := hook("hook")
		p.URL = "http://nowhere/"
		n := start(t, o, p)
		n.CacheMiss("app", "cache-x")
		after(60 * time.Second)
		if s := n.Status("app")[0]; !s.IsBroken || s.LastError != "no host nowhere" {
			t.Errorf("got status %+v", s)
		}
		if err := n.SetEndpoints("app", []webhook.Endpoint{hook("hook")}); err != nil {
			t.Fatal(err)
		}
		after(time.Millisecond)
		r.expect(t, "at once", "cache_miss cache-x")
		if s := n.Status("app")[0]; s.IsBroken {
			t.Errorf("got status %+v", s)
		}
	})
}

// flaky is a registry that fails until it is mended.
type flaky struct {
	delivery.Apps
	isDown atomic.Bool
}

func (f *flaky) ByID(ctx context.Context, id string) (*app.App, error) {
	if f.isDown.Load() {
		return nil, errors.New("database is down")
	}
	return f.Apps.ByID(ctx, id)
}

func TestSecretIsThatOfTheMoment(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, r *receiver, o outbox.Options) {
		registry := &flaky{Apps: apps(t)}
		registry.isDown.Store(true)
		o.Apps = registry
		n := start(t, o, hook("hook"))
		n.CacheMiss("app", "cache-x")
		after(500 * time.Millisecond)
		if s := n.Status("app")[0]; s.LastError != "app: database is down" {
			t.Errorf("got status %+v", s)
		}
		registry.isDown.Store(false)
		after(time.Second)
		r.expect(t, "once the app is found", "cache_miss cache-x")
	})
}

func TestShutdown(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, r *receiver, o outbox.Options) {
		stuck := newReceiver(t)
		stuck.answers(func(request, int) int { return 0 })
		failing := newReceiver(t)
		failing.answers(func(request, int) int { return 500 })
		o.Transport = transport{"hook": r, "stuck": stuck, "failing": failing}
		folder := t.TempDir()
		s := openStore(t, folder)
		o.Store = s
		endpoints := []webhook.Endpoint{hook("hook"), hook("failing"), hook("stuck")}
		n := start(t, o, endpoints...)
		n.CacheMiss("app", "cache-a")
		after(5 * time.Second)
		n.CacheMiss("app", "cache-b")
		begun := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if err := n.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if d := time.Since(begun); d > 2*time.Second+100*time.Millisecond {
			t.Errorf("Shutdown took %s", d)
		}
		n.CacheMiss("app", "cache-too-late")
		r.expect(t, "what can be sent is sent", "cache_miss cache-a", "cache_miss cache-b")
		if _, err := n.Replay(t.Context(), "app", webhook.Selection{All: true}); err != nil {
			t.Errorf("Replay of nothing: %v", err)
		}
		closeStore(t, s)

		s = openStore(t, folder)
		o.Store, o.Transport = s, transport{"hook": r, "stuck": r, "failing": r}
		n = start(t, o, endpoints...)
		t.Cleanup(func() { _ = n.stop(); closeStore(t, s) })
		after(time.Second)
		got := map[string]int{}
		for _, req := range r.take() {
			for _, e := range req.events(t) {
				got[e]++
			}
		}
		if diff := cmp.Diff(map[string]int{"cache_miss cache-a": 2, "cache_miss cache-b": 2}, got); diff != "" {
			t.Errorf("the rest goes on after a restart (-want +got):\n%s", diff)
		}
		close(stuck.release)
	})
}

func TestShutdownWithoutStoreSaysWhatIsLost(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, r *receiver, o outbox.Options) {
		r.answers(func(request, int) int { return 500 })
		n := start(t, o, hook("hook"))
		n.CacheMiss("app", "cache-a")
		after(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := n.Shutdown(ctx); err == nil || err.Error() != "webhook: 1 events were not delivered and are not stored" {
			t.Errorf("got error %v", err)
		}
		if got := len(r.take()); got < 3 {
			t.Errorf("got %d attempts, want it to try until the end", got)
		}
	})
}

func TestNilEngineTakesEverything(t *testing.T) {
	t.Parallel()
	var e *outbox.Outbox
	e.Tell(&room.Event{Kind: room.ChannelOccupied, App: "app", Channel: "a"})
	e.Tell(&room.Event{Kind: room.ChannelVacated, App: "app", Channel: "a"})
	e.Tell(&room.Event{Kind: room.UserOnline, App: "app", User: "u"})
	e.Tell(&room.Event{Kind: room.CacheMiss, App: "app", Channel: "a"})
	if users, seq := e.Online("app"); e.Wants("app", webhook.KindCacheMiss) || len(users) > 0 || seq > 0 || e.Status("app") != nil || e.Shutdown(t.Context()) != nil {
		t.Error("it does something")
	}
}

// What was tried at the old URL when the new one was set says nothing about the new one.
func TestAFailureOfTheOldURLIsNotThatOfTheNew(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, r *receiver, o outbox.Options) {
		stuck := newReceiver(t)
		stuck.answers(func(request, int) int { return 0 })
		o.Transport = transport{"hook": r, "stuck": stuck}
		p := hook("hook")
		p.Retry.MaxElapsed = 15 * time.Second
		old := p
		old.URL = "http://stuck/"
		n := start(t, o, old)
		n.CacheMiss("app", "cache-x")
		after(14 * time.Second) // within the second attempt
		if err := n.SetEndpoints("app", []webhook.Endpoint{p}); err != nil {
			t.Fatal(err)
		}
		after(10 * time.Second)
		r.expect(t, "once the old one has failed", "cache_miss cache-x")
		if letters := deadOf(t, n); len(letters) > 0 {
			t.Errorf("got letters %+v", letters)
		}
	})
}

// leftover is a store in which so many batches were left.
type leftover struct {
	webhook.Store
	batches int
}

func (s leftover) LoadWebhooks(_ context.Context, l webhook.Loader) error {
	for i := range s.batches {
		err := l.Part(webhook.Part{
			Batch: uint64(i + 1), App: "app", Endpoint: "hook", Delivery: strconv.Itoa(i), Time: 1, Count: 1,
			Events: fmt.Appendf(nil, `{"name":"cache_miss","channel":"cache-%d"}`, i),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (leftover) CommitWebhooks(context.Context, *webhook.Commit) error { return nil }

// What a former process has left goes before what is told while the endpoints are being set, as
// they are of an app that is found late.
func TestWhatWasLeftGoesFirst(t *testing.T) {
	t.Parallel()
	const left = 3000
	r := newReceiver(t)
	n := startWith(t, outbox.Options{Store: leftover{batches: left}, Transport: transport{"hook": r}}, nil)
	told := make(chan struct{})
	go func() {
		defer close(told)
		for !n.Wants("app", webhook.KindCacheMiss) {
			runtime.Gosched()
		}
		n.CacheMiss("app", fmt.Sprintf("cache-%d", left))
	}()
	if err := n.SetEndpoints("app", []webhook.Endpoint{unbatched(hook("hook"))}); err != nil {
		t.Fatal(err)
	}
	<-told
	waitFor(t, "all is delivered", func() bool { return r.count() > left })
	expectInOrder(t, r, left+1)
}
