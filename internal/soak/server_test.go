package soak_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/testkit"
)

// childVariable makes the test binary be the program.
const childVariable = "SOAK_TEST_CHILD"

const configuration = `
[http]
listen = "127.0.0.1:0"

[metrics]
listen = "127.0.0.1:0"

[log]
format = "json"

[store]
path = "%s"

[webhooks]
grace = "300ms"
user_grace = "300ms"
start_grace = "1s"

[[apps]]
id = "` + testkit.AppID + `"
key = "` + testkit.Key + `"
secret = "` + testkit.Secret + `"
client_events = true
sign_in = true
watchlists = true
subscription_count = true
max_client_events = 0

[[apps.webhooks]]
id = "soak"
url = "%s"
event_types = ["channel_occupied", "channel_vacated", "member_added", "member_removed", "client_event", "user_online", "user_offline"]
`

// server is a server in a process of its own.
type server struct {
	addr, metrics string
	cmd           *exec.Cmd
	http          http.Client
	logged        sync.WaitGroup
}

// startServer runs a server until the test ends. What it logs above info is a fault.
func startServer(t *testing.T, f *faults, hook string) *server {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "millrace.toml")
	text := fmt.Sprintf(configuration, filepath.Join(dir, "data"), hook)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &server{cmd: exec.Command(os.Args[0], "serve", "--dev", "--config", file)}
	s.http.Timeout = waitLimit
	s.cmd.Env = append(s.cmd.Environ(), childVariable+"=1")
	out, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	s.logged.Go(func() { s.follow(out, f, ready) }) // ends with the process
	t.Cleanup(func() { s.stop(t) })
	select {
	case <-ready:
	case <-time.After(waitLimit):
		t.Fatal("the server does not serve")
	}
	return s
}

// follow reads the log.
func (s *server) follow(log io.Reader, f *faults, ready chan<- struct{}) {
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line struct {
			Level, Msg, Addr string
			MetricsAddr      string `json:"metrics_addr"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			f.add("the log has a line that is no JSON: %s", lines.Text())
			continue
		}
		switch {
		case line.Msg == "serving":
			s.addr, s.metrics = line.Addr, line.MetricsAddr
			close(ready)
		case line.Level != "INFO" && line.Level != "DEBUG":
			f.add("logged: %s", lines.Text())
		}
	}
}

func (s *server) stop(t *testing.T) {
	s.http.CloseIdleConnections()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	killer := time.AfterFunc(2*waitLimit, func() { _ = s.cmd.Process.Kill() })
	s.logged.Wait()
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
	killer.Stop()
}

// api sends a signed request and reads the answer into v.
func (s *server) api(ctx context.Context, method, target, body string, v any) error {
	path, query, _ := strings.Cut(target, "?")
	query, err := testkit.SignedQuery(method, path, query, body, time.Now())
	if err != nil {
		return err
	}
	return s.do(ctx, method, "http://"+s.addr+path+"?"+query, body, func(r io.Reader) error {
		return json.NewDecoder(r).Decode(v)
	})
}

func (s *server) do(ctx context.Context, method, url, body string, read func(io.Reader) error) error {
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	answer, err := s.http.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(answer.Body)
		return fmt.Errorf("%s answered %d: %s", url, answer.StatusCode, text)
	}
	return read(answer.Body)
}

// usage is what the server has after it has collected its garbage.
type usage struct{ heap, goroutines float64 }

func (s *server) usage(ctx context.Context) (u usage, err error) {
	discard := func(r io.Reader) error { _, err := io.Copy(io.Discard, r); return err }
	if err := s.do(ctx, http.MethodGet, "http://"+s.metrics+"/debug/pprof/heap?gc=1", "", discard); err != nil {
		return u, err
	}
	return u, s.do(ctx, http.MethodGet, "http://"+s.metrics+"/metrics", "", func(r io.Reader) error {
		lines := bufio.NewScanner(r)
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), " ")
			n, _ := strconv.ParseFloat(value, 64)
			switch name {
			case "go_memstats_heap_alloc_bytes":
				u.heap = n
			case "go_goroutines":
				u.goroutines = n
			}
		}
		if u.heap == 0 || u.goroutines == 0 {
			return fmt.Errorf("the metrics say nothing of memory: %+v", u)
		}
		return lines.Err()
	})
}
