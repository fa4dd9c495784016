package channel_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/millrace/millrace/internal/bus/bustest"
	"github.com/millrace/millrace/internal/protocol"
)

const (
	added9   = `member_added presence-x {"user_id":"u-9","user_info":{}}`
	removed9 = `member_removed presence-x {"user_id":"u-9"}`
	added3   = `member_added presence-x {"user_id":"u-3","user_info":{}}`
	removed3 = `member_removed presence-x {"user_id":"u-3"}`
)

// expectMembers takes one success reply and compares its list.
func (c *conn) expectMembers(want map[string]string) {
	c.n.t.Helper()
	frames := c.take()
	if len(frames) != 1 || frames[0].Event != "pusher_internal:subscription_succeeded" {
		c.n.t.Fatalf("got %v, want success alone", frames)
	}
	var data struct {
		Presence struct {
			Count int
			IDs   []string
			Hash  map[string]json.RawMessage
		}
	}
	if err := json.Unmarshal([]byte(frames[0].Data), &data); err != nil {
		c.n.t.Fatal(err)
	}
	got := map[string]string{}
	for id, info := range data.Presence.Hash {
		got[id] = string(info)
	}
	if diff := cmp.Diff(want, got); diff != "" || data.Presence.Count != len(want) || len(data.Presence.IDs) != len(want) {
		c.n.t.Errorf("members %s (-want +got):\n%s", frames[0].Data, diff)
	}
}

func TestMembersComeAndGo(t *testing.T) { // M01 to M05, M12
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		a, b, c := n.connect(), n.connect(), n.connect()
		if err := a.join("presence-x", "u-9", `{"name":"Ida"}`); err != nil {
			t.Fatal(err)
		}
		a.expectMembers(map[string]string{"u-9": `{"name":"Ida"}`})
		b.mustJoin("presence-x", "u-3")
		a.expect(added3)
		b.expectMembers(map[string]string{"u-9": `{"name":"Ida"}`, "u-3": `{}`})

		if err := c.join("presence-x", "u-9", `{"name":"Other"}`); err != nil { // the oldest counts
			t.Fatal(err)
		}
		c.expectMembers(map[string]string{"u-9": `{"name":"Ida"}`, "u-3": `{}`})
		a.expect()
		b.expect()
		a.close()
		b.expect()
		if got := n.Members(n.app, "presence-x"); string(got[1].Info) != `{"name":"Other"}` {
			t.Errorf("got info %s after the oldest left", got[1].Info)
		}
		c.close()
		b.expect(removed9)

		a = n.connect()
		a.mustJoin("presence-x", "u-9")
		b.expect(added9)
		a.take()
		b.unsubscribe("presence-x")
		a.expect(removed3)
		b.expect()
	})
}

func TestOneConnectionIsDifferentUsers(t *testing.T) { // M13
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		a, b := n.connect(), n.connect()
		b.mustJoin("presence-x", "u-3")
		b.mustJoin("presence-y", "u-3")
		a.mustJoin("presence-x", "u-9")
		a.mustJoin("presence-y", "u-2")
		b.take()
		a.unsubscribe("presence-x")
		b.expect(removed9)
		if got := n.userIDs("presence-y"); !slices.Equal(got, []string{"u-2", "u-3"}) {
			t.Errorf("got %v in presence-y", got)
		}
	})
}

func TestMemberLimit(t *testing.T) { // M08, M09
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		n.app.Limits.MaxPresenceMembers = 2
		a, b, c := n.connect(), n.connect(), n.connect()
		a.mustJoin("presence-x", "u-1")
		b.mustJoin("presence-x", "u-2")
		a.take()
		err := c.join("presence-x", "u-3", "")
		if err == nil || err.Code != 4100 || err.Status != 4100 || err.Type != protocol.TypeLimit {
			t.Fatalf("got %v", err)
		}
		if c.IsSubscribed("presence-x") {
			t.Error("subscribed in spite of the limit")
		}
		a.expect()
		c.expect()
		c.mustJoin("presence-x", "u-2")
		b.close()
		if err := b.n.connect().join("presence-x", "u-3", ""); err == nil {
			t.Error("u-2 is still there, so u-3 has no place")
		}
		c.close()
		n.connect().mustJoin("presence-x", "u-3")
	})
}

func TestClientEventOfANewcomerFollowsItsMemberAdded(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		a, b := n.connect(), n.connect()
		a.mustJoin("presence-x", "u-3")
		a.take()
		b.mustJoin("presence-x", "u-9")
		if err := b.send("presence-x", "client-a", `1`); err != nil {
			t.Fatal(err)
		}
		b.close()
		a.expect(added9, "client-a presence-x 1 by u-9", removed9)
	})
}

// TestReconnectRacesWithClose is M16.
func TestReconnectRacesWithClose(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		watcher := n.connect()
		watcher.mustJoin("presence-x", "u-3")
		var v view
		old := n.connect()
		old.mustJoin("presence-x", "u-9")
		for round := range 200 {
			next := n.connect()
			var wg sync.WaitGroup
			wg.Go(old.close)
			wg.Go(func() { next.mustJoin("presence-x", "u-9") })
			wg.Wait()
			for _, f := range watcher.take() {
				if err := v.apply(f); err != nil {
					t.Fatalf("round %d: %v", round, err)
				}
			}
			if got := v.ids(); !slices.Equal(got, []string{"u-3", "u-9"}) {
				t.Fatalf("round %d: the watcher sees %v", round, got)
			}
			if round%2 == 0 {
				old = next
				continue
			}
			next.close()
			old = n.connect()
			old.mustJoin("presence-x", "u-9")
		}
	})
}

// TestChannelsOpenAndCloseConcurrently lets the first and the last subscriber of a few
// channels race all the time: the bus must be subscribed whenever somebody is there.
func TestChannelsOpenAndCloseConcurrently(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		n.app.Features.SubscriptionCount = true
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				c := n.connect()
				for round := range 300 {
					name := fmt.Sprintf("c-%d", (i+round)%3)
					c.mustJoin(name, "")
					n.publish(name, "tick", c.ID().String())
					c.unsubscribe(name)
				}
				c.close()
			})
		}
		wg.Wait()
		n.expectEmpty()
		a := n.connect()
		for i := range 3 {
			a.mustJoin(fmt.Sprintf("c-%d", i), "")
			a.take()
			n.publish(fmt.Sprintf("c-%d", i), "tick", "1")
			if got := a.take(); len(got) == 0 || got[len(got)-1].Data != "1" {
				t.Errorf("got %v from c-%d", got, i)
			}
		}
	})
}

// actor is a connection of the random test, with what its client believes of each channel.
type actor struct {
	*conn
	in    map[string]string // channel: as whom; the part of the model that this actor owns
	views map[string]*view
}

// TestPresenceAgreesWithModel lets many connections of few users join, leave, join again,
// close and reconnect concurrently, and compares every client's view with the model when
// everything has come to rest. On the way no view may see an event that changes nothing.
func TestPresenceAgreesWithModel(t *testing.T) {
	t.Parallel()
	rounds := 30
	if testing.Short() {
		rounds = 5
	}
	for round := range rounds {
		seed := rand.Uint64()
		ok := t.Run(fmt.Sprintf("round %d, seed %d", round, seed), func(t *testing.T) {
			inNode(t, func(t *testing.T, n *node) { presenceRound(t, n, seed) })
		})
		if !ok {
			return
		}
	}
}

func presenceRound(t *testing.T, n *node, seed uint64) {
	const actors, users, phases, steps = 12, 4, 5, 25
	channels := []string{"presence-a", "presence-b", "presence-cache-c"}
	all := make([]*actor, actors)
	for i := range all {
		all[i] = &actor{conn: n.connect(), in: map[string]string{}, views: map[string]*view{}}
	}
	for phase := range phases {
		var wg sync.WaitGroup
		for i, a := range all {
			r := rand.New(rand.NewPCG(seed, uint64(phase*actors+i)))
			wg.Go(func() {
				for range steps {
					a.step(t, r, channels[r.IntN(len(channels))], fmt.Sprintf("u-%d", r.IntN(users)))
				}
			})
		}
		wg.Wait()
		bustest.Settle()
		synctest.Wait()
		checkPresence(t, n, all, channels)
		if t.Failed() {
			return
		}
	}
	for _, a := range all {
		a.close()
	}
	n.expectEmpty()
}

func (a *actor) step(t *testing.T, r *rand.Rand, name, user string) {
	switch _, isIn := a.in[name]; {
	case r.IntN(20) == 0: // lost, and back under another id
		a.close()
		a.drain(t)
		a.conn, a.in, a.views = a.n.connect(), map[string]string{}, map[string]*view{}
	case r.IntN(20) == 0:
		a.n.publish(name, "tick", "x")
	case isIn && r.IntN(3) > 0:
		a.unsubscribe(name)
		delete(a.in, name)
		a.drain(t)
		delete(a.views, name)
	case isIn && strings.HasPrefix(name, "presence-cache-"):
		// Only with a cache does a repeated subscribe start over; without one, member
		// events under way may follow a list that has them.
		a.mustJoin(name, user)
	case !isIn:
		a.in[name] = user
		a.mustJoin(name, user)
	}
}

// drain lets the client read. After an unsubscribe it has read all there will be.
func (a *actor) drain(t *testing.T) {
	for _, f := range a.taken() {
		v := a.views[f.Channel]
		if v == nil {
			if f.Event != "pusher_internal:subscription_succeeded" {
				t.Errorf("%s got %v before success", a.ID(), f)
			}
			v = new(view)
			a.views[f.Channel] = v
		}
		if err := v.apply(f); err != nil {
			t.Errorf("%s on %s: %v", a.ID(), f.Channel, err)
		}
	}
}

func checkPresence(t *testing.T, n *node, all []*actor, channels []string) {
	t.Helper()
	model := map[string][]string{} // channel: users
	subscriptions := map[string]int{}
	for _, a := range all {
		a.drain(t)
		for name, user := range a.in {
			subscriptions[name]++
			if !slices.Contains(model[name], user) {
				model[name] = append(model[name], user)
			}
		}
	}
	for _, name := range channels {
		slices.Sort(model[name])
		if diff := cmp.Diff(model[name], n.userIDs(name), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("members of %s (-want +got):\n%s", name, diff)
		}
		if s := n.Channel(n.app, name); s.Subscriptions != subscriptions[name] || s.Users != len(model[name]) {
			t.Errorf("got %+v, want %d subscriptions and %d users", s, subscriptions[name], len(model[name]))
		}
		for _, a := range all {
			if a.in[name] == "" {
				continue
			}
			if diff := cmp.Diff(model[name], a.views[name].ids(), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s, who is %s, sees in %s (-want +got):\n%s", a.ID(), a.in[name], name, diff)
			}
		}
	}
}
