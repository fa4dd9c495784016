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

// With apps in a store a file needs none, so one that was cut off before its first app is a good
// file; taken over, it would close every connection.
func TestAFileThatIsCutOffBeforeItsAppsIsNotTakenOver(t *testing.T) {
	t.Parallel()
	const top = "[registry]\ndriver = 'embedded'\n[http]\nlisten = '127.0.0.1:0'\n[metrics]\nlisten = ''\n[store]\npath = '%s'\n"
	const apps = "[[apps]]\nid = 'a'\nkey = 'a-key'\nsecret = 'a-secret-of-16-bytes'\n" +
		"[[apps]]\nid = 'b'\nkey = 'b-key'\nsecret = 'a-secret-of-16-bytes'\n"
	start := fmt.Sprintf(top, filepath.Join(t.TempDir(), "data"))
	file := filepath.Join(t.TempDir(), "millrace.toml")
	read := func(text string) *config.Config {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := load.File(file, nil, provision.Check, server.CheckFiles)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	n := startRegistry(t, read(start+apps))
	for _, cut := range []string{"[registry]\ndriver = 'embedded'\n", start, "# " + apps[:2] + "\n" + start} {
		err := n.Reload(t.Context(), read(cut))
		if err == nil || !strings.Contains(err.Error(), "apps = []") {
			t.Fatalf("%q is taken over: %v", cut, err)
		}
		n.signed("POST", "/apps/b/events", `{"name":"e","channel":"c","data":"{}"}`, "b-key", "a-secret-of-16-bytes", 200)
	}
	if err := n.Reload(t.Context(), read(start+apps[:strings.LastIndex(apps, "[[")])); err != nil {
		t.Errorf("a file with one app less: %v", err)
	}
	if err := n.Reload(t.Context(), read("apps = []\n"+start)); err != nil {
		t.Errorf("a file that says that there are none: %v", err)
	}
	if err := n.Reload(t.Context(), read(start)); err != nil {
		t.Errorf("a file that says nothing, where there are none: %v", err)
	}
	if err := n.Reload(t.Context(), read(start+apps)); err != nil {
		t.Errorf("apps again: %v", err)
	}
	n.signed("POST", "/apps/a/events", `{"name":"e","channel":"c","data":"{}"}`, "a-key", "a-secret-of-16-bytes", 200)
}
