package hub_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/hub"
)

func TestFlushReturnsWhenWhatWaitedIsWithTheConnections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Options{Codecs: codecs(), Shards: 3})
		var peers []*peer
		for range 50 {
			p := attach(t, h)
			p.open(t, "busy")
			peers = append(peers, p)
		}
		peers[0].open(t, "quiet")
		receive(h, "busy", 1, 5000) // many rounds
		receive(h, "quiet", 1, 1)
		done := make(chan error, 1)
		go func() { done <- h.Flush(t.Context()) }() // ends with the flush
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("returned before anything was delivered: %v", err)
		default:
		}
		run(t, h)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		got, _ := peers[0].take()
		if len(got) != 5001 {
			t.Errorf("got %d frames, want 5001", len(got))
		}
		for _, p := range peers[1:] {
			got, _ := p.take()
			if diff := cmp.Diff(lines("busy", 1, 5000), got); diff != "" {
				t.Fatalf("frames differ (-want +got):\n%s", diff)
			}
		}
		for range 3 { // with nothing to wait for
			if err := h.Flush(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestFlushEndsWithItsContextAndWithTheHub(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Options{Codecs: codecs()})
		p := attach(t, h)
		p.open(t, "a")
		receive(h, "a", 1, 1)
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := h.Flush(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("before Run: got %v, want the end of the context", err)
		}
		ended, end := context.WithCancel(t.Context())
		end()
		if err := h.Run(ended); err != nil {
			t.Fatal(err)
		}
		p.expect(t, "a/1")
		if err := h.Flush(t.Context()); err != nil {
			t.Errorf("after Run: %v", err)
		}
	})
}
