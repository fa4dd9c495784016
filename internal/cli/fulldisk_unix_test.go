//go:build unix

package cli_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/millrace/millrace/internal/testkit"
)

const onDisk = `
[http]
listen = "127.0.0.1:0"
[metrics]
listen = ""
[store]
path = %q
[[apps]]
id = "app-id"
key = "app-key"
secret = "a-secret-of-16-bytes"
`

// TestAFullDiskAtTheStartDoesNotKeepChannelsFromBeingServed starts a server that can write
// next to nothing: the limit on the size of files stands for a disk without room.
func TestAFullDiskAtTheStartDoesNotKeepChannelsFromBeingServed(t *testing.T) {
	t.Parallel()
	file := writeFile(t, "m.toml", fmt.Sprintf(onDisk, t.TempDir()))
	start := func(shell string) (child *exec.Cmd, log *buffer, addr string) {
		t.Helper()
		log = new(buffer)
		child = exec.CommandContext(t.Context(), "sh", "-c", shell+` exec "$0" serve --config "$1"`, os.Args[0], file)
		child.Env, child.Stderr = append(os.Environ(), childVariable+"=1"), log
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		said(t, log, `"msg":"serving"`, 1)
		return child, log, address.FindStringSubmatch(log.String())[1]
	}
	stop := func(child *exec.Cmd, log *buffer) {
		t.Helper()
		if err := child.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := child.Wait(); err != nil {
			t.Errorf("%v\n%s", err, log)
		}
	}
	ask := func(method, addr, path string) (int, string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, method, "http://"+addr+path, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(body)
	}

	for _, when := range []string{"with an empty folder", "with a folder that was used before"} {
		child, log, addr := start("ulimit -f 1;")
		said(t, log, "disk is full: only channels are served", 1)
		said(t, log, "store cannot be used; /up says DEGRADED", 1)
		p, err := testkit.DialPeer(addr, "/app/app-key?protocol=7", nil, nil)
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		if _, err := p.Established(waitLimit); err != nil {
			t.Errorf("%s: %v", when, err)
		}
		p.Subscribe(t, "news")
		p.Cut()
		if status, body := ask("GET", addr, "/up"); status != 200 || body != "DEGRADED" {
			t.Errorf("%s: /up says %d %q", when, status, body)
		}
		for _, path := range []string{"/views/app-key", "/apps/app-id/mutations", "/apps/app-id/views", "/apps/app-id/views/Card/list", "/apps/app-id/sessions/revoke"} {
			if status, body := ask("POST", addr, path); status != 503 || !strings.Contains(body, "disk") {
				t.Errorf("%s: %s answers %d %q", when, path, status, body)
			}
		}
		stop(child, log)

		child, log, _ = start("") // with room everything is as always
		if strings.Contains(log.String(), "disk is full") {
			t.Errorf("with room:\n%s", log)
		}
		stop(child, log)
	}
}
