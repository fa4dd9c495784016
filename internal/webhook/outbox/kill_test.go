package outbox_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/room"
	"github.com/millrace/millrace/internal/store/embedded"
	"github.com/millrace/millrace/internal/webhook"
	"github.com/millrace/millrace/internal/webhook/outbox"
)

// childCommand, as its first argument, makes the test binary a process that tells an engine of
// events until it is killed. A folder, the URL of its endpoint and a number follow.
const childCommand = "tell-until-killed"

// perRound is how many events there are between two lines that the child prints.
const perRound = 50

// oneApp is a registry of the one app of the child.
type oneApp struct{}

func (oneApp) ByID(context.Context, string) (*app.App, error) {
	return &app.App{ID: "app", Key: "mill-key", Secret: "mill-key-secret", Enabled: true}, nil
}

func killEndpoint(url string) webhook.Endpoint {
	p := webhook.Endpoint{ID: "hook", URL: url, EventTypes: all()}
	p.Retry.InitialBackoff, p.Retry.MaxBackoff = 20*time.Millisecond, 100*time.Millisecond
	p.RequestTimeout = time.Second
	p.Batching.Duration = 5 * time.Millisecond
	return p
}

// tellUntilKilled tells of numbered client events of four channels. Once all of a round are
// stored, it prints the round's last number.
func tellUntilKilled(folder, url, from string) int {
	ctx := context.Background()
	s, err := embedded.Open(ctx, embedded.Options{Path: folder})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	stored := &committed{Store: s, wake: make(chan struct{}, 1)}
	e := outbox.New(outbox.Options{Apps: oneApp{}, Store: stored})
	if err := e.SetEndpoints("app", []webhook.Endpoint{killEndpoint(url)}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := e.Load(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	go func() { _ = e.Run(ctx) }()
	number, err := strconv.Atoi(from)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for {
		before := stored.events.Load()
		for range perRound {
			e.Tell(&room.Event{Kind: room.ClientEvent, App: "app", Channel: fmt.Sprintf("private-%d", number%4), Name: "client-n", Data: []byte(strconv.Itoa(number)), Socket: protocol.SocketID{}, User: ""})
			number++
		}
		for stored.events.Load() < before+perRound {
			<-stored.wake
		}
		fmt.Fprintln(os.Stdout, number-1)
	}
}

// committed counts the events that the store has acknowledged.
type committed struct {
	webhook.Store
	events atomic.Int64
	wake   chan struct{}
}

func (c *committed) CommitWebhooks(ctx context.Context, commit *webhook.Commit) error {
	err := c.Store.CommitWebhooks(ctx, commit)
	if err == nil {
		for _, p := range commit.Parts {
			c.events.Add(int64(p.Count))
		}
		select {
		case c.wake <- struct{}{}:
		default:
		}
	}
	return err
}

// TestNothingIsLostByKills kills the process again and again, while the receiver works, fails,
// hangs and answers slowly. What was stored arrives, in order within each channel, and again
// only under the same delivery id.
func TestNothingIsLostByKills(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	r := newReceiver(t)
	server := httptest.NewServer(r)
	defer server.Close()
	defer close(r.release)
	last := 0
	bodies := map[string]string{} // by delivery id, of all rounds: what a child has sent may be read late
	for round, answer := range []func(request, int) int{
		nil,
		func(_ request, n int) int { return []int{200, 500}[n%2] },
		func(_ request, n int) int { return []int{200, 0, 200, 200}[n%4] },
		func(request, int) int { return 503 },
		nil,
	} {
		r.answers(answer)
		first := (round + 1) * 1_000_000
		if got := tellAndKill(t, folder, server.URL, first); got > 0 {
			r.answers(nil)
			checkRound(t, folder, server.URL, r, bodies, first, got)
			last = got
		}
	}
	if last == 0 {
		t.Error("no round stored anything")
	}
}

// tellAndKill runs the child, kills it after some rounds, and returns the last number that is
// known to be stored.
func tellAndKill(t *testing.T, folder, url string, first int) (last int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0], childCommand, folder, url, strconv.Itoa(first))
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	rounds := 0
	for lines := bufio.NewScanner(out); lines.Scan(); rounds++ {
		if last, err = strconv.Atoi(lines.Text()); err != nil {
			t.Errorf("the child printed %q", lines.Text())
		}
		if rounds == 25 {
			if err := child.Process.Kill(); err != nil {
				t.Errorf("kill: %v", err)
			}
		}
	}
	if err := child.Wait(); err == nil || rounds <= 25 {
		t.Fatalf("the child ended by itself after %d rounds: %v", rounds, err)
	}
	return last
}

// checkRound starts an engine on what the child has left, lets it deliver, and looks at all
// that the receiver got since the child started.
func checkRound(t *testing.T, folder, url string, r *receiver, bodies map[string]string, first, last int) {
	t.Helper()
	s := openStore(t, folder)
	defer closeStore(t, s)
	n := start(t, outbox.Options{Store: s}, killEndpoint(url))
	waitFor(t, "everything is delivered", func() bool { return n.Status("app")[0].Events == 0 })
	if err := n.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if letters, err := n.Dead(t.Context(), "app", 0, 1); err != nil || len(letters) > 0 {
		t.Errorf("dead letters: %v, %v", letters, err)
	}
	next := map[string]int{}
	for _, req := range r.take() {
		id := req.Header.Get("X-Millrace-Delivery")
		if body, again := bodies[id]; again {
			if body != req.Body {
				t.Errorf("delivery %s has two bodies:\n%s\n%s", id, body, req.Body)
			}
			continue
		}
		bodies[id] = req.Body
		for _, raw := range req.raw(t) {
			var e struct {
				Channel string
				Data    int `json:",string"`
			}
			if err := json.Unmarshal(raw, &e); err != nil {
				t.Fatal(err)
			}
			want, known := next[e.Channel]
			if !known {
				want = first + int(e.Channel[len(e.Channel)-1]-'0')
			}
			if e.Data != want {
				t.Fatalf("%s: got %d, want %d", e.Channel, e.Data, want)
			}
			next[e.Channel] = e.Data + 4
		}
	}
	for i := range 4 {
		channel := fmt.Sprintf("private-%d", i)
		if got := next[channel] - 4; got+4 <= last {
			t.Errorf("%s ends with %d, but all up to %d were stored", channel, got, last)
		}
	}
}

// waitFor polls, since what it waits for happens beyond a network.
func waitFor(t *testing.T, what string, isTrue func() bool) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for !isTrue() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", strings.TrimSpace(what))
		}
		time.Sleep(5 * time.Millisecond)
	}
}
