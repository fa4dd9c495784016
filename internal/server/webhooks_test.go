package server_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/testkit"
)

// The cases of pusher 8.9, against a server of the app. W04 and W13 to W17 and W19 are
// those of package webhook alone, which proves them on a clock of its own.

func TestW01ToW03OneOccupiedAndOneVacatedAfterTheGrace(t *testing.T) {
	t.Parallel()
	r := receiveHooks(t)
	c := withHooks(r.hook(ofChannels...))
	c.Webhooks.Batching = false
	s, _ := startServer(t, c)
	a, b := connect(t, s), connect(t, s)
	a.enter("prices")
	r.expect(t, "W01 a joins", occupied("prices"))
	b.enter("prices")
	a.exit("prices")
	left := time.Now()
	b.Cut()
	r.expect(t, "W02 and W03 the last leaves", vacated("prices"))
	requests, _, _ := r.all()
	if took := requests[1].At.Sub(left); took < c.Webhooks.Grace.D() {
		t.Errorf("W03 vacated %s after the last has left", took)
	}
	if got := requests[0].Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("W01 content type %q", got)
	}
	if len(requests[0].events) != 1 || len(requests[1].events) != 1 {
		t.Errorf("W01 batching is off, and requests hold %q and %q", requests[0].events, requests[1].events)
	}
}

func TestW05FiftyConnectionsCutAtOnceVacateOnce(t *testing.T) {
	t.Parallel()
	r := receiveHooks(t)
	s, _ := startServer(t, withHooks(r.hook(ofChannels...)))
	clients := make([]*hooked, 50)
	for i := range clients {
		clients[i] = connect(t, s)
		clients[i].enter("prices")
	}
	var wg sync.WaitGroup
	for _, c := range clients {
		wg.Go(c.Cut)
	}
	wg.Wait()
	r.expect(t, "all are cut", occupied("prices"), vacated("prices"))
	fence := connect(t, s)
	fence.enter("fence")
	fence.exit("fence")
	r.expect(t, "nothing else came meanwhile", occupied("fence"), vacated("fence"))
}

func TestW06AMemberIsAddedAtOnceAndRemovedAfterTheGrace(t *testing.T) {
	t.Parallel()
	r := receiveHooks(t)
	s, _ := startServer(t, withHooks(r.hook(ofMembers...)))
	a, twin := connect(t, s), connect(t, s)
	a.enter("presence-x", "u-9")
	r.expect(t, "the first connection", occupied("presence-x"), added("presence-x", "u-9"))
	twin.enter("presence-x", "u-9")
	a.exit("presence-x")
	twin.Cut()
	r.expect(t, "the last is gone", removed("presence-x", "u-9"), vacated("presence-x"))
}

func TestW07WhoReturnsInTimeWasNeverGone(t *testing.T) {
	t.Parallel()
	r := receiveHooks(t)
	c := withHooks(r.hook(ofMembers...))
	c.Webhooks.Grace = config.Duration(1500 * time.Millisecond)
	s, _ := startServer(t, c)
	watcher, a := connect(t, s), connect(t, s)
	watcher.enter("presence-x", "u-watcher")
	a.enter("presence-x", "u-9")
	r.expect(t, "both come", occupied("presence-x"), added("presence-x", "u-watcher"), added("presence-x", "u-9"))
	a.leaveAndReturn("presence-x", "u-9")
	for _, want := range []string{"member_added", "member_removed", "member_added"} {
		if f, err := watcher.Next(waitLimit); err != nil || !strings.Contains(string(f.Payload), want) {
			t.Fatalf("on the WebSocket: got %q, %v, want %s", f.Payload, err, want)
		}
	}
	a.enter("fence")
	a.exit("fence")
	r.expect(t, "only of the other channel", occupied("fence"), vacated("fence"))
}

func TestW08AndW09ClientEventsThatAreAccepted(t *testing.T) {
	t.Parallel()
	r := receiveHooks(t)
	c := withHooks(r.hook("client_event"))
	c.Apps[0].ClientEvents = true
	s, _ := startServer(t, c)
	a := connect(t, s)
	a.enter("prices")
	a.enter("presence-x", "u-9")
	a.enter("private-y")
	trigger := func(channel, data, want string) {
		t.Helper()
		a.say("client-typing", data+`,"channel":"`+channel+`"`, want)
		a.fence()
	}
	trigger("prices", `1`, `"code":4301`)
	trigger("private-not-joined", `1`, `"code":4301`)
	trigger("presence-x", `{"to": ["all"]}`, "")
	trigger("private-y", `"{\"n\":1}"`, "")
	r.expect(t, "accepted ones alone",
		`{"name":"client_event","channel":"presence-x","event":"client-typing","data":"{\"to\": [\"all\"]}","socket_id":"`+a.id+`","user_id":"u-9"}`,
		`{"name":"client_event","channel":"private-y","event":"client-typing","data":"{\"n\":1}","socket_id":"`+a.id+`"}`)
}

func TestW10ToW12EachWebhookGetsWhatItAsksForWithItsHeaders(t *testing.T) {
	t.Parallel()
	r := receiveHooks(t)
	filtered, cache, counts := r.hook("channel_occupied"), r.hook("cache_miss"), r.hook("subscription_count")
	filtered.ChannelPrefix = "presence-"
	cache.Headers = []config.Secret{"X-Pusher-Key: evil", "X-Pusher-Signature: evil", "X-Tenant: blue"}
	filtered.ID, cache.ID, counts.ID = "filtered", "cache", "counts"
	s, _ := startServer(t, withHooks(filtered, cache, counts))
	a := connect(t, s)
	a.enter("cache-x")
	a.enter("presence-x", "u-9")
	err := testkit.Eventually(t.Context(), func() error {
		_, events, _ := r.all()
		if len(events) < 3 {
			return fmt.Errorf("got %q", events)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	requests, _, _ := r.all()
	got := map[string]string{} // by event: a header
	for _, req := range requests {
		for _, e := range req.events {
			got[e] = req.Header.Get("X-Tenant") // the receiver checks key and signature
		}
	}
	want := map[string]string{
		`{"name":"cache_miss","channel":"cache-x"}`: "blue", occupied("presence-x"): "", count("cache-x", 1): "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("W10, W11 and W12: events and custom headers (-want +got):\n%s", diff)
	}
}

func TestW18SubscriptionCountsOfChannelsThatHaveNoMembers(t *testing.T) {
	t.Parallel()
	r := receiveHooks(t)
	s, _ := startServer(t, withHooks(r.hook("subscription_count")))
	a, b := connect(t, s), connect(t, s)
	a.enter("presence-x", "u-9")
	a.enter("prices")
	b.enter("prices")
	b.exit("prices")
	a.exit("presence-x")
	a.exit("prices")
	r.expect(t, "every change", count("prices", 1), count("prices", 2), count("prices", 1), count("prices", 0))
}

func TestS15SubscribesThatAreCutAtOnceLeaveNoImbalance(t *testing.T) {
	t.Parallel()
	r := receiveHooks(t)
	s, _ := startServer(t, withHooks(r.hook(ofMembers...)))
	const rounds, channels = 10, 100
	for range rounds {
		a := connect(t, s)
		var frames []byte
		for i := range channels {
			text := fmt.Sprintf(`{"event":"pusher:subscribe","data":{"channel":"room-%d"}}`, i)
			frames = testkit.AppendFrame(frames, testkit.Text, []byte(text))
		}
		if err := a.SendRaw(frames); err != nil {
			t.Fatal(err)
		}
		a.Cut()
	}
	err := testkit.Eventually(t.Context(), func() error {
		if n := s.Connections(); n > 0 {
			return fmt.Errorf("%d connections", n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	fence := connect(t, s)
	fence.enter("fence")
	fence.exit("fence")
	err = testkit.Eventually(t.Context(), func() error {
		_, events, _ := r.all()
		present := map[string]bool{}
		for _, e := range events {
			channel := strings.TrimPrefix(strings.TrimPrefix(e, `{"name":"channel_occupied",`), `{"name":"channel_vacated",`)
			isOccupied := strings.Contains(e, "occupied")
			if present[channel] == isOccupied {
				t.Fatalf("%s comes twice in a row", e)
			}
			if present[channel] = isOccupied; !isOccupied {
				delete(present, channel)
			}
		}
		if !slices.Contains(events, vacated("fence")) || len(present) > 0 {
			return fmt.Errorf("never vacated: %q", slices.Collect(maps.Keys(present)))
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
