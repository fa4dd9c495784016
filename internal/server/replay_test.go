package server_test

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/auth"
	"github.com/millrace/millrace/internal/testkit/pgtest"
)

// captured is a signed change of apps that somebody has overheard.
type captured struct{ method, path, query, body string }

func capture(method, path, body string) captured {
	values := auth.SignRequest(auth.Request{Method: method, Path: path, Body: []byte(body)},
		url.Values{"nonce": {"1"}}, "operator", "hush", time.Now())
	return captured{method, path, values.Encode(), body}
}

// replay sends it as it is.
func (n *registryNode) replay(c captured, want int, says string) {
	n.t.Helper()
	r, err := http.NewRequestWithContext(n.t.Context(), c.method, "http://"+n.Addr().String()+c.path+"?"+c.query, strings.NewReader(c.body))
	if err != nil {
		n.t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: waitLimit}
	answer, err := client.Do(r)
	if err != nil {
		n.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	if answer.StatusCode != want || !strings.Contains(string(text), says) {
		n.t.Errorf("%s %s: %d %s; want %d and %q", c.method, c.path, answer.StatusCode, text, want, says)
	}
	if answer.StatusCode == http.StatusServiceUnavailable && answer.Header.Get("Retry-After") == "" {
		n.t.Error("503 without Retry-After")
	}
}

func TestARequestThatWasHeededIsNotHeededAfterARestart(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	cfg := registryConfig(path)
	cfg.Audit.File = filepath.Join(t.TempDir(), "audit.jsonl")
	n := startRegistry(t, cfg)
	c := capture("POST", "/admin/apps", `{"id":"shop","key":"shop-key"}`)
	n.replay(c, 201, "secret")
	n.admin("DELETE", "/admin/apps/shop", "", 204)
	n.replay(c, 401, "received already")
	n.stop()
	events, err := os.ReadFile(cfg.Audit.File)
	if err != nil || strings.Count(string(events), `"suspicious_pattern","pattern_type":"replayed_request"`) != 1 {
		t.Errorf("the replay is not audited once: %v\n%s", err, events)
	}
	n = startRegistry(t, registryConfig(path))
	n.replay(c, 401, "received already")
	n.admin("GET", "/admin/apps/shop", "", 404)
}

func TestARequestThatWasHeededIsNotHeededByAnotherNode(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Open(t)
	url := cluster.Database(t)
	a, b := startRegistry(t, postgresConfig(url)), startRegistry(t, postgresConfig(url))
	c := capture("POST", "/admin/apps", `{"id":"shop","key":"shop-key"}`)
	a.replay(c, 201, "secret")
	b.eventually("GET", "/admin/apps/shop", "", 200)
	b.admin("DELETE", "/admin/apps/shop", "", 204)
	b.replay(c, 401, "received already")
	a.eventually("GET", "/admin/apps/shop", "", 404)

	if err := cluster.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, n := range []*registryNode{a, b} {
		n.replay(c, 503, "nothing was changed")
		n.replay(capture("POST", "/admin/apps", `{"id":"other","key":"other-key"}`), 503, "nothing was changed")
		n.admin("GET", "/admin/apps/other", "", 404)
	}
}
