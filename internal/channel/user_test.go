package channel_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/protocol"
)

func TestParseUser(t *testing.T) {
	t.Parallel()
	long := `["` + strings.Repeat(`u","`, 100) + `u"]`
	tests := []struct {
		name, data string
		want       channel.User
		code       int // of a refusal
		watchCode  int
	}{
		{"an id is all that is needed", `{"id":"u-9"}`, channel.User{ID: "u-9", Info: []byte(`{}`)}, 0, 0},
		{
			"user_info is any JSON, kept compact", `{"id":"u-9","user_info":[1, {"a": null}]}`,
			channel.User{ID: "u-9", Info: []byte(`[1,{"a":null}]`)},
			0, 0,
		},
		{
			"an id twice in the watchlist counts once", `{"id":"u-9","watchlist":["b","a","b"]}`,
			channel.User{ID: "u-9", Info: []byte(`{}`), Watchlist: []string{"b", "a"}},
			0, 0,
		},
		{"null is no watchlist", `{"id":"u-9","watchlist":null}`, channel.User{ID: "u-9", Info: []byte(`{}`)}, 0, 0},
		{"U14 101 ids are too many", `{"id":"u-9","watchlist":` + long + `}`, channel.User{ID: "u-9", Info: []byte(`{}`)}, 0, 4302},
		{"U14 and 101 times one id, too", `{"id":"u-9","watchlist":[` + strings.Repeat(`"u",`, 100) + `"u"]}`, channel.User{ID: "u-9", Info: []byte(`{}`)}, 0, 4302},
		{"100 ids are not", `{"id":"u-9","watchlist":[` + strings.Repeat(`"u",`, 99) + `"u"]}`, channel.User{ID: "u-9", Info: []byte(`{}`), Watchlist: []string{"u"}}, 0, 0},
		{"a watchlist that is no array is ignored", `{"id":"u-9","watchlist":"a"}`, channel.User{ID: "u-9", Info: []byte(`{}`)}, 0, 4302},
		{
			"a number in the watchlist is its text", `{"id":"u-9","watchlist":["1",1,1.0,12345678901234567891]}`,
			channel.User{ID: "u-9", Info: []byte(`{}`), Watchlist: []string{"1", "1.0", "12345678901234567891"}},
			0, 0,
		},
		{"a watchlist with what is no id is ignored", `{"id":"u-9","watchlist":["a",null]}`, channel.User{ID: "u-9", Info: []byte(`{}`)}, 0, 4302},
		{"U03 no id", `{}`, channel.User{}, 4009, 0},
		{"U03 a numeric id", `{"id":9}`, channel.User{ID: "9", Info: []byte(`{}`), HasNumericID: true}, 0, 0},
		{"U03 a number beyond a double", `{"id": -12345678901234567891.50e0 }`, channel.User{ID: "-12345678901234567891.50e0", Info: []byte(`{}`), HasNumericID: true}, 0, 0},
		{"a number of 129 bytes", `{"id":` + strings.Repeat("1", 129) + `}`, channel.User{}, 4009, 0},
		{"U03 null is no id", `{"id":null}`, channel.User{}, 4009, 0},
		{"U03 true is no id", `{"id":true}`, channel.User{}, 4009, 0},
		{"U03 an object is no id", `{"id":{"id":1}}`, channel.User{}, 4009, 0},
		{"U03 an array is no id", `{"id":[1]}`, channel.User{}, 4009, 0},
		{"U03 an empty id", `{"id":""}`, channel.User{}, 4009, 0},
		{"an id of 129 bytes", `{"id":"` + strings.Repeat("x", 129) + `"}`, channel.User{}, 4009, 0},
		{"an id with a control character, which no channel's name has", `{"id":"u\t9"}`, channel.User{}, 4009, 0},
		{"no object", `["u-9"]`, channel.User{}, 4009, 0},
		{"no JSON", `u-9`, channel.User{}, 4009, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := channel.ParseUser(tt.data)
			if code := codeOf(err); code != tt.code {
				t.Fatalf("refused with %d, want %d", code, tt.code)
			}
			if code := codeOf(got.WatchlistErr); code != tt.watchCode {
				t.Errorf("watchlist refused with %d, want %d", code, tt.watchCode)
			}
			got.WatchlistErr, got.Data = nil, ""
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("user (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzParseUser looks for a user that no sign-in may bring about.
func FuzzParseUser(f *testing.F) {
	for _, s := range []string{
		`{"id":"u-9","user_info":{"name":"Ida"},"watchlist":["u-3","u-3"]}`, `{"id":"u","watchlist":[1]}`,
		`{"id":"u","user_info":" x ","watchlist":null,"id":"v"}`, `{"id":9}`, `{"id":"\ud800"}`, `[]`, `null`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data string) {
		u, err := channel.ParseUser(data)
		if err != nil {
			if u.ID != "" || u.Data != "" {
				t.Fatalf("%q is refused and yet somebody: %+v", data, u)
			}
			return
		}
		if !channel.ValidName("#server-to-user-"+u.ID, 200) || len(u.ID) > 128 || u.Data != data {
			t.Fatalf("%q became %+v", data, u)
		}
		if v, ok := jsonscan.Parse(u.Info); !ok || string(v.Compact()) != string(u.Info) {
			t.Fatalf("user_info %q is no compact JSON", u.Info)
		}
		watched := slices.Clone(u.Watchlist)
		slices.Sort(watched)
		if len(watched) > 100 || len(slices.Compact(watched)) < len(u.Watchlist) || u.WatchlistErr != nil && len(watched) > 0 {
			t.Fatalf("%q watches %q, %v", data, u.Watchlist, u.WatchlistErr)
		}
	})
}

func codeOf(e *protocol.Error) int {
	if e == nil {
		return 0
	}
	return e.Code
}

func (c *conn) signIn(id string, watchlist ...string) *protocol.Error {
	return c.n.SignIn(context.Background(), &c.Connection, &channel.User{ID: id, Info: []byte(`{}`), Watchlist: watchlist, Data: id})
}

func (c *conn) mustSignIn(id string, watchlist ...string) {
	c.n.t.Helper()
	if err := c.signIn(id, watchlist...); err != nil {
		c.n.t.Fatalf("sign in as %s: %v", id, err)
	}
}

func signedIn(id string) string { return fmt.Sprintf(`pusher:signin_success  {"user_data":%q}`, id) }

// watch is a watchlist event with one entry.
func watch(state, id string) string {
	return fmt.Sprintf(`watchlist_events  {"events":[{"name":%q,"user_ids":[%q]}]}`, state, id)
}

func TestUserEventsReachEverySignedInConnectionOnce(t *testing.T) { // U05, U06, U08
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		a, b, c := n.connect(), n.connect(), n.connect()
		a.mustSignIn("u-9")
		b.mustSignIn("u-9")
		c.mustSignIn("u-3")
		if err := b.subscribe("#server-to-user-u-9"); err != nil {
			t.Fatal(err)
		}
		if err := b.subscribe("#server-to-user-u-3"); err == nil || err.Type != protocol.TypeAuth {
			t.Errorf("another user's channel: %v", err)
		}
		n.publish("#server-to-user-u-9", "tick", "1")
		a.expect(signedIn("u-9"), "tick #server-to-user-u-9 1")
		b.expect(signedIn("u-9"), "subscription_succeeded #server-to-user-u-9 {}", "tick #server-to-user-u-9 1")
		c.expect(signedIn("u-3"))
		n.expectEmpty()
		if s := n.Channel(n.app, "#server-to-user-u-9"); s.Occupied || s.Subscriptions != 0 {
			t.Errorf("the user channel is shown: %+v", s)
		}
		if a.Subscriptions() != 0 {
			t.Errorf("a sign-in counts as %d subscriptions", a.Subscriptions())
		}
		b.unsubscribe("#server-to-user-u-9")
		a.close()
		n.publish("#server-to-user-u-9", "tick", "2")
		a.expect()
		b.expect("tick #server-to-user-u-9 2")
	})
}

func TestWhatIsPublishedBeforeASignInIsNotDelivered(t *testing.T) {
	t.Parallel()
	inNode(t, func(_ *testing.T, n *node) {
		a, b := n.connect(), n.connect()
		b.mustSignIn("u-9")
		b.take()
		n.publish("#server-to-user-u-9", "tick", "1")
		a.mustSignIn("u-9")
		a.expect(signedIn("u-9"))
		b.expect("tick #server-to-user-u-9 1")
	})
}

func TestASignInIsSeenBeforeWhatIsPublishedDuringIt(t *testing.T) {
	t.Parallel()
	inNode(t, func(_ *testing.T, n *node) {
		n.app.Features.Watchlists = true
		a, b := n.connect(), n.connect()
		a.onReply = func(m *protocol.Message) {
			if m.Kind == protocol.MessageSignedIn {
				n.publish("#server-to-user-u-9", "tick", "1")
				b.mustSignIn("u-3")
			}
		}
		a.mustSignIn("u-9", "u-3")
		frames := a.take()
		var got []string
		for _, f := range frames {
			got = append(got, f.String())
		}
		want := []string{signedIn("u-9"), watch("offline", "u-3"), watch("online", "u-3"), "tick #server-to-user-u-9 1"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("frames (-want +got):\n%s", diff)
		}
	})
}

func TestSignInAsAnotherUserChangesNothing(t *testing.T) { // U16
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		a := n.connect()
		a.mustSignIn("u-9")
		if err := a.signIn("u-3"); err != protocol.ErrSignedIn {
			t.Errorf("got %v", err)
		}
		n.publish("#server-to-user-u-3", "tick", "1")
		n.publish("#server-to-user-u-9", "tick", "2")
		a.expect(signedIn("u-9"), "tick #server-to-user-u-9 2")
		a.close()
		if err := a.signIn("u-9"); err == nil {
			t.Error("a connection that has left signed in")
		}
	})
}

func (n *node) terminate(userID string) {
	n.t.Helper()
	if err := n.Terminate(context.Background(), n.app, userID); err != nil {
		n.t.Fatal(err)
	}
}

func TestTerminateReachesTheConnectionsOfTheUser(t *testing.T) { // U09, U10
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		a, b, c, left := n.connect(), n.connect(), n.connect(), n.connect()
		left.mustSignIn("u-9")
		a.mustSignIn("u-9")
		b.mustSignIn("u-9")
		c.mustSignIn("u-3")
		left.close()
		n.terminate("u-9")
		n.terminate("u-0")
		if a.terminated != 1 || b.terminated != 1 || c.terminated != 0 || left.terminated != 0 {
			t.Errorf("terminated %d, %d, %d, %d times", a.terminated, b.terminated, c.terminated, left.terminated)
		}
	})
}

func TestABusThatFailsLeavesNothingOfASignIn(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		fault func(*faultyBus, bool)
		first string // who is signed in before, if anybody
	}{
		{"no answer", func(b *faultyBus, on bool) { b.join.Store(on) }, ""},
		{"a late answer", func(b *faultyBus, on bool) { b.late.Store(on) }, ""},
		{"no answer for the second", func(b *faultyBus, on bool) { b.join.Store(on) }, "u-9"},
		{"no answer about one who is watched", func(b *faultyBus, on bool) { b.watch.Store(on) }, "w"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inNode(t, func(t *testing.T, n *node) {
				n.app.Features.Watchlists = true
				first, a := n.connect(), n.connect()
				if tt.first != "" {
					first.mustSignIn(tt.first, "u-3")
				}
				tt.fault(n.bus, true)
				if err := a.signIn("u-9", "u-3"); err == nil {
					t.Fatal("it succeeded")
				}
				a.expect()
				tt.fault(n.bus, false)
				a.mustSignIn("u-9", "u-3")
				a.expect(signedIn("u-9"), watch("offline", "u-3"))
				a.close()
				first.close()
				n.expectUnsubscribed()
			})
		})
	}
}

// expectUnsubscribed fails if the bus does not know that no connection is subscribed to anything.
func (n *node) expectUnsubscribed() {
	n.t.Helper()
	n.bus.mu.Lock()
	defer n.bus.mu.Unlock()
	for topic, p := range n.bus.parts {
		if p.Subscriptions > 0 {
			n.t.Errorf("still subscribed to %q", topic.Name)
		}
	}
}

func TestAWatchlistThatOverflowsStartsOver(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, _ *node) {
		n := newNode(t, hub.Options{MaxHeld: 4})
		n.app.Features.Watchlists = true
		a, flood := n.connect(), true
		a.onReply = func(m *protocol.Message) {
			if m.Kind != protocol.MessageWatchlist || !flood {
				return
			}
			flood = false
			for range 3 {
				b := n.connect()
				b.mustSignIn("u-3")
				b.close()
			}
			n.connect().mustSignIn("u-3")
			synctest.Wait() // the hold has overflowed
		}
		a.mustSignIn("u-9", "u-3")
		a.expect(signedIn("u-9"), watch("offline", "u-3"), watch("online", "u-3"))
		n.connect().mustSignIn("u-3")
		a.expect()
	})
}

// TestOnlineStateEqualsTheModel signs in, leaves and watches at random. What each watcher has
// been told must be the truth whenever all is quiet, and each event must be a change.
func TestOnlineStateEqualsTheModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			inNode(t, func(t *testing.T, n *node) {
				n.app.Features.Watchlists = true
				m := onlineModel{n: n, r: rand.New(rand.NewPCG(seed, 4)), conns: map[*conn]*watcher{}}
				for range 150 {
					m.step()
				}
				for c := range m.conns {
					c.close()
				}
				n.expectUnsubscribed()
			})
		})
	}
}

var someUsers = []string{"u-1", "u-2", "u-3", "u-4"}

// watcher is what a connection is and what it has been told.
type watcher struct {
	id      string
	watches []string
	told    map[string]bool
}

type onlineModel struct {
	n     *node
	r     *rand.Rand
	conns map[*conn]*watcher
}

func (m *onlineModel) step() {
	some := func() string { return someUsers[m.r.IntN(len(someUsers))] }
	for range 1 + m.r.IntN(4) { // without waiting for fan-out between
		switch c := m.pick(); {
		case c == nil || m.r.IntN(3) == 0:
			c, w := m.n.connect(), &watcher{id: some(), told: map[string]bool{}}
			w.watch(m.r)
			m.conns[c] = w
			c.mustSignIn(w.id, w.watches...)
		case m.r.IntN(2) == 0:
			w := m.conns[c]
			m.heard(c) // of the old watchlist
			w.watch(m.r)
			w.told = map[string]bool{}
			c.mustSignIn(w.id, w.watches...)
		default:
			c.close()
			delete(m.conns, c)
		}
	}
	online := map[string]bool{}
	for _, w := range m.conns {
		online[w.id] = true
	}
	for c, w := range m.conns {
		m.heard(c)
		for _, id := range w.watches {
			if told, ok := w.told[id]; !ok || told != online[id] {
				m.n.t.Errorf("%s was told that %s is online: %v, %v; it is %v", w.id, id, told, ok, online[id])
			}
		}
	}
}

func (m *onlineModel) pick() *conn {
	for c := range m.conns {
		if m.r.IntN(3) == 0 {
			return c
		}
	}
	return nil
}

func (w *watcher) watch(r *rand.Rand) {
	w.watches = nil
	for _, id := range someUsers {
		if r.IntN(2) == 0 {
			w.watches = append(w.watches, id)
		}
	}
}

// heard takes in what c was told.
func (m *onlineModel) heard(c *conn) {
	w := m.conns[c]
	for _, f := range c.take() {
		if f.Event != "pusher_internal:watchlist_events" {
			continue
		}
		var data struct {
			Events []struct {
				Name    string   `json:"name"`
				UserIDs []string `json:"user_ids"`
			} `json:"events"`
		}
		if err := json.Unmarshal([]byte(f.Data), &data); err != nil {
			m.n.t.Fatal(err)
		}
		for _, e := range data.Events {
			for _, id := range e.UserIDs {
				state := e.Name == "online"
				if told, ok := w.told[id]; ok && told == state || !slices.Contains(w.watches, id) {
					m.n.t.Errorf("%s was told again that %s is %s", w.id, id, e.Name)
				}
				w.told[id] = state
			}
		}
	}
}
