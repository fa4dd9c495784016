package server_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/testkit"
	"github.com/millrace/millrace/internal/testkit/pgtest"
)

// postgresConfig is a node whose apps are in a database that others use, too. It is not looked
// at the database while the test lasts: changes are told.
func postgresConfig(url string) *config.Config {
	c := registryConfig("")
	c.Store.Driver = "memory"
	c.Registry.Driver, c.Registry.URL = "postgres", config.Secret(url)
	c.Registry.PollInterval, c.Registry.Timeout = config.Duration(time.Hour), config.Duration(30*time.Second)
	return c
}

// admits waits until a connection by a key is welcome, and returns it.
func (n *registryNode) admits(key string) *testkit.Peer {
	n.t.Helper()
	var p *testkit.Peer
	err := testkit.Eventually(n.t.Context(), func() (err error) {
		if p, err = testkit.DialPeer(n.Addr().String(), "/app/"+key+"?protocol=7", http.Header{}, nil); err != nil {
			return err
		}
		if _, err = p.Established(waitLimit); err != nil {
			p.Cut()
		}
		return err
	})
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(p.Cut)
	return p
}

// delivers publishes an event as the operator and expects it at p, which is subscribed.
func (n *registryNode) delivers(p *testkit.Peer, event string) {
	n.t.Helper()
	n.admin("POST", "/apps/shop/events", fmt.Sprintf(`{"name":%q,"channel":"prices","data":"1"}`, event), 200)
	f, err := p.Next(waitLimit)
	if err != nil {
		n.t.Fatal(err)
	}
	if got, want := string(f.Payload), fmt.Sprintf(`{"event":%q,"channel":"prices","data":"1"}`, event); got != want {
		n.t.Errorf("got %s, want %s", got, want)
	}
}

// eventually asks as the operator until the answer has a status.
func (n *registryNode) eventually(method, path, body string, want int) {
	n.t.Helper()
	err := testkit.Eventually(n.t.Context(), func() error {
		got, text, err := n.ask(n.Addr().String(), method, path, body)
		if err == nil && got != want {
			err = fmt.Errorf("%s %s: %d, want %d: %s", method, path, got, want, text)
		}
		return err
	})
	if err != nil {
		n.t.Fatal(err)
	}
}

// says waits until /up answers with a word, and with 200.
func (n *registryNode) says(word string) {
	n.t.Helper()
	err := testkit.Eventually(n.t.Context(), func() error {
		answer, err := http.Get("http://" + n.Addr().String() + "/up")
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if got := answer.Header.Get("X-Health-Check"); got != word || answer.StatusCode != http.StatusOK {
			return fmt.Errorf("/up says %d %s, want 200 %s", answer.StatusCode, got, word)
		}
		return nil
	})
	if err != nil {
		n.t.Fatal(err)
	}
}

func TestNodesOnOneDatabaseServeTheSameAppsAlsoWhileItIsGone(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Open(t)
	url := cluster.Database(t)
	a, b := startRegistry(t, postgresConfig(url)), startRegistry(t, postgresConfig(url))

	a.admin("POST", "/admin/apps", `{"id":"shop","key":"shop-key","secret":"shop-secret"}`, 201)
	open := b.admits("shop-key")
	a.admin("PATCH", "/admin/apps/shop", `{"enabled":false}`, 200)
	if got := closeCode(t, open); got != 4003 {
		t.Errorf("a connection at the other node is closed with %d, want 4003", got)
	}
	b.refused("shop-key", 4003)
	b.admin("PATCH", "/admin/apps/shop", `{"enabled":true}`, 200)
	open = b.connect("shop-key")
	open.Subscribe(t, "prices")
	a.admits("shop-key").Subscribe(t, "prices")

	if err := cluster.Stop(); err != nil {
		t.Fatal(err)
	}
	a.says("DEGRADED")
	a.admin("PATCH", "/admin/apps/shop", `{"max_connections":9}`, 503)
	b.admin("DELETE", "/admin/apps/shop", "", 503)
	b.delivers(open, "while-it-is-gone")
	b.connect("shop-key").Subscribe(t, "news")
	b.refused("nobody", 4001)

	if err := cluster.Start(); err != nil {
		t.Fatal(err)
	}
	a.eventually("PATCH", "/admin/apps/shop", `{"client_events":true}`, 200)
	a.says("OK")
	b.delivers(open, "when-it-is-back")
	a.admin("DELETE", "/admin/apps/shop", "", 204)
	if got := closeCode(t, open); got != 4003 {
		t.Errorf("a connection of the app that was deleted at the other node is closed with %d, want 4003", got)
	}
	b.refused("shop-key", 4001)
}
