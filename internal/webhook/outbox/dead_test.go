package outbox_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/webhook"
	"github.com/millrace/millrace/internal/webhook/outbox"
)

// withStores runs a test with memory only and with the embedded store.
func withStores(t *testing.T, test func(t *testing.T, r *receiver, o outbox.Options)) {
	for _, kind := range []string{"memory", "embedded"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, r *receiver, o outbox.Options) {
				if kind == "embedded" {
					s := openStore(t, t.TempDir())
					t.Cleanup(func() { closeStore(t, s) })
					o.Store = s
				}
				test(t, r, o)
			})
		})
	}
}

func deadOf(t *testing.T, n *node) (letters []webhook.Letter) {
	t.Helper()
	letters, err := n.Dead(t.Context(), "app", 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return letters
}

func TestReplayAndDiscard(t *testing.T) {
	t.Parallel()
	withStores(t, func(t *testing.T, r *receiver, o outbox.Options) {
		p := unbatched(hook("hook"))
		p.Retry.MaxAttempts = 1
		gone := unbatched(hook("gone"))
		n := start(t, o, p, gone)
		r.answers(func(request, int) int { return 500 })
		for i := range 150 { // more than a page
			n.CacheMiss("app", fmt.Sprintf("cache-%d", i))
		}
		after(24 * time.Hour) // to the last: one a minute, the breaker being open
		if err := n.SetEndpoints("app", []webhook.Endpoint{p}); err != nil {
			t.Fatal(err)
		}
		after(time.Second)
		letters := deadOf(t, n)
		if len(letters) != 300 {
			t.Fatalf("got %d letters, want 300", len(letters))
		}
		failed := r.take()

		if _, err := n.Replay(t.Context(), "app", webhook.Selection{}); !errors.Is(err, webhook.ErrNothingSelected) {
			t.Errorf("nothing selected: got error %v", err)
		}
		if got, err := n.Discard(t.Context(), "other", webhook.Selection{All: true}); got != 0 || err != nil {
			t.Errorf("another app: got %d, %v", got, err)
		}
		if got, err := n.Replay(t.Context(), "app", webhook.Selection{Endpoint: "gone"}); got != 0 || !errors.Is(err, webhook.ErrNoEndpoint) {
			t.Errorf("an endpoint that is gone: got %d, %v", got, err)
		}
		if got, err := n.Discard(t.Context(), "app", webhook.Selection{Endpoint: "gone"}); got != 150 || err != nil {
			t.Errorf("discard of an endpoint: got %d, %v", got, err)
		}
		r.answers(nil)
		letters = deadOf(t, n)
		got, err := n.Replay(t.Context(), "app", webhook.Selection{Numbers: []uint64{letters[3].Number, letters[1].Number, 12345}})
		if got != 2 || err != nil {
			t.Errorf("replay of two: got %d, %v", got, err)
		}
		after(2 * time.Minute)
		replayed := r.take()
		if len(replayed) != 2 || eventsText(replayed[0]) != eventsText(failed[1]) || eventsText(replayed[1]) != eventsText(failed[3]) ||
			replayed[0].Header.Get("X-Millrace-Delivery") != failed[1].Header.Get("X-Millrace-Delivery") {
			t.Errorf("got %v, want the second and the fourth as they were", replayed)
		}
		if got, err := n.Replay(t.Context(), "app", webhook.Selection{All: true}); got != 148 || err != nil {
			t.Errorf("replay of all: got %d, %v", got, err)
		}
		after(2 * time.Minute)
		var want, came []string
		for i := range 150 {
			if i != 1 && i != 3 {
				want = append(want, fmt.Sprintf("cache_miss cache-%d", i))
			}
		}
		for _, req := range r.take() {
			came = append(came, req.events(t)...)
		}
		if diff := cmp.Diff(want, came); diff != "" {
			t.Errorf("replay of all, in order (-want +got):\n%s", diff)
		}
		if letters := deadOf(t, n); len(letters) != 0 {
			t.Errorf("%d letters are left", len(letters))
		}
		_ = n.stop()
		if _, err := n.Replay(t.Context(), "app", webhook.Selection{All: true}); err != nil {
			t.Errorf("Replay of nothing after the end: %v", err)
		}
	})
}

// A letter that finds no room is not overtaken by a smaller one that would.
func TestReplayedLettersKeepTheirOrder(t *testing.T) {
	t.Parallel()
	withStores(t, func(t *testing.T, r *receiver, o outbox.Options) {
		o.MaxPending = 1970
		p := unbatched(hook("hook"))
		p.Retry.MaxAttempts = 1
		n := start(t, o, p)
		r.answers(func(request, int) int { return 500 })
		for _, size := range []int{1900, 10, 1900, 10} {
			n.CacheMiss("app", "cache-"+strings.Repeat("x", size))
			after(time.Second)
		}
		p.Retry.MaxAttempts = 0
		if err := n.SetEndpoints("app", []webhook.Endpoint{p}); err != nil {
			t.Fatal(err)
		}
		n.CacheMiss("app", "cache-waits")
		after(time.Second)
		before := deadOf(t, n)
		if got, err := n.Replay(t.Context(), "app", webhook.Selection{All: true}); got != 0 || !errors.Is(err, webhook.ErrBacklog) {
			t.Errorf("got %d, %v, want none before the first", got, err)
		}
		if diff := cmp.Diff(before, deadOf(t, n)); diff != "" {
			t.Errorf("letters (-before +after):\n%s", diff)
		}
		r.answers(nil)
		after(time.Minute)
		if got, err := n.Replay(t.Context(), "app", webhook.Selection{All: true}); got != 1 || !errors.Is(err, webhook.ErrBacklog) {
			t.Errorf("once nothing waits: got %d, %v, want the first", got, err)
		}
	})
}

func TestReplayedLettersMayDieAgain(t *testing.T) {
	t.Parallel()
	withStores(t, func(t *testing.T, r *receiver, o outbox.Options) {
		p := unbatched(hook("hook"))
		p.Retry.MaxAttempts = 1
		n := start(t, o, p)
		r.answers(func(request, int) int { return 500 })
		n.CacheMiss("app", "cache-x")
		after(time.Second)
		for range 3 {
			if got, err := n.Replay(t.Context(), "app", webhook.Selection{All: true}); got != 1 || err != nil {
				t.Fatalf("got %d, %v", got, err)
			}
			after(time.Minute)
			if letters := deadOf(t, n); len(letters) != 1 || letters[0].Attempts != 1 {
				t.Fatalf("got letters %+v, want one", letters)
			}
		}
		_ = n.stop()
		if _, err := n.Replay(t.Context(), "app", webhook.Selection{All: true}); !errors.Is(err, webhook.ErrClosed) {
			t.Errorf("after the end: got error %v, want ErrClosed", err)
		}
	})
}

func TestRemovedEndpoint(t *testing.T) {
	t.Parallel()
	withStores(t, func(t *testing.T, r *receiver, o outbox.Options) {
		stuck := newReceiver(t)
		stuck.answers(func(request, int) int { return 0 })
		o.Transport = transport{"hook": r, "stuck": stuck, "kept": stuck}
		kept := hook("kept")
		n := start(t, o, hook("stuck"), kept)
		n.CacheMiss("app", "cache-a")
		after(time.Second) // the request hangs
		n.CacheMiss("app", "cache-b")
		after(time.Second)
		kept.URL = "http://hook/"
		if err := n.SetEndpoints("app", []webhook.Endpoint{kept, hook("new")}); err != nil {
			t.Fatal(err)
		}
		after(11 * time.Second) // until the request that hangs has timed out
		r.expect(t, "what waits for an endpoint that stays", "cache_miss cache-a", "cache_miss cache-b")
		var events strings.Builder
		for _, l := range deadOf(t, n) {
			if l.Endpoint != "stuck" || l.Reason != webhook.ReasonRemoved {
				t.Errorf("got letter %+v", l)
			}
			events.Write(l.Events)
		}
		if want := `{"name":"cache_miss","channel":"cache-a"}{"name":"cache_miss","channel":"cache-b"}`; events.String() != want {
			t.Errorf("got dead events %s, want %s", &events, want)
		}
		close(stuck.release)
	})
}

func TestWhatWaitsIsBounded(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]func(*outbox.Options){
		"for one endpoint": func(o *outbox.Options) { o.MaxPending = 10_000 },
		"in all":           func(o *outbox.Options) { o.MaxPendingTotal = 10_000 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			withStores(t, func(t *testing.T, r *receiver, o outbox.Options) {
				limit(&o)
				n := start(t, o, unbatched(hook("hook")))
				r.answers(func(request, int) int { return 500 })
				for i := range 1000 {
					n.CacheMiss("app", fmt.Sprintf("cache-%03d", i))
					if i%10 == 0 {
						after(time.Millisecond)
					}
				}
				after(time.Second)
				s := n.Status("app")[0]
				if s.Bytes > 10_500 || s.Bytes < 4_500 {
					t.Errorf("%d bytes wait", s.Bytes)
				}
				letters := deadOf(t, n)
				if len(letters)+s.Events != 1000 {
					t.Errorf("%d are dead and %d wait, of 1000", len(letters), s.Events)
				}
				for i, l := range letters { // all but the first, which is being tried
					if want := fmt.Sprintf(`{"name":"cache_miss","channel":"cache-%03d"}`, i+1); string(l.Events) != want || l.Reason != webhook.ReasonOverflow {
						t.Fatalf("letter %d is %s, %s", i, l.Reason, l.Events)
					}
				}
			})
		})
	}
}

func TestDeadLettersAreBounded(t *testing.T) {
	t.Parallel()
	withStores(t, func(t *testing.T, r *receiver, o outbox.Options) {
		o.MaxDead = 10
		p := unbatched(hook("hook"))
		p.Retry.MaxAttempts = 1
		n := start(t, o, p)
		r.answers(func(request, int) int { return 500 })
		for i := range 30 {
			n.CacheMiss("app", fmt.Sprintf("cache-%02d", i))
		}
		after(time.Hour)
		letters := deadOf(t, n)
		if len(letters) != 10 || string(letters[0].Events) != `{"name":"cache_miss","channel":"cache-20"}` {
			t.Errorf("got %d letters, the first %s", len(letters), letters[0].Events)
		}
		after(8 * 24 * time.Hour)
		if letters := deadOf(t, n); len(letters) != 0 {
			t.Errorf("%d letters are left after 8 days", len(letters))
		}
	})
}
