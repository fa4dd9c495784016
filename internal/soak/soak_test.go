package soak_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/cli"
)

var (
	soakFor  = flag.Duration("soak.for", 6*time.Second, "how long clients come and go")
	soakSeed = flag.Uint64("soak.seed", 0, "of what is random; 0 takes the time")
)

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		os.Exit(cli.Run())
	}
	os.Exit(m.Run())
}

const (
	workers   = 40
	roundTime = 3 * time.Second
)

func TestSoak(t *testing.T) {
	t.Parallel()
	seed := *soakSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	f := new(faults)
	h := newHooks(f)
	receiver := httptest.NewServer(h)
	defer receiver.Close()
	w := &world{f: f, hooks: h, feeds: map[string]*feed{}, server: startServer(t, f, receiver.URL)}
	for _, channel := range channels() {
		w.feeds[channel] = new(feed)
	}
	w.watch(t)
	defer w.readers.Wait()
	defer func() { w.watcher.close(false) }()

	var uses []usage
	for round := range max(2, int(*soakFor/roundTime)) {
		w.round(t, seed, round)
		f.report(t)
		u, err := w.server.usage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		uses = append(uses, u)
	}
	t.Logf("%d rounds, %d webhook events; heap after the first %.1f MB, after the last %.1f MB",
		len(uses), h.events, uses[0].heap/(1<<20), uses[len(uses)-1].heap/(1<<20))
	checkFlat(t, uses)
}

// watch connects who is in every presence channel from the beginning.
func (w *world) watch(t *testing.T) {
	t.Helper()
	c, err := connect(w, "watcher")
	if err != nil {
		t.Fatal(err)
	}
	w.watcher = c
	for _, channel := range channels() {
		if isPresence(channel) {
			if err := c.subscribe(channel); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// round lets clients come and go, then holds everything against the truth twice: with
// whoever is there, and when all have gone.
func (w *world) round(t *testing.T, seed uint64, round int) {
	t.Helper()
	left := make([]*client, workers)
	var churning, publishing sync.WaitGroup
	publishers, stopPublishers := context.WithCancel(t.Context())
	ctx, stop := context.WithTimeout(t.Context(), roundTime)
	defer stop()
	for i, channel := range channels() {
		publishing.Go(func() { // ends with stopPublishers
			w.publish(publishers, channel, random(seed, round, workers+i))
		})
	}
	for i := range left {
		churning.Go(func() { left[i] = w.churn(ctx, random(seed, round, i)) }) // ends with ctx
	}
	churning.Wait()
	stopPublishers()
	publishing.Wait()
	w.check(t, left)
	for i, c := range left {
		if c != nil {
			c.close(i%2 == 0)
		}
	}
	w.check(t, nil)
}

func random(seed uint64, round, who int) *rand.Rand {
	return rand.New(rand.NewPCG(seed, uint64(round)<<32|uint64(who)))
}

// checkFlat holds that what the server has when all have gone does not grow from round to
// round: the least of the last third against the greatest of the first.
func checkFlat(t *testing.T, uses []usage) {
	t.Helper()
	third := (len(uses) + 2) / 3
	first, last := uses[:third], uses[len(uses)-third:]
	least, greatest := last[0], first[0]
	for _, u := range last {
		least.heap, least.goroutines = min(least.heap, u.heap), min(least.goroutines, u.goroutines)
	}
	for _, u := range first {
		greatest.heap, greatest.goroutines = max(greatest.heap, u.heap), max(greatest.goroutines, u.goroutines)
	}
	const slack = 2 << 20
	if least.heap > greatest.heap*1.1+slack {
		t.Errorf("the heap grows: %s", table(uses))
	}
	if least.goroutines > greatest.goroutines+10 {
		t.Errorf("goroutines are left: %s", table(uses))
	}
}

func table(uses []usage) string {
	var b strings.Builder
	for i, u := range uses {
		fmt.Fprintf(&b, "\nround %d: %.0f bytes, %.0f goroutines", i, u.heap, u.goroutines)
	}
	return b.String()
}

// isOver reports whether the server has ended the connection.
func (c *client) isOver() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// members are those that it believes to be in a presence channel.
func (c *client) members(channel string) map[string]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	copied := map[string]bool{}
	for id := range c.subs[channel].members {
		copied[id] = true
	}
	return copied
}
