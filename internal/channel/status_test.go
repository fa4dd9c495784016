package channel_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/channel"
)

func TestStatus(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		a, b, c := n.connect(), n.connect(), n.connect()
		a.mustJoin("prices", "")
		b.mustJoin("prices", "")
		a.mustJoin("presence-x", "u-9")
		b.mustJoin("presence-x", "u-9")
		c.mustJoin("presence-x", "u-3")

		prices := channel.Status{Name: "prices", Occupied: true, Subscriptions: 2}
		presence := channel.Status{Name: "presence-x", Occupied: true, Subscriptions: 3, Users: 2}
		if diff := cmp.Diff([]channel.Status{presence, prices}, n.Channels(n.app, "")); diff != "" {
			t.Errorf("all (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]channel.Status{presence}, n.Channels(n.app, "presence-")); diff != "" {
			t.Errorf("by prefix (-want +got):\n%s", diff)
		}
		other := &app.App{ID: "78"}
		if got := n.Channels(other, ""); len(got) > 0 {
			t.Errorf("another app has %v", got)
		}
		if got := n.Channel(other, "prices"); got.Occupied {
			t.Errorf("another app has %v", got)
		}
		if diff := cmp.Diff(prices, n.Channel(n.app, "prices")); diff != "" {
			t.Errorf("one (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(channel.Status{Name: "none"}, n.Channel(n.app, "none")); diff != "" {
			t.Errorf("none (-want +got):\n%s", diff)
		}
		if got := n.userIDs("presence-x"); !slices.Equal(got, []string{"u-3", "u-9"}) {
			t.Errorf("got members %v", got)
		}
		if got := n.Members(n.app, "prices"); got != nil {
			t.Errorf("got members %v", got)
		}
	})
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		r := prometheus.NewPedanticRegistry()
		n.Engine = channel.New(n.hub, n.bus, channel.Options{Metrics: channel.NewMetrics(r)})
		a, b := n.connect(), n.connect()
		a.mustJoin("private-x", "")
		b.mustJoin("private-x", "")
		b.mustJoin("cache-x", "")
		n.publish("cache-x", "tick", "1")
		a.mustJoin("cache-x", "")
		_ = a.send("private-x", "client-a", `1`)
		_ = a.send("private-y", "client-a", `1`)
		b.close()
		got := map[string]float64{}
		families, err := r.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				name := []string{f.GetName()}
				for _, l := range m.GetLabel() {
					name = append(name, l.GetValue())
				}
				got[strings.Join(name, " ")] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
		want := map[string]float64{
			"millrace_channel_subscriptions":                              2,
			"millrace_channel_online_users":                               0,
			"millrace_channel_signed_in_connections":                      0,
			"millrace_channel_occupied_channels":                          2,
			"millrace_channel_publications_total api":                     1,
			"millrace_channel_publications_total client":                  1,
			"millrace_channel_replayed_total":                             0,
			"millrace_channel_client_events_refused_total not_subscribed": 1,
			"millrace_channel_cache_reads_total hit":                      1,
			"millrace_channel_cache_reads_total miss":                     1,
			"millrace_channel_cache_reads_total error":                    0,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("metrics (-want +got):\n%s", diff)
		}
	})
}
