package bench

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/testkit"
)

// startNode boots a real server whose views are open to all.
func startNode(t *testing.T) Options {
	t.Helper()
	n := testkit.Start(t, "apps.0.views.auth=open", "views.rate_limiting_enabled=false", "views.read_max_rows=100000")
	return Options{
		URL: "http://" + n.Addr(), MetricsURL: "http://" + n.Server.MetricsAddr().String() + "/metrics",
		App: testkit.AppID, Key: testkit.Key, Secret: testkit.Secret, Connections: 30, Channels: 1,
	}
}

func TestFanOutOfViews(t *testing.T) {
	t.Parallel()
	o := startNode(t)
	o.Views, o.Channels, o.Subscriptions, o.Rate, o.Duration = true, 3, 2, 100, 300*time.Millisecond
	for _, noSnapshot := range []bool{false, true} {
		o.NoSnapshot = noSnapshot
		r, err := FanOut(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Err(); err != nil {
			t.Errorf("%v %v", err, r.Complaints)
		}
		if d := r.Delivery; d.Expected != 20*r.Publishing.Accepted || d.Received != d.Expected || d.Expected == 0 {
			t.Errorf("%+v of %+v", d, r.Publishing)
		}
	}
}

func TestAnUnknownViewIsNoSubscription(t *testing.T) {
	t.Parallel()
	o := startNode(t)
	n := testkit.Start(t, "apps.0.views.auth=open", "views.report_unknown_views=true")
	o.URL, o.MetricsURL, o.Views, o.View, o.Rate, o.Connections = "http://"+n.Addr(), "", true, "nothing", 10, 1
	if _, err := FanOut(t.Context(), o); err == nil || !strings.Contains(err.Error(), "Unknown view") {
		t.Errorf("got %v", err)
	}
}

func TestBodiesAreJSON(t *testing.T) {
	t.Parallel()
	m := newMark(1)
	for _, body := range [][]byte{
		appendMutation(nil, `a"b`, appendStamp(nil, m, stamp{}, 64)),
		SubscribeView(`a"b/list`, true),
		SubscribeView("a/list", false),
	} {
		if !json.Valid(body) {
			t.Errorf("%s", body)
		}
	}
	s := scanner{mark: m, size: 64}
	want := stamp{channel: 2, publisher: 1, slot: noSlot, seq: 3, at: 4}
	patch := fmt.Sprintf(`{"mode":"list","entity":"a/list","op":"patch","key":"stamped","data":{"d":"%s","_seq":"1:000000000001"},"seq":"1:000000000001"}`,
		appendStamp(nil, m, want, 64))
	if got, ok := s.find([]byte(patch)); !ok || got != want {
		t.Errorf("%+v, %v", got, ok)
	}
}
