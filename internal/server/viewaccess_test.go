package server_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/store/embedded"
	"github.com/millrace/millrace/internal/testkit"
)

// wantDenied expects that a view is refused on a connection.
func (v *viewer) wantDenied(t *testing.T, view, code string) {
	t.Helper()
	v.subscribe(t, view, "")
	f, err := v.Next(waitLimit)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := f.Text()
	if !strings.Contains(text, `"code":"`+code+`"`) || !strings.Contains(text, view) {
		t.Errorf("%s: got %s, want %s", view, text, code)
	}
}

func TestAccessOfAnAppOfTheAdminAPI(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	n := startRegistry(t, registryConfig(path))
	n.admin("POST", "/admin/apps", `{"id":"shop","key":"shop-key","secret":"shop-secret","views":{"signing_key":"`+seed+`","secret_keys":["sk"],
		"definitions":[{"id":"top","source":"Lot/list","fields":["n"]}]}}`, 201)
	n.signed("POST", "/apps/shop/mutations", `{"mutations":[{"entity":"Lot","key":"a","data":{"n":1}}]}`, "shop-key", "shop-secret", 200)
	token, status := mint(t, n.Server, "sk")
	if status != 200 {
		t.Fatalf("minting: %d", status)
	}
	door := "shop-key?hs_token=" + token
	v := watch(t, n.Server, door, "top")
	v.wantDenied(t, "Lot/list", "deployment-access-denied")

	// A rule is in force at once, and clients that were admitted by others ask again.
	shown := n.admin("PATCH", "/admin/apps/shop", `{"views":{"access":[{"views":"Lot/*","access":"public"}]}}`, 200)
	if text, _ := json.Marshal(shown); !bytes.Contains(text, []byte(`"access":[{"access":"public","views":"Lot/*"}]`)) {
		t.Errorf("the document: %s", text)
	}
	v.wantClose(t, 1001, "going-away: restart")
	watch(t, n.Server, door, "Lot/list").wantKeys(t, "Lot/list", "a")
	visitor := watch(t, n.Server, "shop-key", "Lot/list")
	visitor.wantDenied(t, "top", "token-missing")
	got := n.admin("PATCH", "/admin/apps/shop", `{"views":{"access":[{"views":"top","access":"all"}]}}`, 422)
	if text, _ := json.Marshal(got); !bytes.Contains(text, []byte("views.access[0].views")) || !bytes.Contains(text, []byte("views.access[0].access")) {
		t.Errorf("problems: %s", text)
	}

	// So is the access of a definition, and both outlive the server.
	n.admin("PATCH", "/admin/apps/shop", `{"views":{"access":null,"definitions":[{"id":"top","source":"Lot/list","fields":["n"],"access":"public"}]}}`, 200)
	visitor.wantClose(t, 1001, "going-away: restart")
	n.stop()
	n = startRegistry(t, registryConfig(path))
	visitor = watch(t, n.Server, "shop-key", "top")
	visitor.wantDenied(t, "Lot/list", "token-missing")
	n.admin("PATCH", "/admin/apps/shop", `{"views":{"definitions":[{"id":"top","source":"Lot/list"}]}}`, 200)
	visitor.wantClose(t, 1001, "going-away: restart")
	wantRefused(t, n.Server, "shop-key", "token-missing")
}

// Rules of an app that admits everybody change as others do.
func TestAccessWhereEverybodyIsAdmittedChanges(t *testing.T) {
	t.Parallel()
	with := func(access ...config.ViewAccess) *config.Config {
		return withViews(func(a *config.App) {
			a.Views.Auth, a.Views.StaticTokens, a.Views.Access = "open", nil, access
		})
	}
	s, _ := runServer(t, with())
	v := watch(t, s, "other-key", "Lot/list")
	if err := s.Reload(t.Context(), with(config.ViewAccess{Views: "*", Access: "server"})); err != nil {
		t.Fatal(err)
	}
	v.wantClose(t, 1001, "going-away: restart")
	v = watch(t, s, "other-key", "top")
	v.wantDenied(t, "Lot/list", "deployment-access-denied")
	if err := s.Reload(t.Context(), with(config.ViewAccess{Views: "*", Access: "server"})); err != nil {
		t.Fatal(err)
	}
	v.wantDenied(t, "Lot/state", "deployment-access-denied") // the same again: no connection ends
}

// What an earlier version has stored is read, in the words of this one.
func TestStoredAppsWithTheFormerWordForOffAreServed(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	n := startRegistry(t, registryConfig(path))
	n.admin("POST", "/admin/apps", `{"id":"shop","key":"shop-key","secret":"shop-secret","views":{"auth":"off"}}`, 201)
	n.stop()

	store, err := embedded.Open(t.Context(), embedded.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	var stored []app.Record
	err = store.LoadApps(t.Context(), func(r app.Record) error {
		r.Document = bytes.Replace(r.Document, []byte(`"auth":"off"`), []byte(`"auth":"none"`), 1)
		stored = append(stored, r)
		return nil
	})
	if err != nil || len(stored) != 1 || !bytes.Contains(stored[0].Document, []byte(`"none"`)) {
		t.Fatalf("stored: %+v, %v", stored, err)
	}
	if _, err := store.PutApp(t.Context(), stored[0]); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}

	n = startRegistry(t, registryConfig(path))
	n.connect("shop-key")
	wantRefused(t, n.Server, "shop-key", "deployment-access-denied")
	got := n.admin("PATCH", "/admin/apps/shop", `{"views":{"auth":"none"}}`, 422)
	if text, _ := json.Marshal(got); !bytes.Contains(text, []byte(`write \"off\"`)) {
		t.Errorf("problems: %s", text)
	}
	n.admin("PATCH", "/admin/apps/shop", `{"max_connections":5}`, 200)
}

// Operators who upgrade read the log, if nothing else.
func TestWhatIsSeldomMeantIsInTheLog(t *testing.T) {
	t.Parallel()
	with := func(access ...config.ViewAccess) *config.Config {
		return withViews(func(a *config.App) {
			a.Views.Auth, a.Views.StaticTokens, a.Views.SigningKey, a.Views.Access = "session", nil, seed, access
		})
	}
	s, log := runServer(t, with(config.ViewAccess{Views: "*", Access: "server"}))
	const key = "key=apps[1].views.access"
	if strings.Contains(log.String(), key) {
		t.Errorf("log: %s", log)
	}
	if err := s.Reload(t.Context(), with()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), key) {
		t.Errorf("log: %s", log)
	}
}

// A view that is public and narrow by turns, and wide and the server's own, shows visitors nothing of
// what it is when it is not for them, however they come at it.
func TestNothingLeaksWhileAViewChangesItsAccess(t *testing.T) {
	t.Parallel()
	c := withViews(func(a *config.App) {
		a.Views.Definitions = []map[string]any{{"id": "news", "source": "Lot/list", "access": "public", "fields": []any{"n"}}}
	})
	c.Views.RateLimitingEnabled = false
	s, _ := runServer(t, c)
	n := &registryNode{Server: s, t: t}
	do := func(path, body string) { n.signed("POST", "/apps/other"+path, body, "other-key", "other-secret", 200) }
	const narrow, wide = `{"id":"v","source":"Lot/list","access":"public","fields":["n"]}`, `{"id":"v","source":"Lot/list","access":"server"}`
	do("/mutations", `{"mutations":[{"entity":"Lot","key":"a","data":{"n":1,"hidden":2}}]}`)
	do("/views", narrow)

	stop := make(chan struct{})
	isOver := func() bool {
		select {
		case <-stop:
			return true
		default:
			return false
		}
	}
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() { // ends with stop
			for !isOver() {
				visitWith(t, s.Addr().String())
			}
		})
	}
	wg.Go(func() { // ends with stop
		client := http.Client{Timeout: waitLimit}
		for !isOver() {
			r, err := client.Get("http://" + s.Addr().String() + "/apps/other/views/v")
			if err != nil {
				t.Error(err)
				return
			}
			text, _ := io.ReadAll(r.Body)
			r.Body.Close()
			if bytes.Contains(text, []byte("hidden")) {
				t.Errorf("read over HTTP: %s", text)
			}
		}
		client.CloseIdleConnections()
	})
	for range 60 {
		do("/views", wide)
		do("/mutations", `{"mutations":[{"entity":"Lot","key":"a","data":{"hidden":3}}]}`)
		do("/views", narrow)
	}
	close(stop)
	wg.Wait()
}

// visitWith watches v without a token for as long as it may, and reads what comes.
func visitWith(t *testing.T, addr string) {
	p, err := testkit.DialPeer(addr, "/views/other-key", nil, nil)
	if err != nil {
		if _, ok := errors.AsType[*testkit.RefusedError](err); !ok {
			t.Error(err)
		}
		return
	}
	defer p.Cut()
	for range 4 {
		if p.SendText(`{"type":"subscribe","view":"v"}`) != nil {
			return // closed meanwhile
		}
		f, err := p.Next(waitLimit)
		if err != nil || f.Opcode == testkit.Close {
			return
		}
		if text, _ := f.Text(); strings.Contains(text, "hidden") {
			t.Errorf("on a connection: %s", text)
		}
		if p.SendText(`{"type":"unsubscribe","view":"v"}`) != nil {
			return
		}
	}
}
