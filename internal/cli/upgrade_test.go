package cli_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/cli"
)

const upgraded = `
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
secret = "operator-secret-of-the-fixture"
[[apps]]
id = "one"
key = "key-one"
secret = "secret-of-app-one"
[[apps.webhooks]]
url = "http://127.0.0.1:9/nowhere"
event_types = ["channel_occupied", "member_added"]
`

// A server serves what an earlier one has left (internal/store/embedded/testdata).
func TestADataDirectoryOfAnEarlierVersionIsServed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	archive := filepath.Join("..", "store", "embedded", "testdata", "a87ee2c", "data.tar.gz")
	if out, err := exec.CommandContext(t.Context(), "tar", "-xzf", archive, "-C", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var log buffer
	child := exec.CommandContext(t.Context(), os.Args[0], "serve", "--config", writeFile(t, "m.toml", fmt.Sprintf(upgraded, filepath.Join(dir, "data"))))
	child.Env, child.Stderr = append(os.Environ(), childVariable+"=1"), &log
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	said(t, &log, `"msg":"serving"`, 1)
	url := "http://" + address.FindStringSubmatch(log.String())[1]
	for _, tt := range []struct {
		command string
		want    []string
	}{
		{"view get Card/top --app one --app-key key-one --secret secret-of-app-one", []string{`"rank":22`, `"rank":4`, `"rank":3`}},
		{"apps list --admin-key operator --admin-secret operator-secret-of-the-fixture", []string{"two", "three"}},
		{"webhooks status --app one --key key-one --secret secret-of-app-one --json", []string{`"id":"1"`}},
		{"apps show two --admin-key operator --admin-secret operator-secret-of-the-fixture", []string{"12"}},
		{"view put Card card-6 {\"rank\":60} --app one --app-key key-one --secret secret-of-app-one", nil},
		{"view patch Card card-1 {\"rank\":0.5} --app one --app-key key-one --secret secret-of-app-one", nil},
	} {
		var out, errs bytes.Buffer
		env := &cli.Env{Stdout: &out, Stderr: &errs, Log: slog.New(slog.DiscardHandler)}
		if code := cli.Main(t.Context(), append(strings.Fields(tt.command), "--url", url), env); code != 0 {
			t.Errorf("millrace %s: %s", tt.command, &errs)
		}
		for _, text := range tt.want {
			if !strings.Contains(out.String(), text) {
				t.Errorf("millrace %s: got %s, want %s in it", tt.command, &out, text)
			}
		}
	}
	if err := child.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &log)
	}
}
