package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/auth"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/server"
	"github.com/millrace/millrace/internal/testkit"
)

// registryNode is a node whose apps are in its store, and whoever operates it.
type registryNode struct {
	*server.Server

	t    *testing.T
	log  *serverLog
	stop func() // ends it and waits
}

// registryConfig is in development mode, in which secrets may be short.
func registryConfig(path string) *config.Config {
	c := config.Development()
	c.HTTP.Listen, c.Metrics.Listen = "127.0.0.1:0", ""
	c.Apps = nil
	c.Store.Path, c.Registry.Driver = path, "embedded"
	c.Admin.Key, c.Admin.Secret = "operator", "hush"
	return c
}

func startRegistry(t *testing.T, c *config.Config) *registryNode {
	t.Helper()
	log := &serverLog{}
	s, err := server.New(t.Context(), c, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done, ended := make(chan error, 1), false
	go func() { done <- s.Run(ctx) }() // ends with cancel
	n := &registryNode{Server: s, t: t, log: log}
	n.stop = func() {
		if cancel(); ended {
			return
		}
		ended = true
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(n.stop)
	<-s.Ready()
	return n
}

// admin sends a signed request and gives back what the answer says.
func (n *registryNode) admin(method, path, body string, status int) map[string]any {
	n.t.Helper()
	return n.adminAt(n.Addr().String(), method, path, body, status)
}

func (n *registryNode) adminAt(addr, method, path, body string, status int) map[string]any {
	n.t.Helper()
	got, text, err := n.ask(addr, method, path, body)
	if err != nil || got != status {
		n.t.Fatalf("%s %s: %d, want %d: %s (%v)", method, path, got, status, text, err)
	}
	var result map[string]any
	_ = json.NewDecoder(bytes.NewReader(text)).Decode(&result)
	return result
}

// ask is adminAt for requests that may fail.
func (n *registryNode) ask(addr, method, path, body string) (status int, text []byte, err error) {
	return n.askAs(addr, method, path, body, "operator", "hush")
}

func (n *registryNode) askAs(addr, method, path, body, key, secret string) (status int, text []byte, err error) {
	nonce := url.Values{"nonce": {time.Now().String()}}
	query := auth.SignRequest(auth.Request{Method: method, Path: path, Body: []byte(body)}, nonce, key, secret, time.Now())
	r, err := http.NewRequestWithContext(n.t.Context(), method, "http://"+addr+path+"?"+query.Encode(), strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: waitLimit}
	answer, err := client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	text, err = io.ReadAll(answer.Body)
	return answer.StatusCode, text, err
}

// connect opens a connection by a key.
func (n *registryNode) connect(key string) *testkit.Peer {
	n.t.Helper()
	p := dial(n.t, n.Server, "/app/"+key+"?protocol=7")
	if _, err := p.Established(waitLimit); err != nil {
		n.t.Fatalf("key %s: %v", key, err)
	}
	return p
}

// refused expects that a new connection by a key is closed with a code.
func (n *registryNode) refused(key string, code int) {
	n.t.Helper()
	if got := closeCode(n.t, dial(n.t, n.Server, "/app/"+key+"?protocol=7")); got != code {
		n.t.Errorf("a connection by %s is closed with %d, want %d", key, got, code)
	}
}

func TestAppsTakeEffectAtOnceAndOutliveTheServer(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	n := startRegistry(t, registryConfig(path))
	n.refused("shop-key", 4001)
	n.admin("POST", "/admin/apps", `{"id":"shop","key":"shop-key","secret":"shop-secret"}`, 201)
	n.admin("POST", "/admin/apps", `{"id":"other","key":"other-key"}`, 201)
	open := n.connect("shop-key")
	open.Subscribe(t, "prices")

	n.admin("PATCH", "/admin/apps/shop", `{"max_connections":1}`, 200)
	n.refused("shop-key", 4004)
	n.admin("PATCH", "/admin/apps/shop", `{"enabled":false}`, 200)
	if got := closeCode(t, open); got != 4003 {
		t.Errorf("a connection of the app that was disabled is closed with %d, want 4003", got)
	}
	n.refused("shop-key", 4003)
	n.stop()

	n = startRegistry(t, registryConfig(path))
	n.refused("shop-key", 4003)
	n.admin("PATCH", "/admin/apps/shop", `{"enabled":null}`, 200)
	open = n.connect("shop-key")
	other := n.connect("other-key")
	n.admin("DELETE", "/admin/apps/shop", "", 204)
	if got := closeCode(t, open); got != 4003 {
		t.Errorf("a connection of the app that was deleted is closed with %d, want 4003", got)
	}
	n.refused("shop-key", 4001)
	other.Subscribe(t, "prices") // nobody else has noticed
}

func TestKeysAreRotatedWithoutAPauseAndRevokedAtOnce(t *testing.T) {
	t.Parallel()
	n := startRegistry(t, registryConfig(t.TempDir()))
	n.admin("POST", "/admin/apps", `{"id":"shop","key":"old-key","secret":"old-secret"}`, 201)
	old := n.connect("old-key")
	old.Subscribe(t, "before")
	fresh, _ := n.admin("POST", "/admin/apps/shop/rotate", "", 201)["key"].(string)
	old.Subscribe(t, "after")
	late, next := n.connect("old-key"), n.connect(fresh)
	next.Subscribe(t, "prices")

	n.admin("DELETE", "/admin/apps/shop/keys/old-key", "", 200)
	for _, p := range []*testkit.Peer{old, late} {
		if got := closeCode(t, p); got != 4001 {
			t.Errorf("a connection by the key that was revoked is closed with %d, want 4001", got)
		}
	}
	n.refused("old-key", 4001)
	next.Subscribe(t, "still-here")
}

func TestAppsOfTheFileAndOfTheStoreStandBesideEachOther(t *testing.T) {
	t.Parallel()
	withFile := func(c *config.Config, id, key string) *config.Config {
		a := config.DefaultApp()
		a.ID, a.Key, a.Secret = id, key, "file-secret"
		c.Apps = []config.App{a}
		return c
	}
	path := t.TempDir()
	n := startRegistry(t, withFile(registryConfig(path), "file", "file-key"))
	n.admin("POST", "/admin/apps", `{"id":"stored","key":"stored-key"}`, 201)
	n.admin("PATCH", "/admin/apps/file", `{"enabled":false}`, 409)
	stored := n.connect("stored-key")
	if err := n.Reload(t.Context(), withFile(registryConfig(path), "file2", "file2-key")); err != nil {
		t.Fatal(err)
	}
	n.refused("file-key", 4001)
	n.connect("file2-key")
	stored.Subscribe(t, "prices")
	if err := n.Reload(t.Context(), withFile(registryConfig(path), "file3", "stored-key")); err == nil {
		t.Error("a file that takes the key of a stored app was taken over")
	}
	n.connect("file2-key")
	stored.Subscribe(t, "more-prices")
}

func TestTheAdminAPIMayBePrivate(t *testing.T) {
	t.Parallel()
	c := registryConfig(t.TempDir())
	c.Metrics.Listen, c.Admin.Private = "127.0.0.1:0", true
	n := startRegistry(t, c)
	n.adminAt(n.MetricsAddr().String(), "GET", "/admin/apps", "", 200)
	n.admin("GET", "/admin/apps", "", 404)
}

// A document is judged by all rules there are for the file.
func TestDocumentsAreJudgedAsTheFileIs(t *testing.T) {
	t.Parallel()
	n := startRegistry(t, registryConfig(t.TempDir()))
	got := n.admin("POST", "/admin/apps", `{"id":"a\n","key":"operator","allowed_origins":["**"],"max_event_payload":"1GB","max_chanels":1,
		"webhooks":[{"url":"ftp://x","event_types":["nothing"]}],"views":{"auth":"maybe"}}`, 422)
	text, _ := json.Marshal(got)
	for _, want := range []string{"max_chanels", "views.auth"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("nothing about %s: %s", want, text)
		}
	}
	got = n.admin("POST", "/admin/apps", `{"id":"a\n","key":"k","allowed_origins":["**"],"max_event_payload":"1GB",
		"webhooks":[{"url":"ftp://x","event_types":["nothing"]}]}`, 422)
	text, _ = json.Marshal(got)
	for _, want := range []string{`"id"`, "allowed_origins[0]", "max_event_payload", "webhooks[0].url", "webhooks[0].event_types"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("nothing about %s: %s", want, text)
		}
	}
	if got := n.admin("POST", "/admin/apps", `{"id":"a","key":"operator"}`, 422); got["problems"] == nil {
		t.Errorf("an app has the key of the operator: %v", got)
	}
}
