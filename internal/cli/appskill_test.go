package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/cli"
)

const keptApps = `
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
secret = "operator-of-16-bytes"
`

// A server is killed right after it has acknowledged a change, several times: each change is
// there when it comes back.
func TestAcknowledgedChangesOutliveAKill(t *testing.T) {
	t.Parallel()
	file := writeFile(t, "m.toml", fmt.Sprintf(keptApps, t.TempDir()))
	list := ""
	for i := range 4 {
		ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
		var log buffer
		child := exec.CommandContext(ctx, os.Args[0], "serve", "--config", file)
		child.Env, child.Stderr = append(os.Environ(), childVariable+"=1"), &log
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		said(t, &log, `"msg":"serving"`, 1)
		url := "http://" + address.FindStringSubmatch(log.String())[1]
		apps := func(args ...string) string {
			t.Helper()
			var out, errs bytes.Buffer
			args = append(append([]string{"apps"}, args...), "--url", url, "--admin-key", "operator", "--admin-secret", "operator-of-16-bytes")
			env := &cli.Env{Stdout: &out, Stderr: &errs, Log: slog.New(slog.DiscardHandler)}
			if code := cli.Main(ctx, args, env); code != 0 {
				t.Fatalf("millrace %s: %s\n%s", strings.Join(args, " "), &errs, &log)
			}
			return out.String()
		}
		if got := apps("list", "--json"); i > 0 && got != list {
			t.Errorf("after kill %d: got %s, want %s", i, got, list)
		}
		switch i {
		case 0:
			apps("create", "a", "--key", "ka")
			apps("create", "b", "--key", "kb")
		case 1:
			apps("rotate", "a")
			apps("disable", "b")
		case 2:
			apps("revoke-key", "a", "ka")
			apps("delete", "b")
		}
		list = apps("list", "--json")
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = child.Wait() // killed
		cancel()
	}
	if strings.Contains(list, `"b"`) || strings.Contains(list, `"ka"`) || !strings.Contains(list, `"a"`) {
		t.Errorf("in the end there are %s", list)
	}
}
