package view_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/entity/owner"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/view"
)

func TestSlowSubscriber(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		n.define(top)
		n.amounts("a1 b2 c3 d4")
		c := n.connect()
		defer c.leave()
		c.subscribe("Auction/list")
		c.subscribe("Auction/top")
		c.subscribe("Auction/state key=a")
		c.subscribe("Auction/list key=b")
		c.take()
		c.give(0)
		n.apply(lot("a", `{"h":[1]}`) + " h")
		n.apply(lot("a", `{"h":[2]}`) + " h")
		n.apply(`Auction b delete`)
		n.apply(lot("e", `{"bid":{"amount":9}}`))
		c.expect()
		c.give(-1)
		got := map[string]bool{}
		for _, f := range c.take() {
			got[f] = true
		}
		want := map[string]bool{
			`upsert Auction/list a {"bid":{"amount":1},"h":[1,2]}`:  true,
			`upsert Auction/list e {"bid":{"amount":9}}`:            true,
			`delete Auction/list b`:                                 true,
			`delete Auction/top b`:                                  true,
			`upsert Auction/top e {"bid":{"amount":9}}`:             true,
			`upsert Auction/state a {"bid":{"amount":1},"h":[1,2]}`: true,
			`delete Auction/top a`:                                  true, // it came and went
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("S03: frames after the pause differ (-want +got):\n%s", diff)
		}
		n.apply(lot("a", `{"h":[3]}`) + " h")
		frames := c.take()
		slices.Sort(frames) // there is no order between views
		if diff := cmp.Diff([]string{`patch Auction/list a {"h":[3]} +h`, `patch Auction/state a {"h":[3]} +h`}, frames); diff != "" {
			t.Errorf("frames after it is up to date differ (-want +got):\n%s", diff)
		}
	})
}

// TestSnapshotInPieces lets everything change between the frames of a snapshot.
func TestSnapshotInPieces(t *testing.T) {
	t.Parallel()
	s := setup{views: view.Options{FirstBatch: 1, NextBatch: 2}}
	for _, sub := range []string{"T/list", "T/list after=origin", "T/list after=0", "T/sorted", "T/sorted take=4 skip=1"} {
		t.Run(sub, func(t *testing.T) {
			t.Parallel()
			inNodeWith(t, s, func(t *testing.T, n *node) {
				n.define(`{"id":"T/sorted","source":"T/list","sort":[{"field":"n"}]}`)
				sub := strings.ReplaceAll(sub, "origin", n.origin())
				for i := range 8 {
					n.apply(fmt.Sprintf(`T k%d patch {"n":%d}`, i, i))
				}
				c := n.connect()
				defer c.leave()
				c.give(1)
				c.subscribe(sub)
				n.apply(`T k7 delete`) // perhaps sent already
				c.give(1)
				n.apply(`T k0 delete`, `T k6 patch {"n":-1}`)
				n.apply(`T k8 patch {"n":3.5}`)
				c.give(1)
				n.apply(`T k6 patch {"x":[1]} x`)
				n.apply(`T k6 patch {"x":[2]} x`)
				for range 20 {
					c.give(1)
				}
				c.give(-1)
				n.apply(`T k6 patch {"x":[3]} x`)
				c.take()
				n.compare(t, c.store, sub)
			})
		})
	}
}

// compare checks that a store holds what a read of the view gives.
func (n *node) compare(t testing.TB, s store, sub string) {
	t.Helper()
	r := request(sub)
	r.After, r.SnapshotLimit = nil, nil
	res, issue := n.Read(app, r, 0)
	if issue != nil {
		t.Errorf("%s: %v", sub, issue)
		return
	}
	want, got := map[string]string{}, map[string]string{}
	for _, row := range res.Rows {
		want[row.Key] = string(row.Data)
	}
	for key, data := range s[r.View] {
		got[key] = text(data)
	}
	for key, data := range want {
		want[key] = normal([]byte(data))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: the client's rows differ (-server +client):\n%s", sub, diff)
	}
}

func TestWhatIsForgottenClosesTheConnection(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, sub string
		do        []string
		isLost    bool
	}{
		{"few deletions", "T/list", []string{`T a delete`}, false},
		{"more deletions than are remembered", "T/list", []string{`T a delete`, `T b delete`, `T c delete`}, true},
		{"the same of one key", "T/list key=a", []string{`T a delete`, `T b delete`, `T c delete`}, false},
		{"more frames than are remembered, few keys", "T/sorted", []string{
			`T a patch {"n":1}`, `T a patch {"n":2}`, `T a patch {"n":3}`, `T a patch {"n":4}`, `T a patch {"n":5}`,
		}, false},
		{"more frames and more keys than are remembered", "T/sorted", []string{
			`T a patch {"n":1}`, `T bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb patch {"n":2}`, `T c patch {"n":3}`,
			`T ddddddddddddddddddddddddddddddddddddddddddddddddddddddd patch {"n":4}`, `T e patch {"n":5}`, `T f patch {"n":5}`,
		}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := setup{
				hub:      hub.Options{MaxLagBytes: 200},
				entities: owner.Options{MaxTombstones: 2},
				views:    view.Options{MaxMissed: 2},
			}
			inNodeWith(t, s, func(t *testing.T, n *node) {
				n.define(`{"id":"T/sorted","source":"T/list","sort":[{"field":"n"}]}`)
				n.apply(`T a patch {}`, `T b patch {}`, `T c patch {}`)
				c := n.connect()
				defer c.leave()
				c.subscribe(test.sub)
				c.give(0)
				for _, m := range test.do {
					n.apply(m)
				}
				c.give(-1)
				c.take()
				if c.isClosed != test.isLost {
					t.Fatalf("closed is %v, want %v", c.isClosed, test.isLost)
				}
				if !test.isLost {
					n.compare(t, c.store, test.sub)
				}
			})
		})
	}
}

func TestCursorsOlderThanWhatIsKnown(t *testing.T) {
	t.Parallel()
	inNodeWith(t, setup{entities: owner.Options{MaxTombstones: 1}}, func(t *testing.T, n *node) {
		cursor := n.apply(`T a patch {"n":1}`, `T b patch {"n":1}`, `T c patch {"n":1}`).String()
		n.apply(`T d patch {"n":1}`)
		n.apply(`T a delete`)
		known := n.apply(`T a patch {"n":2}`).String()
		n.apply(`T b delete`)
		c := n.connect()
		defer c.leave()
		c.subscribe("T/list after=" + cursor)
		c.expect(`subscribed T/list list by _seq desc`, `changes T/list d:{"n":1} a:{"n":2} -b complete`, `delete T/list b`)
		c.subscribe("T/list limit=9 after=" + cursor + "=") // a part of that batch may not have come
		c.expect(`subscribed T/list list by _seq desc`, `changes T/list c:{"n":1} d:{"n":1} a:{"n":2} -b complete`, `delete T/list b`)
		n.apply(`T c delete`) // b is forgotten
		c.expect(`delete T/list c`)
		c.subscribe("T/append after=" + cursor)
		c.expect(`subscribed T/append append`, `snapshot T/append a:{"n":2} d:{"n":1} complete`, `delete T/append c`)
		c.subscribe("T/append after=" + known)
		c.expect(`subscribed T/append append`, `snapshot T/append a:{"n":2} d:{"n":1} complete`, `delete T/append c`)
		c.subscribe("T/list key=b after=" + cursor)
		c.expect(`subscribed T/list list by _seq desc`, `snapshot T/list complete`, `delete T/list b`)
		c.subscribe("T/list key=d after=" + cursor)
		c.expect(`subscribed T/list list by _seq desc`, `snapshot T/list d:{"n":1} complete`)
	})
}

// Clients that come back with a position that means nothing here get the whole view, also
// where deletions are forgotten faster than it can be sent: nothing of that is missing in it.
func TestAWholeViewWhileDeletionsAreForgotten(t *testing.T) {
	t.Parallel()
	s := setup{entities: owner.Options{MaxTombstones: 1}, views: view.Options{FirstBatch: 1, NextBatch: 1}}
	inNodeWith(t, s, func(t *testing.T, n *node) {
		for _, key := range []string{"x", "y", "z", "a", "b", "c"} {
			n.apply(`T ` + key + ` upsert {}`)
		}
		n.apply(`T x delete`)
		n.apply(`T y delete`)
		c := n.connect()
		defer c.leave()
		c.give(2)
		c.subscribe("T/list after=9999999999999:000000000001")
		n.apply(`T z delete`)
		c.give(-1)
		c.expect(`subscribed T/list list by _seq desc`, `snapshot T/list c:{}`, `snapshot T/list b:{}`, `snapshot T/list a:{} complete`, `delete T/list z`)
		if c.isClosed {
			t.Error("the connection was closed")
		}
	})
}

// What was on its way to a subscription that is replaced, or that it had missed, is told
// again.
func TestReplacingForgetsNothing(t *testing.T) {
	t.Parallel()
	subs := []string{"Auction/list", "Auction/top", "Auction/append key=d"}
	for _, isIdle := range []bool{true, false} {
		inNodeWith(t, setup{isIdle: isIdle}, func(t *testing.T, n *node) {
			n.define(top)
			n.amounts("a1 b2 c3 d4")
			c := n.connect()
			defer c.leave()
			for _, sub := range subs {
				c.subscribe(sub)
			}
			if !isIdle {
				c.give(0)
			}
			n.apply(`Auction d delete`)
			n.apply(lot("b", `{"x":1}`))
			for _, sub := range subs {
				c.subscribe(sub + " limit=50")
			}
			c.give(-1)
			c.take()
			for _, sub := range subs {
				n.compare(t, c.store, sub)
			}
		})
	}
}

func TestReplacingWhatCannotBeToldAnyMore(t *testing.T) {
	t.Parallel()
	s := setup{
		hub:      hub.Options{MaxLagBytes: 50},
		entities: owner.Options{MaxTombstones: 2},
		views:    view.Options{MaxMissed: 2},
	}
	for _, sub := range []string{"T/list", "T/sorted"} {
		inNodeWith(t, s, func(t *testing.T, n *node) {
			n.define(`{"id":"T/sorted","source":"T/list","sort":[{"field":"n"}]}`)
			n.apply(`T a patch {}`, `T b patch {}`, `T c patch {}`)
			c := n.connect()
			defer c.leave()
			c.subscribe(sub)
			c.give(0)
			n.apply(`T a delete`, `T b delete`, `T c delete`)
			c.subscribe(sub + " limit=50")
			c.give(-1)
			if !c.isClosed {
				t.Errorf("%s: the connection was not closed", sub)
			}
		})
	}
}

// What is on its way to a window that is replaced may be more than is remembered of it.
func TestReplacingWhatIsOnItsWay(t *testing.T) {
	t.Parallel()
	for _, most := range []int{2, 3} {
		inNodeWith(t, setup{isIdle: true, views: view.Options{MaxMissed: most}}, func(t *testing.T, n *node) {
			n.define(`{"id":"T/sorted","source":"T/list","sort":[{"field":"n"}]}`)
			n.apply(`T a patch {}`, `T b patch {}`, `T c patch {}`)
			c := n.connect()
			defer c.leave()
			c.subscribe("T/sorted")
			n.apply(`T a delete`, `T b delete`, `T c delete`)
			c.subscribe("T/sorted limit=50")
			if c.take(); c.isClosed != (most < 3) {
				t.Errorf("closed is %v, although 3 frames were on their way and %d are remembered", c.isClosed, most)
			} else if !c.isClosed {
				n.compare(t, c.store, "T/sorted")
			}
		})
	}
}

// More is published between joining and the end of the snapshot than is held.
func TestHoldOverflows(t *testing.T) {
	t.Parallel()
	for _, sub := range []string{"T/list", "T/list key=a", "T/sorted"} {
		inNodeWith(t, setup{hub: hub.Options{MaxHeld: 2}}, func(t *testing.T, n *node) {
			n.define(`{"id":"T/sorted","source":"T/list","sort":[{"field":"n"}]}`)
			n.apply(`T a patch {"log":[]}`)
			c := n.connect()
			defer c.leave()
			c.onReply = func(m *protocol.Message) {
				for i := range 5 {
					if m.Kind == protocol.MessageViewSnapshot {
						n.apply(fmt.Sprintf(`T a patch {"log":[%d]} log`, i))
					}
				}
			}
			c.subscribe(sub)
			n.apply(`T a patch {"log":[5]} log`)
			c.take()
			n.compare(t, c.store, sub)
		})
	}
}

// A snapshot that waits for its turn holds nothing: it begins with what there is then.
func TestWhatWaitsBeginsWithThePresent(t *testing.T) {
	t.Parallel()
	s := setup{entities: owner.Options{MaxTombstones: 1}, views: view.Options{MaxMissed: 2}}
	inNodeWith(t, s, func(t *testing.T, n *node) {
		n.define(`{"id":"T/sorted","source":"T/list","sort":[{"field":"n"}]}`)
		n.apply(`T a patch {"n":1}`, `T b patch {"n":2}`, `T c patch {"n":3}`, `T d patch {"n":4}`)
		c := n.connect()
		defer c.leave()
		c.give(0)
		c.subscribe("T/sorted")
		c.subscribe("T/list after=" + n.origin())
		c.subscribe("T/append")
		c.take()
		for i := range 10 { // more than is remembered of a window
			n.apply(fmt.Sprintf(`T a patch {"n":%d}`, i+5))
		}
		n.apply(`T b delete`) // and of deletions
		n.apply(`T c delete`)
		c.give(-1)
		c.expect(`snapshot T/sorted d:{"n":4} a:{"n":14} complete`,
			`snapshot T/list a:{"n":14} d:{"n":4} complete`, `delete T/list c`,
			`snapshot T/append a:{"n":14} d:{"n":4} complete`)
		if c.isClosed {
			t.Error("the connection was closed")
		}
	})
}

// Few windows are sent in part at a time, because each of them holds its rows.
func TestFewWindowsBeginAtATime(t *testing.T) {
	t.Parallel()
	inNodeWith(t, setup{views: view.Options{FirstBatch: 1, NextBatch: 1}}, func(t *testing.T, n *node) {
		const windows, rows = 12, 9
		for i := range rows {
			n.apply(fmt.Sprintf(`T k%d patch {"n":%d}`, i, i))
		}
		c := n.connect()
		defer c.leave()
		c.give(0)
		for i := range windows {
			n.define(fmt.Sprintf(`{"id":"T/sorted%d","source":"T/list","sort":[{"field":"n"}]}`, i))
			c.subscribe(fmt.Sprintf("T/sorted%d", i))
		}
		c.unsubscribe("T/sorted3")
		whole := 0
		for frames := 0; whole < windows-1 && frames < 1000; frames++ {
			c.give(1)
			whole = 0
			parts := 0
			for _, rowsOf := range c.store {
				if len(rowsOf) == rows {
					whole++
				} else {
					parts++
				}
			}
			if parts > 4 {
				t.Fatalf("%d windows are sent in part, want 4 at most", parts)
			}
			if parts > 1 && frames == 40 {
				c.subscribe("T/sorted0 take=9") // replaces one, which may be sent in part
			}
		}
		if whole < windows-1 {
			t.Errorf("%d windows came whole, want %d", whole, windows-1)
		}
	})
}

// Few windows are brought up to date at a time, because each holds keys and makes its window remember
// frames. The others lag, and what they miss is noted.
func TestFewWindowsCatchUpAtATime(t *testing.T) {
	t.Parallel()
	inNodeWith(t, setup{views: view.Options{NextBatch: 1}}, func(t *testing.T, n *node) {
		const windows, rows = 12, 9
		c := n.connect()
		defer c.leave()
		for i := range windows {
			n.define(fmt.Sprintf(`{"id":"T/sorted%d","source":"T/list","sort":[{"field":"n"}]}`, i))
			c.subscribe(fmt.Sprintf("T/sorted%d", i))
		}
		c.take()
		c.give(0)
		for i := range rows {
			n.apply(fmt.Sprintf(`T k%d patch {"n":%d}`, i, i))
		}
		for range windows * rows {
			c.give(1)
			parts := 0
			for _, rowsOf := range c.store {
				if len(rowsOf) > 0 && len(rowsOf) < rows {
					parts++
				}
			}
			if parts > 4 {
				t.Fatalf("%d windows are brought up to date at a time, want 4 at most", parts)
			}
		}
		c.give(-1)
		n.apply(`T k0 patch {"n":100}`)
		c.take()
		for i := range windows {
			n.compare(t, c.store, fmt.Sprintf("T/sorted%d", i))
		}
	})
}

// Windows that replace others, and wait, hold what the client has of those: one may hold all of it,
// several not more than a bound.
func TestReplacingManyRowsWhileNothingIsTaken(t *testing.T) {
	t.Parallel()
	for _, windows := range []int{1, 2} {
		inNode(t, func(t *testing.T, n *node) {
			for i := range 600 {
				n.apply(fmt.Sprintf(`T %d%s patch {"n":%d}`, i, strings.Repeat("x", 1000), i))
			}
			c := n.connect()
			defer c.leave()
			for i := range windows {
				n.define(fmt.Sprintf(`{"id":"T/sorted%d","source":"T/list","sort":[{"field":"n"}]}`, i))
				c.subscribe(fmt.Sprintf("T/sorted%d take=600", i))
			}
			c.give(0)
			for range 3 {
				for i := range windows {
					c.subscribe(fmt.Sprintf("T/sorted%d take=300", i))
					c.subscribe(fmt.Sprintf("T/sorted%d take=200", i))
				}
			}
			c.give(-1)
			c.take()
			if want := windows > 1; c.isClosed != want {
				t.Errorf("%d windows were replaced: closed is %v, want %v", windows, c.isClosed, want)
			} else if !want {
				n.compare(t, c.store, "T/sorted0 take=200")
			}
		})
	}
}

// A long snapshot does not keep others waiting.
func TestTurns(t *testing.T) {
	t.Parallel()
	inNodeWith(t, setup{views: view.Options{FirstBatch: 1, NextBatch: 1}}, func(t *testing.T, n *node) {
		for i := range 20 {
			n.apply(fmt.Sprintf(`T k%d patch {}`, i))
		}
		n.apply(`U a patch {}`, `U b patch {}`)
		c := n.connect()
		defer c.leave()
		c.give(1)
		c.subscribe("T/list")
		c.subscribe("U/list")
		c.take()
		for range 6 {
			c.give(1)
		}
		if got := len(c.store["U/list"]); got != 2 {
			t.Errorf("%d rows of the short list after six frames, want both", got)
		}
		if got := len(c.store["T/list"]); got == 0 || got == 20 {
			t.Errorf("%d rows of the long list after six frames, want some", got)
		}
	})
}

// A connection that is not metered keeps nothing of the subscriptions that it had.
func TestUsageThatIsNotMetered(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		c := n.connect()
		defer c.leave()
		c.subscribe("T/list")
		n.apply(`T a patch {"n":1}`)
		c.unsubscribe("T/list")
		c.Meter()
		c.Usage(func(view string, frames, _ int) { t.Errorf("%d frames of %s are kept", frames, view) })
	})
}

func TestUsage(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		c := n.connect()
		defer c.leave()
		c.Meter()
		usage := func() map[string]int {
			got := map[string]int{}
			c.Usage(func(view string, frames, bytes int) {
				if bytes < 40*frames {
					t.Errorf("%s: %d bytes in %d frames", view, bytes, frames)
				}
				got[view] += frames
			})
			return got
		}
		c.subscribe("T/list")
		c.subscribe("T/list key=a")
		c.subscribe("T/state key=a")
		n.apply(`T a patch {"n":1}`)
		n.apply(`T b patch {"n":1}`)
		c.unsubscribe("T/list key=a")
		if diff := cmp.Diff(map[string]int{"T/list": 3, "T/state": 1}, usage()); diff != "" {
			t.Errorf("usage differs (-want +got):\n%s", diff)
		}
		if got := usage(); len(got) != 0 {
			t.Errorf("usage was told twice: %v", got)
		}
		n.apply(`T b patch {"n":1}`)
		n.Leave(&c.Connection)
		if diff := cmp.Diff(map[string]int{"T/list": 1}, usage()); diff != "" {
			t.Errorf("usage after leaving differs (-want +got):\n%s", diff)
		}
	})
}

// TestWhatWaitsForTheConnectionIsNotPrepared has three windows that lag, for a connection that
// takes one frame at a time.
func TestWhatWaitsForTheConnectionIsNotPrepared(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewPedanticRegistry()
	inNodeWith(t, setup{views: view.Options{Metrics: view.NewMetrics(reg)}}, func(t *testing.T, n *node) {
		c := n.connect()
		defer c.leave()
		for i := range 3 {
			n.define(fmt.Sprintf(`{"id":"T/sorted%d","source":"T/list","sort":[{"field":"n"}]}`, i))
			c.subscribe(fmt.Sprintf("T/sorted%d", i))
		}
		c.take()
		c.give(0)
		n.apply(`T a patch {"n":1}`)
		for sent := range 3 {
			c.give(1)
			if got := resyncs(t, reg); got != sent+1 {
				t.Errorf("%d windows are prepared after %d frames, want %d", got, sent+1, sent+1)
			}
		}
		c.give(-1)
		if got := len(c.take()); got != 3 {
			t.Errorf("got %d frames, want one of each window", got)
		}
	})
}

func resyncs(t *testing.T, reg *prometheus.Registry) int {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "millrace_view_resyncs_total" {
			return int(f.GetMetric()[0].GetCounter().GetValue())
		}
	}
	return 0
}
