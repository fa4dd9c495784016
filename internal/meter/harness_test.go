package meter_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/meter"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type envelope struct {
	ID    string         `json:"event_id"`
	At    int64          `json:"occurred_at_ms"`
	Event map[string]any `json:"event"`
}

// post is one request that reached the endpoint.
type post struct {
	at     time.Duration // since the start of the test
	header http.Header
	status int
	events []envelope
}

// endpoint receives usage over HTTP, on connections in memory so that time can be fake.
type endpoint struct {
	start     time.Time
	transport *http.Transport

	mu     sync.Mutex
	status []int // of the next answers; 200 when it is empty
	posts  []post
}

type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error { close(p.closed); return nil }
func (*pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func newEndpoint(t *testing.T, status ...int) *endpoint {
	t.Helper()
	p := &pipes{make(chan net.Conn), make(chan struct{})}
	e := &endpoint{start: time.Now(), status: status, transport: &http.Transport{DialContext: p.dial}}
	server := &http.Server{Handler: e}
	done := make(chan error, 1)
	go func() { done <- server.Serve(p) }()
	t.Cleanup(func() {
		e.transport.CloseIdleConnections()
		_ = server.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	return e
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var batch struct{ Events []envelope }
	if err = errors.Join(err, json.Unmarshal(body, &batch)); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	e.mu.Lock()
	status := http.StatusOK
	if len(e.status) > 0 {
		status = e.status[0]
		e.status = e.status[1:]
	}
	e.posts = append(e.posts, post{time.Since(e.start), r.Header, status, batch.Events})
	e.mu.Unlock()
	w.WriteHeader(status)
}

func (e *endpoint) received() []post {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.posts
}

// delivered are the events of the posts that succeeded.
func (e *endpoint) delivered() []envelope {
	var all []envelope
	for _, p := range e.received() {
		if p.status/100 == 2 {
			all = append(all, p.events...)
		}
	}
	return all
}

// answer sets the status of the next n posts.
func (e *endpoint) answer(status, n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.status = nil
	for range n {
		e.status = append(e.status, status)
	}
}

// node is a meter.
type node struct {
	*meter.Meter
	registry *prometheus.Registry
	run      func()
	stop     func()
}

// start runs a meter until stop, or the end of the test.
func start(t *testing.T, o meter.Options) node {
	t.Helper()
	n := startHeld(t, o)
	n.run()
	return n
}

// startHeld makes a meter that takes events but delivers nothing before run.
func startHeld(t *testing.T, o meter.Options) node {
	t.Helper()
	registry := prometheus.NewRegistry()
	o.Metrics = meter.NewMetrics(registry)
	m, err := meter.New(o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	run := sync.OnceFunc(func() {
		go func() { done <- m.Run(ctx) }()
	})
	stop := sync.OnceFunc(func() {
		cancel()
		run()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return node{m, registry, run, stop}
}

func over(e *endpoint) meter.Options {
	return meter.Options{Emitter: meter.NewHTTP(meter.HTTPOptions{URL: "http://usage.test/events", Transport: e.transport})}
}

// count sums a counter over its labels.
func (n node) count(t *testing.T, name string) float64 {
	t.Helper()
	families, err := n.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// updates takes n events.
func (n node) updates(count int) {
	for i := range count {
		n.UpdateSent(meter.Identity{ClientID: "c-1"}, "Auction/list", 1, i)
	}
}

// wait lets fake time pass.
func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func spooled(t *testing.T, folder string) []string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func read(t *testing.T, folder, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}
