package logtest

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// come is the edge with which a user comes to a topic, the topic itself if user is empty. The number makes it differ from others.
func come(name, user string, number int) log.Record {
	e := &log.Edge{
		ID: fmt.Sprint("edge-", number), Kind: log.EdgeMember, Is: true, User: user, Time: start + int64(number),
		Node: Node, Life: uint64(number), //nolint:gosec // a small number
	}
	if user == "" {
		e.Kind = log.EdgeTopic
	} else {
		e.Info = fmt.Appendf(nil, `{"number":%d}`, number)
	}
	return log.Record{Topic: topic(name), Kind: log.KindEdge, Edge: e}
}

// gone is the edge with which it goes.
func gone(name, user string, number int) log.Record {
	r := come(name, user, number)
	r.Edge.Is, r.Edge.Info, r.Edge.Node, r.Edge.Life, r.Edge.Cause = false, nil, "", 0, log.CauseNodeDied
	return r
}

// in is an edge as one of a topic of another app and kind.
func in(app string, kind protocol.TopicKind, r log.Record) log.Record {
	r.Topic.App, r.Topic.Kind = app, kind
	return r
}

// tells wants an app to have exactly what has come with the given edges.
func (n *node) tells(when, app string, edges ...log.Record) {
	n.t.Helper()
	var want []log.Present
	for i := range edges {
		want = append(want, edges[i].Edge.Present(edges[i].Topic))
	}
	slices.SortFunc(want, func(a, b log.Present) int { return a.Compare(&b.Subject) })
	same(n.t, fmt.Sprintf("%s: told of %q", when, app), want, n.told(app))
}

func (n *node) told(app string) (all []log.Present) {
	n.t.Helper()
	for p, err := range n.Told(n.t.Context(), app) {
		if err != nil {
			n.t.Errorf("Told: %v", err)
			return nil
		}
		all = append(all, p)
	}
	return all
}

func told(t *testing.T, h Harness) {
	n := open(t, h, Setup{})
	n.each(func(when string) { n.tells(when, "app") })
	channel, ada, bob := come("a", "", 1), come("a", "ada", 2), come("a", "bob", 3)
	other, user := in("other", protocol.TopicChannel, come("a", "", 4)), in("app", protocol.TopicUser, come("a", "", 5))
	n.append(channel, ada, other)
	n.append(bob, user)
	n.each(func(when string) {
		n.tells(when, "app", channel, ada, bob, user)
		n.tells(when, "other", other)
		n.tells(when, "third")
		n.tells(when, "", channel, ada, bob, user, other)
	})
	again := come("a", "ada", 8)
	n.append(gone("a", "ada", 6), in("other", protocol.TopicChannel, gone("a", "", 7)))
	n.append(again, gone("a", "bob", 9))
	n.append(log.Record{Topic: topic("a"), Kind: log.KindReset, StreamID: "s"}, publication("a", "s", 1))
	n.each(func(when string) {
		n.tells(when, "", channel, again, user)
		n.keeps(when, "a", "s", 1, 1)
	})
	for p, err := range n.Told(t.Context(), "") {
		if err != nil || p.Subject != (log.Subject{Topic: topic("a")}) {
			t.Errorf("the first is %+v, %v", p, err)
		}
		break // the log can be used after that
	}
	last, _ := n.Committed()
	n.fold()
	if err := n.Trim(t.Context(), last+1); err != nil {
		t.Error(err)
	}
	n.append(gone("a", "ada", 10))
	n.each(func(when string) { n.tells(when, "", channel, user) })
}

// toldByGroups moves a user from topic to topic beside folds: each read finds the user in one topic, at which it was or came to be
// since the read began.
func toldByGroups(t *testing.T, h Harness) {
	n := open(t, h, Setup{})
	const last = 150
	var acknowledged atomic.Int64
	var running sync.WaitGroup
	place := func(number int) string { return fmt.Sprint("topic-", number%7) }
	n.append(come(place(0), "ada", 0))
	running.Go(func() {
		defer acknowledged.Store(last)
		for number := 1; number <= last; number++ {
			n.append(gone(place(number-1), "ada", number), come(place(number), "ada", number))
			acknowledged.Store(int64(number))
			if number%7 == 0 {
				n.fold()
			}
		}
	})
	for range 2 {
		running.Go(func() {
			for at := int64(0); at < last; {
				at = acknowledged.Load()
				all := n.told("app")
				if len(all) != 1 || int64(all[0].Life) < at || all[0].Topic != topic(place(int(all[0].Life))) { //nolint:gosec // small numbers
					t.Errorf("number %d was acknowledged, told is %+v", at, all)
					return
				}
			}
		})
	}
	running.Wait()
	n.each(func(when string) { n.tells(when, "app", come(place(last), "ada", last)) })
}

// randomEdges appends edges, folds, trims and restarts, and compares what is told with a model.
func randomEdges(t *testing.T, h Harness) {
	n := open(t, h, Setup{})
	model := map[log.Subject]log.Record{}
	number, serial := 0, uint64(0)
	apps := []string{"app", "app-2", "bpp"}
	rapid.Check(t, func(rt *rapid.T) {
		edge := func() log.Record {
			number++
			name, user := rapid.SampledFrom([]string{"a", "b", "\xc3\xa4"}).Draw(rt, "topic"), rapid.SampledFrom([]string{"", "ada", "b", "Bob"}).Draw(rt, "user")
			r := come(name, user, number)
			r.Topic.App = rapid.SampledFrom(apps).Draw(rt, "app")
			r.Topic.Kind = rapid.SampledFrom([]protocol.TopicKind{protocol.TopicChannel, protocol.TopicUser}).Draw(rt, "kind")
			s := log.Subject{Topic: r.Topic, User: user}
			if _, isThere := model[s]; !isThere {
				model[s] = r
				return r
			}
			delete(model, s)
			return in(r.Topic.App, r.Topic.Kind, gone(name, user, number))
		}
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(rt *rapid.T) {
				var group []log.Record
				for range rapid.IntRange(1, 8).Draw(rt, "edges") {
					group = append(group, edge())
				}
				if rapid.Bool().Draw(rt, "publication") {
					serial++
					group = append(group, publication("a", "s", serial))
				}
				n.append(group...)
			},
			"fold": func(*rapid.T) { n.fold() },
			"trim": func(*rapid.T) {
				n.fold()
				last, _ := n.Committed()
				if err := n.Trim(t.Context(), last+1); err != nil {
					rt.Fatal(err)
				}
			},
			"restart": func(*rapid.T) { n.reopen() },
			"": func(rt *rapid.T) {
				app := rapid.SampledFrom(append(apps, "")).Draw(rt, "told of")
				var want []log.Record
				for s, r := range model {
					if app == "" || s.Topic.App == app {
						want = append(want, r)
					}
				}
				n.tells("random", app, want...)
				if t.Failed() {
					rt.FailNow()
				}
			},
		})
	})
}
