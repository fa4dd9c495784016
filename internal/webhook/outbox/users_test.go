package outbox_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/webhook"
	"github.com/millrace/millrace/internal/webhook/outbox"
)

func expectOnline(t *testing.T, n *node, seq uint64, want ...string) {
	t.Helper()
	users, got := n.Online("app")
	if diff := cmp.Diff(want, users); len(want)+len(users) > 0 && diff != "" {
		t.Errorf("online (-want +got):\n%s", diff)
	}
	if got != seq {
		t.Errorf("got seq %d of the snapshot, want %d", got, seq)
	}
}

func TestUsers(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, r *receiver, o outbox.Options) {
		s := openStore(t, t.TempDir())
		t.Cleanup(func() { closeStore(t, s) })
		o.Store = s
		n := start(t, o, hook("hook", "user_online", "user_offline"))
		n.UserOnline("app", "u-9")
		n.UserOnline("app", "u-8")
		after(time.Second)
		r.expect(t, "both come", "user_online u-9 1", "user_online u-8 2")
		expectOnline(t, n, 2, "u-8", "u-9")
		n.UserOffline("app", "u-9")
		after(2 * time.Second)
		n.UserOnline("app", "u-9")
		n.UserOffline("app", "u-8")
		after(2900 * time.Millisecond)
		r.expect(t, "one reconnects, the other's grace is not over")
		expectOnline(t, n, 2, "u-8", "u-9")
		after(time.Second)
		r.expect(t, "the other is gone", "user_offline u-8 3")
		expectOnline(t, n, 3, "u-9")
	})
}

func TestUserGraceIsConfigurable(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, r *receiver, o outbox.Options) {
		o.UserGrace = 20 * time.Second // more than one round of the wheel
		n := start(t, o, hook("hook"))
		n.UserOnline("app", "u")
		n.Occupied("app", "prices")
		after(time.Second)
		r.take()
		n.UserOffline("app", "u")
		n.Vacated("app", "prices")
		after(4 * time.Second)
		r.expect(t, "the channel's grace", "channel_vacated prices")
		after(15900 * time.Millisecond)
		r.expect(t, "before the user's")
		after(time.Second)
		if got := r.take(); len(got) != 1 || got[0].events(t)[0][:14] != "user_offline u" {
			t.Errorf("got %v, want user_offline", got)
		}
	})
}

// What was told before a restart and did not come back is told to be gone, and only that.
func TestRestart(t *testing.T) {
	t.Parallel()
	for name, stop := range map[string]func(t *testing.T, n *node){
		"after a shutdown": func(t *testing.T, n *node) {
			if err := n.Shutdown(t.Context()); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
		},
		"after an end at once": func(t *testing.T, n *node) {
			if err := n.stop(); err != nil {
				t.Errorf("Run: %v", err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, r *receiver, o outbox.Options) {
				folder := t.TempDir()
				s := openStore(t, folder)
				o.Store = s
				n := start(t, o, hook("hook"))
				n.Occupied("app", "presence-a")
				n.MemberAdded("app", "presence-a", "u-1")
				n.MemberAdded("app", "presence-a", "u-2")
				n.Occupied("app", "b")
				n.Occupied("app", "c")
				n.UserOnline("app", "u-1")
				n.UserOnline("app", "u-2")
				after(time.Second)
				if got := len(r.take()); got != 1 {
					t.Fatalf("got %d requests, want 1", got)
				}
				n.MemberRemoved("app", "presence-a", "u-2") // its grace is not over at the end
				after(time.Second)
				n.Hold()
				n.Vacated("app", "b")
				after(5 * time.Second)
				r.expect(t, "no grace ends")
				stop(t, n)
				n.Vacated("app", "c") // too late for anybody
				closeStore(t, s)

				s = openStore(t, folder)
				o.Store = s
				n = start(t, o, hook("hook"))
				t.Cleanup(func() { _ = n.stop(); closeStore(t, s) })
				expectOnline(t, n, 2, "u-1", "u-2")
				after(10 * time.Second)
				n.Occupied("app", "presence-a")
				n.MemberAdded("app", "presence-a", "u-1")
				n.UserOnline("app", "u-1")
				n.Occupied("app", "d")
				after(15 * time.Second)
				r.expect(t, "who came back is not told again", "channel_occupied d")
				after(10 * time.Second)
				got := map[string]bool{}
				for _, req := range r.take() {
					for _, e := range req.events(t) {
						got[e] = true
					}
				}
				want := map[string]bool{
					"member_removed presence-a u-2 server_restart": true, "channel_vacated b server_restart": true,
					"channel_vacated c server_restart": true, "user_offline u-2 3 server_restart": true,
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("after the start grace (-want +got):\n%s", diff)
				}
				expectOnline(t, n, 3, "u-1")
				n.UserOffline("app", "u-1")
				after(5 * time.Second)
				r.expect(t, "the sequence goes on", "user_offline u-1 4")
			})
		})
	}
}

// With a store, too, receivers may want to know before the end that everybody is gone. Nobody is
// told again by the next process.
func TestVacateAtShutdown(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, r *receiver, o outbox.Options) {
		folder := t.TempDir()
		s := openStore(t, folder)
		o.Store, o.VacateAtShutdown = s, true
		n := start(t, o, hook("hook"))
		n.Occupied("app", "presence-a")
		for i := range 20 {
			n.MemberAdded("app", "presence-a", strconv.Itoa(i))
		}
		n.UserOnline("app", "u-1")
		after(time.Second)
		r.take()
		for i := range 20 {
			n.MemberRemoved("app", "presence-a", strconv.Itoa(i))
		}
		n.Vacated("app", "presence-a")
		if err := n.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		var got []string
		for _, req := range r.take() {
			got = append(got, req.events(t)...)
		}
		if len(got) != 22 || got[20] != "channel_vacated presence-a" || !strings.HasPrefix(got[21], "user_offline u-1 ") {
			t.Errorf("want all members removed, then the channel vacated, then the user offline; got %q", got)
		}
		closeStore(t, s)

		s = openStore(t, folder)
		o.Store = s
		n = start(t, o, hook("hook"))
		t.Cleanup(func() { _ = n.stop(); closeStore(t, s) })
		expectOnline(t, n, 2)
		n.Occupied("app", "presence-a")
		after(40 * time.Second)
		r.expect(t, "the next process begins anew", "channel_occupied presence-a")
	})
}

func TestWithoutStoreEverybodyIsGoneAtTheEnd(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, r *receiver, o outbox.Options) {
		n := start(t, o, hook("hook"))
		n.Occupied("app", "a")
		n.Occupied("app", "b")
		n.UserOnline("app", "u")
		after(time.Second)
		_, before := n.Online("app")
		r.take()
		n.Vacated("app", "a")
		if err := n.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if got := r.take(); len(got) != 1 || len(got[0].events(t)) != 3 {
			t.Errorf("got %v, want one request with three events", got)
		}
		after(time.Second)
		n = start(t, o, hook("hook"))
		n.UserOnline("app", "u")
		after(time.Second)
		if _, seq := n.Online("app"); seq <= before {
			t.Errorf("the sequence goes back from %d to %d", before, seq)
		}
	})
}

// A subject whose kind nobody wants any more is forgotten, in the store too.
func TestWantingChanges(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, r *receiver, o outbox.Options) {
		s := openStore(t, t.TempDir())
		t.Cleanup(func() { closeStore(t, s) })
		o.Store = s
		n := start(t, o, hook("hook"))
		for i := range 10 {
			n.Occupied("app", fmt.Sprintf("c-%d", i))
			n.UserOnline("app", fmt.Sprintf("u-%d", i))
		}
		after(time.Second)
		r.take()
		if err := n.SetEndpoints("app", []webhook.Endpoint{hook("hook", "channel_vacated")}); err != nil {
			t.Fatal(err)
		}
		n.Vacated("app", "c-0")
		n.UserOffline("app", "u-0")
		after(5 * time.Second)
		r.expect(t, "channels are still told of, users are not", "channel_vacated c-0")
		if err := n.SetEndpoints("app", nil); err != nil {
			t.Fatal(err)
		}
		after(time.Second)
		left := 0
		if err := s.LoadWebhooks(t.Context(), webhook.Loader{
			Part:     func(webhook.Part) error { left++; return nil },
			Letter:   func(webhook.Letter) error { left++; return nil },
			Subject:  func(webhook.Subject) error { left++; return nil },
			Sequence: func(webhook.Sequence) error { return nil },
		}); err != nil || left != 0 {
			t.Errorf("%d things are left in the store: %v", left, err)
		}
		expectOnline(t, n, 20)
		if err := n.SetEndpoints("app", []webhook.Endpoint{hook("hook")}); err != nil {
			t.Fatal(err)
		}
		n.Occupied("app", "c-1")
		n.UserOnline("app", "u-1")
		after(time.Second)
		r.expect(t, "those who are there may be told again", "channel_occupied c-1", "user_online u-1 21")
	})
}
