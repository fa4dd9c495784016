package outbox_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/internal/webhook/outbox"
)

// picture is what a receiver makes of its events: what is there, and the last sequence number.
type picture struct {
	present map[string]bool
	seq     int
	taken   map[string]bool // deliveries, which may come twice
}

// apply takes what the receiver got. Coming and going must alternate, and numbers must grow.
func (p *picture) apply(t *rapid.T, tb testing.TB, r *receiver) {
	for _, req := range r.take() {
		id := req.Header.Get("X-Millrace-Delivery")
		if p.taken[id] || req.Status != 200 {
			continue
		}
		p.taken[id] = true
		for _, e := range req.events(tb) {
			name, rest, _ := strings.Cut(e, " ")
			noun, verb, _ := strings.Cut(name, "_")
			rest = strings.TrimSuffix(rest, " server_restart")
			if noun == "user" {
				var user string
				var seq int
				if _, err := fmt.Sscanf(rest, "%s %d", &user, &seq); err != nil || seq != p.seq+1 {
					t.Fatalf("%s: seq %d after %d, %v", e, seq, p.seq, err)
				}
				rest, p.seq = user, seq
			}
			subject := noun + " " + rest
			isComing := verb == "occupied" || verb == "added" || verb == "online"
			if p.present[subject] == isComing {
				t.Fatalf("%s: told twice", e)
			}
			if p.present[subject] = true; !isComing {
				delete(p.present, subject)
			}
		}
	}
}

// subjectsOf are what random tests tell of.
func subjectsOf(n *node) map[string][2]func() {
	all := map[string][2]func(){}
	for _, c := range []string{"a", "b", "c", "presence-d", "private-encrypted-e"} {
		all["channel "+c] = [2]func(){func() { n.Occupied("app", c) }, func() { n.Vacated("app", c) }}
	}
	for _, u := range []string{"u", "v"} {
		all["member presence-d "+u] = [2]func(){func() { n.MemberAdded("app", "presence-d", u) }, func() { n.MemberRemoved("app", "presence-d", u) }}
		all["user "+u] = [2]func(){func() { n.UserOnline("app", u) }, func() { n.UserOffline("app", u) }}
	}
	return all
}

// TestPictureIsTrue: whatever comes and goes, however the endpoint and the process fail, the
// receiver's picture is the truth once all is quiet.
func TestPictureIsTrue(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		var failed any // rapid wants to see it on its own goroutine
		synctest.Test(t, func(t *testing.T) {
			defer func() { failed = recover() }()
			checkPicture(rt, t)
		})
		if failed != nil {
			panic(failed)
		}
	})
}

func checkPicture(rt *rapid.T, t *testing.T) {
	r, folder := newReceiver(t), t.TempDir()
	o := outbox.Options{Transport: transport{"hook": r}, MaxIntake: rapid.SampledFrom([]int{0, 400}).Draw(rt, "intake")}
	p := hook("hook")
	p.Retry.MaxElapsed = 24 * time.Hour // what is given up is not in the picture
	p.Batching.Size = rapid.SampledFrom([]int{1, 2, 100}).Draw(rt, "batch")
	s := openStore(t, folder)
	o.Store = s
	n := start(t, o, p)
	defer func() { _ = n.stop(); closeStore(t, s) }()

	seen, truth := picture{present: map[string]bool{}, taken: map[string]bool{}}, map[string]bool{}
	names := []string{"channel a", "channel b", "channel c", "channel private-encrypted-e", "channel presence-d", "member presence-d u", "member presence-d v", "user u", "user v"}
	rt.Repeat(map[string]func(*rapid.T){
		"": func(rt *rapid.T) { seen.apply(rt, t, r) },
		"come or go": func(rt *rapid.T) {
			name := rapid.SampledFrom(names).Draw(rt, "name")
			isThere := rapid.Bool().Draw(rt, "there")
			if truth[name] = isThere; !isThere {
				delete(truth, name)
				subjectsOf(n)[name][1]()
			} else {
				subjectsOf(n)[name][0]()
			}
		},
		"wait": func(rt *rapid.T) {
			after(time.Duration(rapid.SampledFrom([]int{1, 30, 100, 1000, 2999, 3000, 3100, 10_000}).Draw(rt, "ms")) * time.Millisecond)
		},
		"the endpoint changes": func(rt *rapid.T) {
			status := rapid.SampledFrom([]int{200, 200, 500, 404}).Draw(rt, "status")
			r.answers(func(request, int) int { return status })
		},
		"restart": func(rt *rapid.T) {
			if rapid.IntRange(0, 3).Draw(rt, "chance") > 0 {
				return
			}
			if rapid.Bool().Draw(rt, "shutdown") {
				if err := n.Shutdown(t.Context()); err != nil {
					rt.Fatalf("Shutdown: %v", err)
				}
			}
			if err := n.stop(); err != nil {
				rt.Fatalf("Run: %v", err)
			}
			seen.apply(rt, t, r)
			closeStore(t, s)
			s = openStore(t, folder)
			o.Store = s
			n = start(t, o, p)
			for _, name := range names { // some come back
				if !truth[name] {
					continue
				}
				if rapid.Bool().Draw(rt, "back") {
					subjectsOf(n)[name][0]()
				} else {
					delete(truth, name)
				}
			}
		},
	})
	r.answers(nil)
	after(2 * time.Minute)
	seen.apply(rt, t, r)
	if diff := cmp.Diff(truth, seen.present); diff != "" {
		rt.Fatalf("the picture is not the truth (-truth +picture):\n%s", diff)
	}
	online, seq := n.Online("app")
	for _, u := range online {
		if !truth["user "+u] {
			rt.Fatalf("%s is in the snapshot", u)
		}
	}
	if int(seq) != seen.seq {
		rt.Fatalf("got seq %d of the snapshot, want %d", seq, seen.seq)
	}
}
