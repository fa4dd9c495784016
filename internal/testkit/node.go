// Package testkit boots a whole node in the process of a test, on free ports, and talks to
// it over real sockets: a WebSocket client that does nothing by itself, and signed HTTP
// requests. Its subpackage transcript runs conversations that are written as text.
//
// It is imported by tests only. It owns the goroutine that runs the node, and joins it when
// the test ends; a test that leaves anything behind fails.
package testkit

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/config/load"
	"github.com/millrace/millrace/internal/provision"
	"github.com/millrace/millrace/internal/server"
)

// WaitLimit bounds every wait. Only a failing test waits so long, so it has room for a machine
// that is many times slower than a desk's, under the race detector and with others beside it.
const WaitLimit = 90 * time.Second

// base is the configuration of a node: the shared test app with default settings, but base views
// for all tokens, as views 11 has it. Its secrets stand for the secrets of the specification's
// vectors, which are shorter than an operator's may be.
const base = `
[http]
listen = "127.0.0.1:0"

[metrics]
listen = "127.0.0.1:0"

[store]
driver = "memory"

[[apps]]
id = "` + AppID + `"
key = "` + Key + `"
secret = "` + longer + Secret + `"

[[apps.keys]]
key = "next-key"
secret = "` + longer + `next-secret"

[[apps.keys]]
key = "publish-key"
secret = "` + longer + `publish-secret"
rights = "publish"

[[apps.views.access]]
views = "*"
access = "token"
`

const longer = "sixteen-bytes-and-more-"

// shorten makes the secrets of base those that tests sign with.
func shorten(cfg *config.Config) {
	cut := func(s *config.Secret) { *s = config.Secret(strings.TrimPrefix(s.Reveal(), longer)) }
	for i := range cfg.Apps {
		a := &cfg.Apps[i]
		cut(&a.Secret)
		for j := range a.Keys {
			cut(&a.Keys[j].Secret)
		}
	}
}

// Node is a running server.
type Node struct {
	Server *server.Server

	stop  context.CancelFunc
	ended chan struct{} // closed when Run has returned
	err   error         // written before ended is closed
	http  *http.Client
}

// Start boots a node and ends it with the test. Settings are written NAME=VALUE with the
// path of a configuration key, such as apps.0.max_connections=2.
func Start(t testing.TB, settings ...string) *Node {
	t.Helper()
	file := filepath.Join(t.TempDir(), "millrace.toml")
	if err := os.WriteFile(file, []byte(base), 0o600); err != nil {
		t.Fatal(err)
	}
	environ := make([]string, len(settings))
	for i, s := range settings {
		name, value, _ := strings.Cut(s, "=")
		environ[i] = "MILLRACE_" + strings.ToUpper(strings.ReplaceAll(name, ".", "_")) + "=" + value
	}
	cfg, err := load.File(file, environ, provision.Check)
	if err != nil {
		t.Fatal(err)
	}
	shorten(cfg)
	s, err := server.New(t.Context(), cfg, slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	n := &Node{
		Server: s, stop: stop, ended: make(chan struct{}),
		http: &http.Client{Transport: &http.Transport{}, Timeout: WaitLimit},
	}
	go func() { // ends with stop, at the latest in Cleanup
		defer close(n.ended)
		n.err = s.Run(ctx)
	}()
	t.Cleanup(func() {
		n.http.CloseIdleConnections()
		n.Stop()
		if err := n.Wait(context.Background()); err != nil {
			t.Error(err)
		}
	})
	select {
	case <-s.Ready():
	case <-n.ended:
		t.Fatal(n.err)
	}
	return n
}

// Addr is where the node serves clients.
func (n *Node) Addr() string { return n.Server.Addr().String() }

// Stop asks the node to end, as SIGTERM does.
func (n *Node) Stop() { n.stop() }

// Wait returns when the node has ended.
func (n *Node) Wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, WaitLimit)
	defer cancel()
	n.http.CloseIdleConnections()
	select {
	case <-n.ended:
		return n.err
	case <-ctx.Done():
		return fmt.Errorf("the node has not ended: %w", ctx.Err())
	}
}

// WaitForConnections returns when exactly want connections are left, with every effect of
// those that have gone.
func (n *Node) WaitForConnections(ctx context.Context, want int) error {
	return Eventually(ctx, func() error {
		if got := n.Server.Connections(); got != want {
			return fmt.Errorf("%d connections, want %d", got, want)
		}
		return nil
	})
}

// Eventually asks until there is no error, and returns the last one when it gives up.
func Eventually(ctx context.Context, ask func() error) error {
	ctx, cancel := context.WithTimeout(ctx, WaitLimit)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		err := ask()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

// testLog writes the server's log to the test's.
type testLog struct{ t testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}
