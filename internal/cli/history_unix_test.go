//go:build unix

package cli_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/millrace/millrace/internal/client"
)

const keepsChannels = onDisk + `
history = true
[[apps]]
id = "live"
key = "live-key"
secret = "a-secret-of-16-bytes"
`

// history is what a server has acknowledged over its lives, of the channels "a" and "b".
type history struct {
	t      *testing.T
	file   string
	stream map[string]string // by channel

	mu    sync.Mutex
	acked map[string][]string // in the order of one publisher; guarded by mu
}

func newHistory(t *testing.T) *history {
	return &history{
		t: t, file: writeFile(t, "m.toml", fmt.Sprintf(keepsChannels, t.TempDir())),
		stream: map[string]string{}, acked: map[string][]string{},
	}
}

// start starts the server behind a shell command, and returns clients of both its apps.
func (h *history) start(shell string) (child *exec.Cmd, log *buffer, kept, live *client.Client) {
	h.t.Helper()
	log = new(buffer)
	child = exec.CommandContext(h.t.Context(), "sh", "-c", shell+` exec "$0" serve --config "$1"`, os.Args[0], h.file)
	child.Env, child.Stderr = append(os.Environ(), childVariable+"=1"), log
	if err := child.Start(); err != nil {
		h.t.Fatal(err)
	}
	said(h.t, log, `"msg":"serving"`, 1)
	of := func(app, key string) *client.Client {
		c, err := client.New(client.Options{
			URL: "http://" + address.FindStringSubmatch(log.String())[1], App: app, Key: key, Secret: "a-secret-of-16-bytes", Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			h.t.Fatal(err)
		}
		return c
	}
	return child, log, of("app-id", "app-key"), of("live", "live-key")
}

// publish publishes an event and notes it once it is acknowledged.
func (h *history) publish(ctx context.Context, c *client.Client, channel, publisher, text string) error {
	if err := c.Publish(ctx, client.Event{Name: publisher, Channels: []string{channel}, Data: text}); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	key := channel + " " + publisher
	h.acked[key] = append(h.acked[key], text)
	return nil
}

// check wants all that was acknowledged to be there once, in its order, with dense serials of one stream.
func (h *history) check(c *client.Client) (total int) {
	h.t.Helper()
	for _, channel := range []string{"a", "b"} {
		found := map[string][]string{}
		serial, next := uint64(0), ""
		for {
			page, err := c.History(h.t.Context(), channel, client.HistoryQuery{OldestFirst: true, After: next})
			if err != nil {
				h.t.Fatalf("history of %s: %v", channel, err)
			}
			for i := range page.Items {
				one := &page.Items[i]
				if serial++; one.Serial != serial {
					h.t.Fatalf("%s: serial %d follows %d", channel, one.Serial, serial-1)
				}
				if stream := h.stream[channel]; stream != "" && stream != one.StreamID {
					h.t.Fatalf("%s: the stream is %s, was %s", channel, one.StreamID, stream)
				}
				h.stream[channel] = one.StreamID
				key := channel + " " + one.Event
				found[key] = append(found[key], strings.Trim(string(one.Message.Data), `"`))
			}
			if next = page.Next; next == "" {
				break
			}
		}
		for key, acked := range h.acked {
			if !strings.HasPrefix(key, channel+" ") {
				continue
			}
			rest := found[key]
			for _, text := range acked {
				for len(rest) > 0 && rest[0] != text { // what was not acknowledged may be there too
					rest = rest[1:]
				}
				if len(rest) == 0 {
					h.t.Fatalf("%s: %s was acknowledged, and is gone, or comes before an earlier one", key, text)
				}
				rest = rest[1:]
				total++
			}
			seen := map[string]bool{}
			for _, text := range found[key] {
				if seen[text] {
					h.t.Errorf("%s: %s is kept twice", key, text)
				}
				seen[text] = true
			}
		}
	}
	return total
}

// TestAcknowledgedEventsOutliveAKill kills a server under load again and again.
func TestAcknowledgedEventsOutliveAKill(t *testing.T) {
	t.Parallel()
	const kills, publishers, each = 4, 8, 150
	h := newHistory(t)
	for life := range kills {
		child, _, c, _ := h.start("")
		h.check(c)
		ctx, cancel := context.WithCancel(t.Context())
		var acked atomic.Int64
		var all sync.WaitGroup
		for p := range publishers {
			all.Go(func() {
				for n := 0; ; n++ {
					if h.publish(ctx, c, "ab"[n%2:n%2+1], fmt.Sprint("p", p), fmt.Sprintf("%d-%d-%d", life, p, n)) != nil {
						return // it is killed
					}
					if acked.Add(1) == each {
						_ = child.Process.Kill()
						cancel()
					}
				}
			})
		}
		all.Wait()
		_ = child.Wait() // killed
		cancel()
	}
	child, log, c, _ := h.start("")
	if n := h.check(c); n < kills*each {
		t.Errorf("%d events were acknowledged, want %d at least", n, kills*each)
	}
	if err := h.publish(t.Context(), c, "a", "last", "x"); err != nil {
		t.Errorf("after the kills: %v\n%s", err, log)
	}
	h.check(c)
	_ = child.Process.Signal(syscall.SIGTERM)
	if err := child.Wait(); err != nil {
		t.Errorf("%v\n%s", err, log)
	}
}

// TestAFullDiskRefusesWhatIsKeptAlone fills the disk while the server runs: the limit on the size of files
// stands for it.
func TestAFullDiskRefusesWhatIsKeptAlone(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	child, log, c, live := h.start("ulimit -f 2048;")
	refused, text := error(nil), strings.Repeat("x", 8000)
	for n := 0; refused == nil && n < 1000; n++ {
		refused = h.publish(t.Context(), c, "a", "p", fmt.Sprint(n, "-", text))
	}
	if refused == nil || !strings.Contains(refused.Error(), "503 service_unavailable") || !strings.Contains(refused.Error(), "cannot be stored") {
		t.Errorf("on a full disk a publish to a channel that is kept is answered with %v\n%s", refused, log)
	}
	if err := live.Publish(t.Context(), client.Event{Name: "e", Channels: []string{"a"}, Data: text}); err != nil {
		t.Errorf("an app that keeps nothing: %v", err)
	}
	h.check(c)
	said(t, log, "cannot be stored, and is refused", 1)
	_ = child.Process.Kill()
	_ = child.Wait() // killed

	child, log, c, _ = h.start("")
	h.check(c)
	if err := h.publish(t.Context(), c, "a", "p", "room again"); err != nil {
		t.Errorf("with room again: %v\n%s", err, log)
	}
	if n := h.check(c); n < 10 {
		t.Errorf("only %d events were stored before the disk was full", n)
	}
	_ = child.Process.Signal(syscall.SIGTERM)
	if err := child.Wait(); err != nil {
		t.Errorf("%v\n%s", err, log)
	}
}
