package server_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/server"
	"github.com/millrace/millrace/internal/testkit"
	"github.com/millrace/millrace/internal/testkit/transcript"
)

// ways are the ways in which the effects of ends come about.
var ways = []struct {
	name   string
	change func(*config.Cleanup)
}{
	{"S05 workers do it", func(*config.Cleanup) {}},
	{"S06 the queue has room for one", func(c *config.Cleanup) { c.QueueSize, c.BatchSize = 1, 1 }},
	{"S07 each connection does it by itself", func(c *config.Cleanup) { c.Async = false }},
}

// TestS05AndS06 cuts 500 connections in three channels each. Those who stay, and the app's
// backend, hear of every effect once.
func TestS05AndS06EveryEffectOfManyEndsComesOnce(t *testing.T) {
	t.Parallel()
	const connections, rooms = 500, 10
	room := func(i int) string { return "presence-" + strconv.Itoa(i%rooms) }
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			hooks := receiveHooks(t)
			c := withHooks(hooks.hook("channel_vacated", "member_removed"))
			c.Apps[0].MaxPresenceMembers, c.Apps[0].MaxConnections = 1000, connections+rooms
			way.change(&c.Cleanup)
			s, stop := startServer(t, c)
			witnesses := make([]*hooked, rooms)
			for i := range witnesses {
				witnesses[i] = connect(t, s)
				witnesses[i].enter(room(i), "witness")
			}
			crowd := make([]*hooked, connections)
			var want []string
			for i := range crowd {
				user := fmt.Sprintf("u-%03d", i)
				crowd[i] = connect(t, s)
				crowd[i].enter(room(i), user)
				crowd[i].enter("prices")
				crowd[i].enter("news-" + strconv.Itoa(i%5))
				want = append(want, removed(room(i), user))
			}
			want = append(want, vacated("prices"))
			for i := range 5 {
				want = append(want, vacated("news-"+strconv.Itoa(i)))
			}
			cutAll(crowd)
			for i, w := range witnesses {
				w.hearsOfAll(room(i), connections/rooms)
			}
			if err := testkit.Eventually(t.Context(), func() error {
				if n := s.Connections(); n != rooms {
					return fmt.Errorf("%d connections are left, want %d", n, rooms)
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			for range connections { // the quota is free again
				connect(t, s).Cut()
			}
			expectHooks(t, hooks, want)
			stop()
		})
	}
}

// cutAll cuts all connections at once.
func cutAll(crowd []*hooked) {
	var wg sync.WaitGroup
	for part := range slices.Chunk(crowd, 50) {
		wg.Go(func() {
			for _, c := range part {
				c.Cut()
			}
		})
	}
	wg.Wait()
}

// hearsOfAll reads until n users are gone from a channel, each of whom was there.
func (h *hooked) hearsOfAll(channel string, n int) {
	h.t.Helper()
	gone := map[string]int{}
	for len(gone) < n {
		if kind, user := h.memberEvent(channel); kind == "removed" {
			gone[user]++
		}
	}
	h.fence()
	for user, times := range gone {
		if times != 1 {
			h.t.Errorf("%s: %s was said to be gone %d times", channel, user, times)
		}
	}
}

// memberEvent reads the next frame, which is about a member of the channel.
func (h *hooked) memberEvent(channel string) (kind, user string) {
	h.t.Helper()
	f, err := h.Next(waitLimit)
	if err != nil {
		h.t.Fatal(err)
	}
	var event struct{ Event, Channel, Data string }
	var data struct {
		UserID string `json:"user_id"`
	}
	if err := json.Unmarshal(f.Payload, &event); err != nil || event.Channel != channel {
		h.t.Fatalf("unexpected frame %q: %v", f.Payload, err)
	}
	if err := json.Unmarshal([]byte(event.Data), &data); err != nil {
		h.t.Fatalf("unexpected data %q: %v", event.Data, err)
	}
	_, kind, _ = strings.Cut(event.Event, "member_")
	return kind, data.UserID
}

// expectHooks waits until as many webhook events have come, which must be these in any order.
func expectHooks(t *testing.T, r *hookReceiver, want []string) {
	t.Helper()
	var got []string
	if err := testkit.Eventually(t.Context(), func() error {
		if _, got, _ = r.all(); len(got) < len(want) {
			return fmt.Errorf("%d webhook events came, want %d", len(got), len(want))
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("webhook events (-want +got):\n%s", diff)
	}
}

// TestS07 runs what is written about users and members again, each connection cleaning up by
// itself.
func TestS07TranscriptsHoldWithoutWorkers(t *testing.T) {
	for _, name := range []string{"users", "presence"} {
		transcript.RunFile(t, "testdata/transcripts/"+name+".txt", "cleanup.async=false")
	}
}

// TestBothWaysTellTheSame does the same random things to a node of each way. Between the steps, in
// each of which some connections come and then some end at once, everything comes to rest.
func TestBothWaysTellTheSame(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var told []map[string]int
	for _, way := range ways {
		c := withHooks()
		c.Apps[0].SignIn, c.Apps[0].Watchlists = true, true
		way.change(&c.Cleanup)
		s, stop := startServer(t, c)
		told = append(told, storms(t, s, rand.New(rand.NewPCG(seed, 1))))
		stop()
	}
	for i, way := range ways[1:] {
		if diff := cmp.Diff(told[0], told[i+1]); diff != "" {
			t.Errorf("seed %d: %s: told something else than where %s (-want +got):\n%s", seed, way.name, ways[0].name, diff)
		}
	}
}

// storms lets users come and go and returns what a witness was told, and how often.
func storms(t *testing.T, s *server.Server, r *rand.Rand) map[string]int {
	t.Helper()
	told := map[string]int{}
	const users, steps = 6, 25
	witness := connect(t, s)
	ids := make([]string, users)
	for i := range ids {
		ids[i] = strconv.Quote("u-" + strconv.Itoa(i))
	}
	userData := `{"id":"witness","watchlist":[` + strings.Join(ids, ",") + `]}`
	auth, err := json.Marshal(map[string]string{"user_data": userData, "auth": testkit.UserAuth(witness.id, userData)})
	if err != nil {
		t.Fatal(err)
	}
	witness.say("pusher:signin", string(auth), "watchlist_events")
	witness.enter("presence-x", "witness")
	witness.enter("fence")
	present := map[int]*hooked{}
	for n := range steps {
		for range r.IntN(8) {
			c, user := connect(t, s), "u-"+strconv.Itoa(r.IntN(users))
			if r.IntN(2) == 0 {
				c.signIn(user)
			}
			if r.IntN(4) > 0 {
				c.enter("presence-x", user)
			}
			present[len(present)+1000*n] = c
		}
		var leaving []*hooked
		for _, k := range slices.Sorted(maps.Keys(present)) {
			if r.IntN(3) == 0 {
				leaving = append(leaving, present[k])
				delete(present, k)
			}
		}
		cutAll(leaving)
		if err := testkit.Eventually(t.Context(), func() error {
			if got := s.Connections(); got != len(present)+1 {
				return fmt.Errorf("%d connections, want %d", got, len(present)+1)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		witness.read(s, told)
	}
	return told
}

// read counts the frames that come before two fences. What the hub delivers together has no
// order, so the first fence may overtake what was before it; the second is published when the
// first has come.
func (h *hooked) read(s *server.Server, counts map[string]int) {
	h.t.Helper()
	for range 2 {
		if status, answer := api(h.t, s, "POST", "/apps/"+testkit.AppID+"/events", "", `{"name":"fence","channel":"fence","data":"-"}`); status != 200 {
			h.t.Fatalf("%d %s", status, answer)
		}
		for {
			f, err := h.Next(waitLimit)
			if err != nil {
				h.t.Fatal(err)
			}
			if strings.Contains(string(f.Payload), `"fence"`) {
				break
			}
			counts[string(f.Payload)]++
		}
	}
}
