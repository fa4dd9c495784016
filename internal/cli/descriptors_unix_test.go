//go:build unix

package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/testkit"
)

// limitedServer starts a server that may open 256 descriptors, and returns its addresses.
func limitedServer(t *testing.T, log *buffer) (public, operator string) {
	t.Helper()
	file := writeFile(t, "m.toml", `
[http]
listen = "127.0.0.1:0"
[metrics]
listen = "127.0.0.1:0"
[store]
driver = "memory"
[[apps]]
id = "`+testkit.AppID+`"
key = "`+testkit.Key+`"
secret = "`+testkit.Secret+`"
`)
	ctx, cancel := context.WithCancel(context.Background())
	child := exec.CommandContext(ctx, "sh", "-c", `ulimit -n 256; exec "$0" "$@"`, os.Args[0], "serve", "--dev", "--config", file)
	child.Env, child.Stderr = append(os.Environ(), childVariable+"=1"), log
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = child.Wait() })
	said(t, log, `"msg":"serving"`, 1)
	for line := range strings.Lines(log.String()) {
		var serving struct {
			Msg, Addr string
			Metrics   string `json:"metrics_addr"`
		}
		if json.Unmarshal([]byte(line), &serving) == nil && serving.Msg == "serving" {
			return serving.Addr, serving.Metrics
		}
	}
	t.Fatal("no address in the log")
	return "", ""
}

// fate is what became of a WebSocket connection.
type fate int

const (
	welcome fate = iota
	told4100
	answered503
	lost
)

var errStillFull = errors.New("there is no room yet")

// try connects and stays, whatever it is told.
func try(t *testing.T, addr string) (f fate, leave func()) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(waitLimit))
	_, _ = io.WriteString(conn, "GET /app/"+testkit.Key+"?protocol=7 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bWlsbHJhY2UtdGVzdGtpdA==\r\n\r\n")
	var got strings.Builder
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		got.Write(buf[:n])
		switch text := got.String(); {
		case strings.Contains(text, "connection_established"):
			return welcome, func() { _ = conn.Close() }
		case strings.Contains(text, `"code":4100`):
			return told4100, func() {}
		case strings.HasPrefix(text, "HTTP/1.1 503") && strings.Contains(text, "Retry-After: "):
			return answered503, func() {}
		case err != nil:
			return lost, func() {}
		}
	}
}

// medians asks a server for all that it owes at its limit, and returns how long each takes.
func medians(t *testing.T, public, operator string) map[string]time.Duration {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: waitLimit}
	took := map[string][]time.Duration{}
	ask := func(what, method, url, body string) {
		r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		if err != nil {
			t.Error(err)
			return
		}
		begun := time.Now()
		resp, err := client.Do(r)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			return
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s (%v)", what, resp.Status, err)
		}
		took[what] = append(took[what], time.Since(begun))
	}
	for range 20 {
		const path, body = "/apps/" + testkit.AppID + "/events", `{"name":"e","channel":"c","data":"d"}`
		query, err := testkit.SignedQuery(http.MethodPost, path, "", body, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		ask("publish", http.MethodPost, "http://"+public+path+"?"+query, body)
		ask("health", http.MethodGet, "http://"+public+"/up", "")
		ask("metrics", http.MethodGet, "http://"+operator+"/metrics", "")
	}
	found := map[string]time.Duration{}
	for what, all := range took {
		slices.Sort(all)
		found[what] = all[len(all)/2]
	}
	return found
}

// At its limit of descriptors a server still answers requests, and tells connections to come
// back later.
func TestAServerWithoutDescriptorsStaysUsefulAndObservable(t *testing.T) {
	t.Parallel()
	var log buffer
	public, operator := limitedServer(t, &log)
	count := map[fate]int{}
	var leaving []func()
	for count[told4100] == 0 {
		f, leave := try(t, public)
		if count[f]++; f == welcome {
			leaving = append(leaving, leave)
		}
		if f == lost || count[welcome] > 256 {
			t.Fatalf("before any was told 4100: %v\n%s", count, &log)
		}
	}
	if count[welcome] < 128 {
		t.Errorf("only %d connections were let in", count[welcome])
	}

	quiet := medians(t, public, operator)
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range 8 {
		wg.Go(func() { // a crowd that comes back at once
			for range 50 {
				f, _ := try(t, public)
				mu.Lock()
				count[f]++
				mu.Unlock()
			}
		})
	}
	took := medians(t, public, operator)
	wg.Wait()
	again := medians(t, public, operator)
	for what, median := range took { // a busy machine is slow without a crowd, too, before it or after
		if most := 100*time.Millisecond + 10*max(quiet[what], again[what]); median > most {
			t.Errorf("%s took %s, want at most %s", what, median, most)
		}
	}
	if count[answered503] == 0 || count[told4100] < 10 || count[welcome] > 256 {
		t.Errorf("connections: %d let in, %d told 4100, %d answered 503, %d lost", count[welcome], count[told4100], count[answered503], count[lost])
	}
	t.Logf("%d let in, %d told 4100, %d answered 503, %d lost; %v", count[welcome], count[told4100], count[answered503], count[lost], took)

	for _, leave := range leaving[:50] {
		leave()
	}
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	if err := testkit.Eventually(ctx, func() error {
		if f, _ := try(t, public); f != welcome {
			return errStillFull
		}
		return nil
	}); err != nil {
		t.Errorf("after others have left: %v", err)
	}
	if strings.Count(log.String(), "The server has no descriptor for the connection") == 0 {
		t.Errorf("the log does not say why:\n%s", &log)
	}
}
