package outbox_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/webhook"
	"github.com/millrace/millrace/internal/webhook/outbox"
)

// The cases of pusher 8.9, as far as they do not need channels.

func TestOccupiedAndVacated(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, r *receiver, o outbox.Options) {
		n := start(t, o, unbatched(hook("hook")))
		n.Occupied("app", "prices")
		after(time.Millisecond)
		got := r.take()
		if len(got) != 1 {
			t.Fatalf("W01 got %d requests, want 1", len(got))
		}
		if diff := cmp.Diff([]string{"channel_occupied prices"}, got[0].events(t)); diff != "" {
			t.Errorf("W01 (-want +got):\n%s", diff)
		}
		if key := got[0].Header.Get("X-Pusher-Key"); key != "mill-key" { // the receiver has checked the signature
			t.Errorf("W01 got key %q", key)
		}
		n.Occupied("app", "prices")
		after(time.Second)
		r.expect(t, "W02 a second subscriber")

		n.Vacated("app", "prices")
		after(3*time.Second - time.Millisecond)
		r.expect(t, "W03 before 3 s")
		after(200 * time.Millisecond)
		r.expect(t, "W03 after 3 s", "channel_vacated prices")

		n.Occupied("app", "prices")
		after(time.Second)
		r.expect(t, "occupied again", "channel_occupied prices")
		n.Vacated("app", "prices")
		after(2 * time.Second)
		n.Occupied("app", "prices")
		after(10 * time.Second)
		r.expect(t, "W04 back within 2 s")

		for range 50 { // the channel engine calls once; more must not hurt
			n.Vacated("app", "prices")
		}
		after(10 * time.Second)
		r.expect(t, "W05 all cut at once", "channel_vacated prices")
	})
}

func TestFlappingIsGoneThreeSecondsAfterTheLastLeave(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, r *receiver, o outbox.Options) {
		n := start(t, o, hook("hook"))
		n.Occupied("app", "prices")
		for range 20 {
			n.Vacated("app", "prices")
			after(700 * time.Millisecond)
			n.Occupied("app", "prices")
		}
		n.Vacated("app", "prices")
		after(2900 * time.Millisecond)
		r.expect(t, "before", "channel_occupied prices")
		after(300 * time.Millisecond)
		r.expect(t, "after", "channel_vacated prices")
	})
}

func TestMembers(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, r *receiver, o outbox.Options) {
		n := start(t, o, hook("hook"))
		const channel = "presence-room"
		n.Occupied("app", channel)
		n.MemberAdded("app", channel, "u-1")
		after(time.Second)
		r.expect(t, "W06 join", "channel_occupied presence-room", "member_added presence-room u-1")
		n.MemberRemoved("app", channel, "u-1")
		n.Vacated("app", channel)
		after(2900 * time.Millisecond)
		r.expect(t, "W06 before 3 s")
		after(300 * time.Millisecond)
		r.expect(t, "W06 leave, the member before the channel", "member_removed presence-room u-1", "channel_vacated presence-room")

		n.Occupied("app", channel)
		n.MemberAdded("app", channel, "u-1")
		after(time.Second)
		r.take()
		n.MemberRemoved("app", channel, "u-1")
		n.Vacated("app", channel)
		after(2 * time.Second)
		n.Occupied("app", channel)
		n.MemberAdded("app", channel, "u-1")
		after(10 * time.Second)
		r.expect(t, "W07 back within 2 s")

		n.MemberRemoved("app", channel, "u-1")
		after(2 * time.Second)
		n.MemberAdded("app", channel, "u-2")
		after(2 * time.Second)
		r.expect(t, "one goes, another comes", "member_added presence-room u-2", "member_removed presence-room u-1")
	})
}

func TestEventsAreWrittenAsPusherWritesThem(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, r *receiver, o outbox.Options) {
		n := start(t, o, hook("hook"))
		id, _ := protocol.ParseSocketID("4711.815")
		n.ClientEvent("app", "presence-x", "client-\"typing\"", []byte(`{"a": [1, "é"]}`), id, "u-9")
		n.ClientEvent("app", "private-x", "client-move", []byte(`"text"`), id, "")
		n.ClientEvent("app", "private-x", "client-move", nil, id, "")
		n.CacheMiss("app", "cache-x")
		n.SubscriptionCount("app", "prices", 3)
		n.UserOnline("app", "u-9")
		n.Occupied("app", "#server-to-user-u-9")
		n.CacheMiss("app", "#server-to-user-u-9")
		after(time.Second)
		got := r.take()
		if len(got) != 1 {
			t.Fatalf("got %d requests, want 1", len(got))
		}
		var events []string
		for _, e := range got[0].raw(t) {
			events = append(events, string(e))
		}
		want := []string{
			`{"name":"client_event","channel":"presence-x","event":"client-\"typing\"","data":"{\"a\": [1, \"é\"]}","socket_id":"4711.815","user_id":"u-9"}`, // W08
			`{"name":"client_event","channel":"private-x","event":"client-move","data":"text","socket_id":"4711.815"}`,
			`{"name":"client_event","channel":"private-x","event":"client-move","socket_id":"4711.815"}`,
			`{"name":"cache_miss","channel":"cache-x"}`,
			`{"name":"subscription_count","channel":"prices","subscription_count":3}`, // W18
			events[len(events)-1],
		}
		if diff := cmp.Diff(want, events); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		var seq uint64
		if _, err := fmt.Sscanf(events[5], `{"name":"user_online","channel":"#server-to-user-u-9","user_id":"u-9","seq":%d}`, &seq); err != nil || seq == 0 {
			t.Errorf("got %s: %v", events[5], err)
		}
	})
}

func TestFiltersAndTypesOfEachEndpoint(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, r *receiver, o outbox.Options) {
		presence := hook("a", "channel_occupied")
		presence.Filter.ChannelPrefix = "presence-"
		counts := hook("b", "subscription_count", "user_online")
		counts.Filter.ChannelPrefix = "p"
		third := hook("c", "channel_vacated")
		for _, p := range []*webhook.Endpoint{&presence, &counts, &third} {
			p.URL = "http://hook/same"
		}
		n := start(t, o, presence, counts, third)
		n.Occupied("app", "prices")
		after(time.Second)
		r.expect(t, "W10 filtered")
		n.Occupied("app", "presence-x")
		n.SubscriptionCount("app", "prices", 1)
		n.SubscriptionCount("app", "x", 1)
		n.CacheMiss("app", "presence-cache-x")
		n.UserOnline("app", "u")
		after(time.Second)
		got := r.take()
		if len(got) != 2 {
			t.Errorf("W11 got %d requests to the same URL, want 2", len(got))
		}
		n.Vacated("app", "prices")
		n.Vacated("app", "presence-x")
		after(5 * time.Second)
		r.expect(t, "one who is told of the end only", "channel_vacated prices", "channel_vacated presence-x")
		for kind, want := range map[webhook.Kind]bool{
			webhook.KindChannelOccupied: true, webhook.KindUserOnline: true, webhook.KindUserOffline: false, webhook.KindCacheMiss: false,
		} {
			if n.Wants("app", kind) != want || n.Wants("other", kind) {
				t.Errorf("Wants %s: got %t, and %t for another app", kind, n.Wants("app", kind), n.Wants("other", kind))
			}
		}
	})
}

func TestCustomHeaders(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, r *receiver, o outbox.Options) {
		p := hook("hook")
		p.Headers = map[string]string{
			"x-pusher-KEY": "evil", "X-Pusher-Signature": "evil", "Content-Type": "text/evil", "X-Millrace-Delivery": "evil",
			"authorization": "Bearer t", "X-Mine": "yes",
		}
		n := start(t, o, p)
		n.CacheMiss("app", "cache-x")
		after(time.Second)
		got := r.take() // which has checked all but what follows
		if len(got) != 1 {
			t.Fatalf("got %d requests, want 1", len(got))
		}
		h := got[0].Header
		if h.Get("X-Pusher-Key") != "mill-key" || h.Get("Authorization") != "Bearer t" || h.Get("X-Mine") != "yes" || h.Get("X-Millrace-Delivery") == "evil" {
			t.Errorf("W12 got headers %v", h)
		}
	})
}

func TestRetries(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, r *receiver, o outbox.Options) {
		n := start(t, o, hook("hook"))
		r.answers(func(_ request, n int) int {
			if n <= 2 {
				return 500
			}
			return 204
		})
		n.CacheMiss("app", "cache-x")
		after(time.Minute)
		got := r.take()
		if len(got) != 3 {
			t.Fatalf("W13 got %d attempts, want 3", len(got))
		}
		if a, b := got[1].At.Sub(got[0].At), got[2].At.Sub(got[1].At); a != time.Second || b != 2*time.Second {
			t.Errorf("W13 waited %s and %s, want 1 s and 2 s", a, b)
		}
		for _, again := range got[1:] {
			if again.Body != got[0].Body || again.Header.Get("X-Millrace-Delivery") != got[0].Header.Get("X-Millrace-Delivery") {
				t.Errorf("W13 the retry differs: %v and %v", got[0], again)
			}
		}
	})
}

func TestGivingUp(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		retry  app.WebhookRetry
		times  []time.Duration
		reason webhook.Reason
	}{
		"W14 404 always, max elapsed 3 s": {app.WebhookRetry{MaxElapsed: 3 * time.Second}, []time.Duration{0, 1, 3}, webhook.ReasonMaxElapsed},
		"at most so many attempts":        {app.WebhookRetry{MaxAttempts: 2}, []time.Duration{0, 1}, webhook.ReasonMaxAttempts},
		"no retries":                      {app.WebhookRetry{Enabled: app.SwitchOff}, []time.Duration{0}, webhook.ReasonNoRetry},
		"the back-off has a maximum": {
			app.WebhookRetry{InitialBackoff: 2 * time.Second, MaxBackoff: 5 * time.Second, MaxElapsed: 20 * time.Second},
			[]time.Duration{0, 2, 6, 11, 16},
			webhook.ReasonMaxElapsed,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, r *receiver, o outbox.Options) {
				p := hook("hook")
				p.Retry = c.retry
				n := start(t, o, p)
				r.answers(func(request, int) int { return 404 })
				n.CacheMiss("app", "cache-x")
				after(time.Minute)
				got := r.take()
				var times []time.Duration
				for _, req := range got {
					times = append(times, req.At.Sub(got[0].At)/time.Second)
				}
				if diff := cmp.Diff(c.times, times); diff != "" {
					t.Errorf("attempts, in seconds (-want +got):\n%s", diff)
				}
				letters, err := n.Dead(t.Context(), "app", 0, 10)
				if err != nil || len(letters) != 1 {
					t.Fatalf("got %v, %v; want one dead letter", letters, err)
				}
				l := letters[0]
				if l.Reason != c.reason || l.Attempts != len(c.times) || l.Detail != "status 404 Not Found" || l.Count != 1 ||
					string(l.Events) != `{"name":"cache_miss","channel":"cache-x"}` || l.Endpoint != "hook" {
					t.Errorf("got letter %+v", l)
				}
			})
		})
	}
}

func TestOneEndpointHangs(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, r *receiver, o outbox.Options) {
		stuck := newReceiver(t)
		stuck.answers(func(request, int) int { return 0 })
		tr, endpoints := transport{"hook": r}, []webhook.Endpoint{hook("hook")}
		for i := range 19 { // one permit is left
			id := fmt.Sprintf("stuck-%d", i)
			tr[id] = stuck
			endpoints = append(endpoints, hook(id))
		}
		o.Transport = tr
		n := start(t, o, endpoints...)
		for i := range 200 {
			channel := fmt.Sprintf("cache-%d", i)
			sent := time.Now()
			n.CacheMiss("app", channel)
			after(500 * time.Millisecond)
			got := r.take()
			if len(got) != 1 || got[0].events(t)[0] != "cache_miss "+channel {
				t.Fatalf("W15 got %v after 500 ms", got)
			}
			if d := got[0].At.Sub(sent); d > 60*time.Millisecond {
				t.Errorf("W15 event %d came after %s", i, d)
			}
		}
		close(stuck.release)
	})
}

// Endpoints that hang may be more than requests that may be under way.
func TestManyEndpointsHang(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, r *receiver, o outbox.Options) {
		stuck := newReceiver(t)
		stuck.answers(func(request, int) int { return 0 })
		var endpoints []webhook.Endpoint
		tr := transport{"hook": r}
		for i := range 100 {
			id := fmt.Sprintf("stuck-%d", i)
			tr[id] = stuck
			endpoints = append(endpoints, hook(id))
		}
		o.Transport = tr
		n := startWith(t, o, map[string][]webhook.Endpoint{"app": endpoints, "other": {hook("hook")}})
		n.CacheMiss("app", "cache-x")
		after(60 * time.Second) // each has hung once: it is known
		for range 100 {
			n.CacheMiss("app", "cache-x")
			n.CacheMiss("other", "cache-x")
			after(500 * time.Millisecond)
			if got := r.take(); len(got) != 1 {
				t.Fatalf("got %d requests after 500 ms, want 1", len(got))
			}
		}
		close(stuck.release)
	})
}

// Slow endpoints that do answer must not use up the requests that may be under way either.
func TestManyEndpointsAreSlow(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, r *receiver, o outbox.Options) {
		slow := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(9 * time.Second) })
		var endpoints []webhook.Endpoint
		tr := transport{"hook": r}
		for i := range 50 {
			id := fmt.Sprintf("slow-%d", i)
			tr[id] = slow
			endpoints = append(endpoints, hook(id))
		}
		o.Transport = tr
		n := startWith(t, o, map[string][]webhook.Endpoint{"app": endpoints, "other": {hook("hook")}})
		n.CacheMiss("app", "cache-x")
		after(60 * time.Second)
		for range 100 {
			n.CacheMiss("app", "cache-x")
			n.CacheMiss("other", "cache-x")
			after(500 * time.Millisecond)
			if got := r.take(); len(got) != 1 {
				t.Fatalf("got %d requests after 500 ms, want 1", len(got))
			}
		}
		_ = n.stop()
	})
}

func TestBatches(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, r *receiver, o outbox.Options) {
		n := startWith(t, o, map[string][]webhook.Endpoint{"app": {hook("hook")}, "other": {hook("hook")}})
		var want []string
		for i := range 150 {
			n.CacheMiss("app", fmt.Sprintf("cache-%d", i))
			want = append(want, fmt.Sprintf("cache_miss cache-%d", i))
			n.CacheMiss("other", "cache-o")
		}
		after(time.Second)
		var sizes []int
		var events []string
		for _, req := range r.take() {
			if req.Header.Get("X-Pusher-Key") == "other-key" {
				if slices.ContainsFunc(req.events(t), func(s string) bool { return s != "cache_miss cache-o" }) {
					t.Errorf("W17 two apps in one request: %s", req.Body)
				}
				continue
			}
			sizes = append(sizes, len(req.events(t)))
			events = append(events, req.events(t)...)
		}
		if diff := cmp.Diff([]int{100, 50}, sizes); diff != "" {
			t.Errorf("W16 sizes (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(want, events); diff != "" {
			t.Errorf("W16 order (-want +got):\n%s", diff)
		}
	})
}

func TestOldestEventGivesTheTime(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, r *receiver, o outbox.Options) {
		n := start(t, o, hook("hook"))
		first := time.Now().UnixMilli()
		n.CacheMiss("app", "cache-a")
		after(30 * time.Millisecond)
		n.CacheMiss("app", "cache-b")
		after(time.Second)
		got := r.take()
		want := fmt.Sprintf(`{"time_ms":%d,"events":[{"name":"cache_miss","channel":"cache-a"},{"name":"cache_miss","channel":"cache-b"}]}`, first)
		if len(got) != 1 || got[0].Body != want {
			t.Errorf("got %v, want %s", got, want)
		}
	})
}
