package server_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/config/load"
	"github.com/millrace/millrace/internal/provision"
	"github.com/millrace/millrace/internal/server"
)

// defaultsFile is a configuration with an app that leaves its limits out, and one of its own.
func defaultsFile(t *testing.T, path, defaults, more string) *config.Config {
	t.Helper()
	text := fmt.Sprintf(`
[http]
listen = "127.0.0.1:0"
[metrics]
listen = ""
[store]
path = %q
[registry]
driver = "embedded"
[admin]
key = "operator"
secret = "hush"
[[apps]]
id = "file"
key = "file-key"
secret = "s"
[[apps]]
id = "file-own"
key = "file-own-key"
secret = "s"
max_event_payload = "10KB"
%s
[app_defaults]
%s
`, filepath.Join(path, "data"), more, defaults)
	file := filepath.Join(path, "millrace.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := load.Source{Path: file, Dev: true}.Load(provision.Check, server.CheckFiles)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// publishes expects which of the apps may publish 100 bytes, and that the others get 413.
func (n *registryNode) publishes(when string, apps map[string]bool) {
	n.t.Helper()
	body := `{"name":"e","channel":"prices","data":"` + strings.Repeat("x", 100) + `"}`
	for id, may := range apps {
		want := 413
		if may {
			want = 200
		}
		status, text, err := n.askAs(n.Addr().String(), "POST", "/apps/"+id+"/events", body, id+"-key", "s")
		if err != nil || status != want {
			n.t.Errorf("%s: the app %s gets %d, want %d: %s (%v)", when, id, status, want, text, err)
		}
	}
}

// pusher 7.2: a limit that an app leaves out is that of [app_defaults], live, wherever
// the app is kept.
func TestReloadTakesOverAppDefaultsForAppsOfTheFileAndOfTheStore(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	n := startRegistry(t, defaultsFile(t, path, "", ""))
	n.admin("POST", "/admin/apps", `{"id":"stored","key":"stored-key","secret":"s"}`, 201)
	n.admin("POST", "/admin/apps", `{"id":"stored-own","key":"stored-own-key","secret":"s","max_event_payload":"10KB"}`, 201)
	n.publishes("at first", map[string]bool{"file": true, "file-own": true, "stored": true, "stored-own": true})
	open := n.connect("stored-key")

	low := map[string]bool{"file": false, "file-own": true, "stored": false, "stored-own": true}
	if err := n.Reload(t.Context(), defaultsFile(t, path, `max_event_payload = "50B"`, "")); err != nil {
		t.Fatal(err)
	}
	n.publishes("after a reload", low)
	open.Subscribe(t, "prices") // nobody is closed for a limit
	if log := n.log.String(); strings.Contains(log, "needs a restart") || !strings.Contains(log, "changed=[app_defaults.max_event_payload]") {
		t.Errorf("the log says something else:\n%s", log)
	}

	thief := "[[apps]]\nid = 'thief'\nkey = 'stored-key'\nsecret = 's'\n"
	if err := n.Reload(t.Context(), defaultsFile(t, path, "", thief)); err == nil {
		t.Error("a file that takes the key of a stored app was taken over")
	}
	n.publishes("after a reload that was refused", low)

	// null goes back to the fallback, and what is there says so.
	n.admin("PATCH", "/admin/apps/stored-own", `{"max_event_payload":null}`, 200)
	got := n.admin("PATCH", "/admin/apps/stored", `{"max_event_payload":"10KB"}`, 200)
	if document, _ := got["app"].(map[string]any); document["max_event_payload"] != "10KB" || document["max_batch_size"] != nil {
		t.Errorf("the document is %v", document)
	}
	other := map[string]bool{"stored": true, "stored-own": false}
	n.publishes("after patches", other)
	n.stop()
	n = startRegistry(t, defaultsFile(t, path, `max_event_payload = "50B"`, ""))
	n.publishes("after a restart", other)
}

// The apps of a store are judged by the new file as those of the file are: after an error
// nothing has changed.
func TestReloadRefusesAPayloadThatStoredAppsWouldExceed(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	n := startRegistry(t, defaultsFile(t, path, "", ""))
	n.admin("POST", "/admin/apps", `{"id":"stored","key":"stored-key","secret":"s","max_event_payload":"64KB"}`, 201)
	c := defaultsFile(t, path, `max_event_payload = "50B"`, "")
	c.HTTP.MaxBody = 32 * config.KB
	if err := n.Reload(t.Context(), c); err == nil || !strings.Contains(err.Error(), "max_event_payload") {
		t.Errorf("got %v", err)
	}
	n.publishes("after the reload", map[string]bool{"file": true, "stored": true})
}
