package channel_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/bus/bustest"
	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/room"
)

// notebook writes down what it is told.
type notebook struct {
	mu    sync.Mutex
	lines []string
}

func (b *notebook) note(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, fmt.Sprintf(format, args...))
}

func (b *notebook) Tell(e *room.Event) {
	switch e.Kind {
	case room.ChannelOccupied:
		b.note("%s occupied %s", e.App, e.Channel)
	case room.ChannelVacated:
		b.note("%s vacated %s", e.App, e.Channel)
	case room.MemberAdded:
		b.note("%s added %s %s", e.App, e.Channel, e.User)
	case room.MemberRemoved:
		b.note("%s removed %s %s", e.App, e.Channel, e.User)
	case room.CacheMiss:
		b.note("%s miss %s", e.App, e.Channel)
	case room.SubscriptionCount:
		b.note("%s count %s %d", e.App, e.Channel, e.Count)
	case room.UserOnline:
		b.note("%s online %s", e.App, e.User)
	case room.UserOffline:
		b.note("%s offline %s", e.App, e.User)
	case room.ClientEvent:
		b.note("%s event %s %s %s %s %s", e.App, e.Channel, e.Name, e.Data, e.Socket, e.User)
	case room.CountNotice:
	}
}

// expect compares what was noted since the last call.
func (b *notebook) expect(t *testing.T, want ...string) {
	t.Helper()
	bustest.Settle()
	b.mu.Lock()
	defer b.mu.Unlock()
	if diff := cmp.Diff(want, b.lines, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("observed (-want +got):\n%s", diff)
	}
	b.lines = nil
}

// observed is a node with a listener.
func observed(t *testing.T, test func(n *node, b *notebook)) {
	t.Helper()
	inNode(t, func(t *testing.T, _ *node) {
		b := new(notebook)
		n := newNodeWith(t, hub.Options{}, channel.Options{}, b)
		test(n, b)
	})
}

func TestListenerHearsOfChannels(t *testing.T) {
	t.Parallel()
	observed(t, func(n *node, b *notebook) {
		a, c := n.connect(), n.connect()
		a.mustJoin("prices", "")
		c.mustJoin("prices", "")
		c.mustJoin("prices", "") // nothing of a subscription that changes nothing
		b.expect(t, "77 occupied prices", "77 count prices 1", "77 count prices 2")
		a.close()
		b.expect(t, "77 count prices 1")
		c.unsubscribe("prices")
		b.expect(t, "77 vacated prices", "77 count prices 0")

		c.mustJoin("cache-x", "")
		c.mustJoin("cache-x", "")
		b.expect(t, "77 occupied cache-x", "77 miss cache-x", "77 count cache-x 1")
		n.publish("cache-x", "tick", "1")
		n.connect().mustJoin("cache-x", "")
		b.expect(t, "77 count cache-x 2")
	})
}

func TestListenerHearsOfMembersAndTheirEvents(t *testing.T) {
	t.Parallel()
	observed(t, func(n *node, b *notebook) {
		a, c := n.connect(), n.connect()
		a.mustJoin("presence-x", "u-9")
		c.mustJoin("presence-x", "u-9")
		b.expect(t, "77 occupied presence-x", "77 added presence-x u-9")
		if err := a.send("presence-x", "client-a", `{"k": 1}`); err != nil {
			t.Fatal(err)
		}
		b.expect(t, `77 event presence-x client-a {"k": 1} `+a.ID().String()+" u-9")
		ephemeral := &protocol.Command{
			Channel: "presence-x", HasChannel: true, Event: "client-a", Properties: &protocol.Properties{Extras: &protocol.Extras{IsEphemeral: true}},
		}
		if err := n.ClientEvent(context.Background(), &a.Connection, ephemeral); err != nil { // of which no listener is told
			t.Fatal(err)
		}
		a.close()
		b.expect(t)
		c.close()
		b.expect(t, "77 removed presence-x u-9", "77 vacated presence-x")
	})
}

func TestListenerHearsOfUsersAndNotOfTheirChannels(t *testing.T) {
	t.Parallel()
	observed(t, func(n *node, b *notebook) {
		n.app.Features.Watchlists = true
		a, c := n.connect(), n.connect()
		a.mustSignIn("u-9", "u-3")
		a.mustSignIn("u-9")
		c.mustSignIn("u-9", "u-9")
		if err := c.subscribe("#server-to-user-u-9"); err != nil {
			t.Fatal(err)
		}
		n.publish("#server-to-user-u-9", "tick", "1")
		b.expect(t, "77 online u-9")
		a.close()
		b.expect(t)
		c.close()
		b.expect(t, "77 offline u-9")
	})
}

func TestAnnounceTellsOfAllThatIsPresent(t *testing.T) {
	t.Parallel()
	observed(t, func(n *node, b *notebook) {
		n.app.Features.Watchlists = true
		a, c := n.connect(), n.connect()
		a.mustJoin("prices", "")
		c.mustJoin("prices", "")
		a.mustJoin("presence-x", "u-9")
		c.mustJoin("presence-x", "u-9")
		a.mustSignIn("u-9", "u-who-is-away")
		b.lines = nil

		n.local.Announce("another")
		b.expect(t)
		n.local.Announce("77")
		slices.Sort(b.lines) // between channels there is no order
		b.expect(t, "77 added presence-x u-9", "77 occupied presence-x", "77 occupied prices", "77 online u-9")
		a.close()
		c.close()
		bustest.Settle()
		b.lines = nil
		n.local.Announce("77")
		b.expect(t)
	})
}

func TestUsersAreCounted(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, _ *node) {
		r := prometheus.NewRegistry()
		n := newNodeWith(t, hub.Options{}, channel.Options{Metrics: channel.NewMetrics(r)}, nil)
		read := func() (got []string) {
			families, err := r.Gather()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range families {
				if name := f.GetName(); slices.Contains([]string{"millrace_channel_signed_in_connections", "millrace_channel_online_users"}, name) {
					got = append(got, fmt.Sprint(name[len("millrace_channel_"):], " ", f.GetMetric()[0].GetGauge().GetValue()))
				}
			}
			return got
		}
		a, b := n.connect(), n.connect()
		a.mustSignIn("u-9")
		b.mustSignIn("u-9")
		b.mustSignIn("u-9")
		if diff := cmp.Diff([]string{"online_users 1", "signed_in_connections 2"}, read()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		a.close()
		b.close()
		if diff := cmp.Diff([]string{"online_users 0", "signed_in_connections 0"}, read()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
