package server

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/httpapi/operators"
	"github.com/millrace/millrace/internal/room"
)

func TestHealthFollowsTheStores(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var mu sync.Mutex // of answer and isHanging, which the test sets while the watcher runs
		var answer error
		isHanging := false
		hangs := make(chan struct{})
		looks := 0
		v := &storeCheck{name: "embedded", log: slog.New(slog.NewTextHandler(&log, nil)), ask: func(ctx context.Context) error {
			looks++
			if _, ok := ctx.Deadline(); !ok {
				t.Error("a look without a deadline")
			}
			mu.Lock()
			err, waits := answer, isHanging
			mu.Unlock()
			if waits {
				<-hangs // a system call that nobody can interrupt
			}
			return err
		}}
		s := &Server{storeChecks: []*storeCheck{v}} // no webhooks store nothing
		expect := func(when string, want operators.Health) {
			t.Helper()
			for range 1000 { // asking costs nothing
				if got := s.health(t.Context()); got != want {
					t.Fatalf("%s: got %v, want %v", when, got, want)
				}
			}
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { v.run(ctx); close(ended) }()
		wait := func(d time.Duration) { time.Sleep(d); synctest.Wait() }
		set := func(err error, hangs bool) {
			mu.Lock()
			defer mu.Unlock()
			answer, isHanging = err, hangs
		}

		wait(time.Millisecond)
		expect("a store that works", operators.HealthOK)
		set(errors.New("database or disk is full"), false)
		wait(lookPause)
		expect("a store that fails", operators.HealthDegraded)
		wait(10 * lookPause)
		set(nil, false)
		wait(lookPause)
		expect("a store that works again", operators.HealthOK)
		set(nil, true)
		wait(lookPause)
		expect("a look that may still come to its end", operators.HealthOK)
		wait(2*lookTimeout + time.Millisecond)
		expect("a disk that hangs", operators.HealthDegraded)
		set(nil, false)
		close(hangs)
		wait(lookPause)
		expect("a disk that hangs no more", operators.HealthOK)

		stop()
		<-ended
		if looks > 20 {
			t.Errorf("%d looks", looks)
		}
		for _, line := range []string{"disk is full", "can be used again"} {
			if n := strings.Count(log.String(), line); n != 1 {
				t.Errorf("%q is logged %d times:\n%s", line, n, &log)
			}
		}
	})
}

// While webhooks cannot be stored the node says that it is degraded, and serves.
func TestANodeThatCannotStoreWebhooksIsDegraded(t *testing.T) {
	t.Parallel()
	c := config.Development()
	c.HTTP.Listen, c.Metrics.Listen, c.Store.Path = "127.0.0.1:0", "", t.TempDir()
	h := config.DefaultWebhook()
	h.URL, h.EventTypes = "http://127.0.0.1:1/", []string{"channel_occupied"}
	c.Apps[0].Webhooks = []config.Webhook{h}
	s, err := New(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if got := s.health(t.Context()); got != operators.HealthOK {
		t.Errorf("at the start: %d", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s.webhooks.Tell(&room.Event{Kind: room.ChannelOccupied, App: c.Apps[0].ID, Channel: "prices"})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.webhooks.Run(ended); err == nil {
		t.Error("it was stored where there is no store")
	}
	if got := s.health(t.Context()); got != operators.HealthDegraded {
		t.Errorf("without a store: %d", got)
	}
}
