package server_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/server"
	"github.com/millrace/millrace/internal/testkit"
)

// log is what a server has said.
type serverLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *serverLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *serverLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// twoApps is a configuration with the test app and another one.
func twoApps() *config.Config {
	c := config.Development()
	c.HTTP.Listen, c.Metrics.Listen, c.Store.Driver = "127.0.0.1:0", "", "memory"
	c.Apps[0].ID, c.Apps[0].Key, c.Apps[0].Secret = testkit.AppID, testkit.Key, testkit.Secret
	other := config.DefaultApp()
	other.ID, other.Key, other.Secret = "other", "other-key", "other-secret"
	other.Views.Auth = "open"
	c.Apps = append(c.Apps, other)
	return c
}

// runServer runs a server until the test ends.
func runServer(t *testing.T, c *config.Config) (*server.Server, *serverLog) {
	t.Helper()
	log := &serverLog{}
	s, err := server.New(t.Context(), c, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(t.Context()) }() // ends with the test
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	<-s.Ready()
	return s, log
}

// dial opens a connection of channels, or says with which code it was refused.
func dial(t *testing.T, s *server.Server, target string) *testkit.Peer {
	t.Helper()
	p, err := testkit.DialPeer(s.Addr().String(), target, http.Header{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Cut)
	return p
}

// closeCode reads until the connection is closed.
func closeCode(t *testing.T, p *testkit.Peer) int {
	t.Helper()
	for {
		f, err := p.Next(waitLimit)
		if err != nil {
			t.Fatal(err)
		}
		if f.Opcode == testkit.Close {
			return f.CloseCode()
		}
	}
}

func TestReloadSwapsAppsAndLeavesConnectionsOpen(t *testing.T) {
	t.Parallel()
	s, log := runServer(t, twoApps())
	stays := dial(t, s, "/app/"+testkit.Key+"?protocol=7")
	if _, err := stays.Established(waitLimit); err != nil {
		t.Fatal(err)
	}
	channels, views := dial(t, s, "/app/other-key?protocol=7"), dial(t, s, "/views/other-key")
	if _, err := channels.Established(waitLimit); err != nil {
		t.Fatal(err)
	}

	next := twoApps()
	next.Apps[0].MaxConnections = 1
	next.Apps[1].Enabled = false
	next.HTTP.MaxBody *= 2
	next.HTTP.FastPath = false
	third := config.DefaultApp()
	third.ID, third.Key, third.Secret = "third", "third-key", "third-secret"
	next.Apps = append(next.Apps, third)
	if err := s.Reload(t.Context(), next); err != nil {
		t.Fatal(err)
	}

	if got := closeCode(t, channels); got != 4003 {
		t.Errorf("a connection of the app that was turned off is closed with %d, want 4003", got)
	}
	if got := closeCode(t, views); got != 1008 {
		t.Errorf("its views are closed with %d, want 1008", got)
	}
	if got := closeCode(t, dial(t, s, "/app/other-key?protocol=7")); got != 4003 {
		t.Errorf("a new one is closed with %d, want 4003", got)
	}
	if got := closeCode(t, dial(t, s, "/app/"+testkit.Key+"?protocol=7")); got != 4004 {
		t.Errorf("one above the new limit is closed with %d, want 4004", got)
	}
	if _, err := dial(t, s, "/app/third-key?protocol=7").Established(waitLimit); err != nil {
		t.Errorf("an app that is new: %v", err)
	}
	stays.Subscribe(t, "prices")
	for _, want := range []string{"needs a restart", "http.max_body", "http.fast_path", "apps[1].enabled"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, log)
		}
	}
	if n := strings.Count(log.String(), "needs a restart"); n != 1 {
		t.Errorf("said %d times what needs a restart, want one line", n)
	}
}

func TestReloadRefusesWhatIsWrongAndChangesNothing(t *testing.T) {
	t.Parallel()
	s, _ := runServer(t, twoApps())
	open := dial(t, s, "/app/other-key?protocol=7")
	if _, err := open.Established(waitLimit); err != nil {
		t.Fatal(err)
	}
	next := twoApps()
	next.Apps = next.Apps[:1]
	next.Apps[0].AllowedOrigins = []string{"**"}
	if err := s.Reload(t.Context(), next); err == nil || !strings.Contains(err.Error(), "apps[0].allowed_origins[0]") {
		t.Errorf("got %v", err)
	}
	open.Subscribe(t, "prices")
}

func TestReloadNamesEveryFileThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	s, _ := runServer(t, twoApps())
	open := dial(t, s, "/app/other-key?protocol=7")
	if _, err := open.Established(waitLimit); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(t.TempDir(), "broken.pem")
	if err := os.WriteFile(broken, []byte("-----BEGIN NOTHING"), 0o600); err != nil {
		t.Fatal(err)
	}
	next := twoApps()
	next.Apps = next.Apps[:1]
	next.HTTP.TLSCertFile, next.HTTP.TLSKeyFile = broken, broken
	next.Metrics.TLSCertFile, next.Metrics.TLSKeyFile = broken+".none", broken
	next.Metrics.ClientCAFile = broken
	err := s.Reload(t.Context(), next)
	for _, want := range []string{"http.tls_cert_file", "metrics.tls_cert_file", "metrics.client_ca_file"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not named: %v", want, err)
		}
	}
	open.Subscribe(t, "prices") // its app is still there
}

func TestReadinessFallsBeforeConnectionsAreClosed(t *testing.T) {
	t.Parallel()
	node := testkit.Start(t, "shutdown.readiness_delay=3s")
	open, _ := node.Dial(t)
	began := time.Now()
	node.Stop()
	err := testkit.Eventually(t.Context(), func() error {
		if text := get(t, "http://"+node.Addr()+"/up"); text != "DRAINING" {
			return &notYet{text}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	late, err := dialLate(t, node)
	if err == nil {
		err = errors.Join(answersPing(late), answersPing(open))
	}
	if node.Server.Draining() { // whatever came of it: some of it may have come too late
		t.Skip("the machine was too slow to look in between")
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []*testkit.Peer{open, late} {
		if got := closeCode(t, p); got != 4100 {
			t.Errorf("closed with %d, want 4100", got)
		}
	}
	if took := time.Since(began); took < 3*time.Second {
		t.Errorf("closed after %s", took)
	}
}

// dialLate connects as through a balancer that has not seen yet that the node is about to end.
func dialLate(t *testing.T, node *testkit.Node) (*testkit.Peer, error) {
	t.Helper()
	p, err := testkit.DialPeer(node.Addr(), "/app/"+testkit.Key+"?protocol=7", nil, nil)
	if err != nil {
		return nil, err
	}
	t.Cleanup(p.Cut)
	_, err = p.Established(waitLimit)
	return p, err
}

func answersPing(p *testkit.Peer) error {
	if err := p.SendText(`{"event":"pusher:ping"}`); err != nil {
		return err
	}
	f, err := p.Next(waitLimit)
	if err == nil && !strings.Contains(string(f.Payload), "pusher:pong") {
		err = fmt.Errorf("a ping is answered with %q", f.Payload)
	}
	return err
}

type notYet struct{ text string }

func (e *notYet) Error() string { return "/up says " + e.text }
