package model_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/sim/model"
)

func (w *world) admits(node cluster.NodeID, n int) {
	for range n {
		name := "q" + strconv.Itoa(len(w.sockets))
		w.Quotas.ObserveAdmitted(w.step(), node, "app", w.socket(name))
	}
}

func (w *world) refuses(node cluster.NodeID) { w.Quotas.ObserveRefused(w.step(), node, "app") }

func TestQuotas(t *testing.T) {
	t.Parallel()
	// begin has 4 of 5 connections in use.
	begin := func(w *world) {
		w.Quotas.ObserveLimit("app", 5)
		w.wait(time.Minute)
		w.admits("a", 2)
		w.admits("b", 2)
		w.wait(time.Minute)
	}
	check(t, []told{
		{"to the limit, then refused", "", func(w *world) {
			begin(w)
			w.admits("a", 1)
			w.refuses("b")
			w.Quotas.ObserveClosed(w.step(), "a", "app", w.socket("q0"))
			w.refuses("b")
			w.admits("b", 1)
		}},
		{"an app without a limit", "", func(w *world) {
			w.admits("a", 1)
			w.refuses("a")
			w.Quotas.ObserveLent(w.step(), "a", "app", 1)
			w.Quotas.ObserveClosed(w.step(), "a", "app", w.socket("q0"))
		}},
		{"what an isolated node admits", "", func(w *world) {
			begin(w)
			w.ObserveIsolated(w.step(), "b", true)
			w.admits("b", 5)
			w.refuses("b")
			w.ObserveIsolated(w.step(), "b", false)
			w.admits("a", 1)
		}},
		{"what a node out of contact has borrowed", "", func(w *world) {
			begin(w)
			w.Quotas.ObserveLent(w.step(), "b", "app", 1)
			w.ObserveHeard(w.step(), "b", false)
			w.refuses("a")
		}},
		{"what a dead node had", "", func(w *world) {
			begin(w)
			w.Quotas.ObserveLent(w.step(), "b", "app", 1)
			w.ObserveKill(w.step(), "b")
			w.wait(2 * time.Second)
			w.refuses("a")
			w.ObserveDead(w.step(), "b")
			w.admits("a", 3)
		}},
		{"one too many", "admits connection 6 of app", func(w *world) {
			begin(w)
			w.admits("a", 2)
		}},
		{"refused below the limit", "which has had 4 in use and may have 5", func(w *world) {
			begin(w)
			w.refuses("a")
		}},
		{"refused for what can be called back", "which has had 4 in use", func(w *world) {
			begin(w)
			w.Quotas.ObserveLent(w.step(), "b", "app", 1)
			w.refuses("a")
		}},
		{"refused long after", "which has had 4 in use", func(w *world) {
			begin(w)
			w.admits("a", 1)
			w.Quotas.ObserveClosed(w.step(), "a", "app", w.socket("q0"))
			w.wait(2 * time.Second)
			w.refuses("a")
		}},
		{"refused for a node that is known to be dead", "which has had 2 in use", func(w *world) {
			begin(w)
			w.admits("b", 1)
			w.ObserveKill(w.step(), "b")
			w.ObserveDead(w.step(), "b")
			w.wait(2 * time.Second)
			w.refuses("a")
		}},
	})
}

func TestKeys(t *testing.T) {
	t.Parallel()
	key := model.Key{App: "app", Key: "k"}
	try := func(w *world, digest string) model.Try { return w.Keys.ObserveTry(key, digest) }
	answer := func(w *world, t model.Try, ids ...string) { w.Keys.ObserveAnswer(w.step(), t, ids) }
	conflict := func(w *world, t model.Try) { w.Keys.ObserveConflict(w.step(), t) }
	logs := func(w *world, number int, serial uint64, id string) {
		w.Keys.ObservePublished(w.step(), "a", key, number, logged, at("s", serial), id)
	}
	receives := func(w *world, node cluster.NodeID, id string) {
		w.Keys.ObservePublished(w.step(), node, key, 0, bare, at("", 1), id)
	}
	check(t, []told{
		{"tried three times", "", func(w *world) {
			first, second, other := try(w, "x"), try(w, "x"), try(w, "y")
			logs(w, 0, 1, "i0")
			logs(w, 1, 2, "i1")
			logs(w, 1, 2, "i1")
			answer(w, first, "i0", "i1")
			answer(w, second, "i0", "i1")
			conflict(w, other)
		}},
		{"of a topic that keeps nothing", "", func(w *world) {
			try(w, "x")
			receives(w, "a", "i0")
			receives(w, "b", "i0")
		}},
		{"a key that has expired", "", func(w *world) {
			answer(w, try(w, "x"), "i0")
			w.Keys.ObserveExpired(key)
			answer(w, try(w, "y"), "i1")
		}},
		{"other ids", "is answered with the ids [i1], and before with [i0]", func(w *world) {
			answer(w, try(w, "x"), "i0")
			answer(w, try(w, "x"), "i1")
		}},
		{"another digest", "with the digest y, and before with x", func(w *world) {
			answer(w, try(w, "x"), "i0")
			answer(w, try(w, "y"), "i0")
		}},
		{"two answers", "two answers to one try", func(w *world) {
			first := try(w, "x")
			answer(w, first, "i0")
			answer(w, first, "i0")
		}},
		{"a conflict with itself", "every try was this one", func(w *world) { conflict(w, try(w, "x")) }},
		{"a conflict with what was answered", "which was answered before", func(w *world) {
			answer(w, try(w, "x"), "i0")
			try(w, "y")
			conflict(w, try(w, "x"))
		}},
		{"published twice", "item 0 of k is published as i0 at s/1", func(w *world) {
			try(w, "x")
			logs(w, 0, 1, "i0")
			logs(w, 0, 2, "i0")
			logs(w, 0, 3, "i0")
		}},
		{"published with another id", "and as i9 at s/1", func(w *world) {
			try(w, "x")
			logs(w, 0, 1, "i0")
			logs(w, 0, 1, "i9")
		}},
		{"received twice", "b receives item 0 of k twice", func(w *world) {
			try(w, "x")
			receives(w, "b", "i0")
			receives(w, "b", "i0")
		}},
		{"not asked for", "was not asked for", func(w *world) { logs(w, 0, 1, "i0") }},
		{"answered with ids of nothing", "and answered with the ids [i9]", func(w *world) {
			answer(w, try(w, "x"), "i9")
			logs(w, 0, 1, "i0")
		}},
	})
}

func TestViolationsAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld()
	for range 80 {
		w.answer("a", "m1", cluster.Done)
	}
	lines := w.Violations()
	if want := "history: and 30 more"; w.Count() != 80 || len(lines) != 51 || lines[50] != want {
		t.Errorf("found %d, %d lines, the last one %q, want 80, 51 and %q", w.Count(), len(lines), lines[len(lines)-1], want)
	}
}

// BenchmarkReceives is 20 receives for one publication that is logged and acknowledged.
func BenchmarkReceives(b *testing.B) {
	w := newWorld()
	nodes := make([]cluster.NodeID, 20)
	for i := range nodes {
		nodes[i] = cluster.NodeID("node" + strconv.Itoa(i))
		w.joined(nodes[i], logged, "s", 0)
	}
	b.ReportAllocs()
	serial := uint64(0)
	for b.Loop() {
		serial++
		id := strconv.FormatUint(serial, 10)
		w.publish("a", logged, "s", serial, id)
		for _, node := range nodes {
			w.receives(node, logged, "s", serial, id)
		}
	}
	w.CheckQuiet(w.now, w.owners)
	if found := w.Violations(); len(found) > 0 {
		b.Fatal(found)
	}
}
