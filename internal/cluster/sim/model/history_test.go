package model_test

import (
	"testing"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/sim/model"
	"github.com/millrace/millrace/internal/protocol"
)

func TestHistoryOfTheLog(t *testing.T) {
	t.Parallel()
	check(t, []told{
		{"acknowledged, then received", "", func(w *world) {
			w.joined("a", logged, "s", 0)
			w.publish("b", logged, "s", 1, "m1")
			w.receives("a", logged, "s", 1, "m1")
		}},
		{"uncertain, then tried again", "", func(w *world) {
			w.attempt("a", logged, "m1")
			w.answer("a", "m1", cluster.Uncertain)
			w.commit("s", 1, "m1")
			w.attempt("b", logged, "m1")
			w.done("b", "m1", "s", 1)
		}},
		{"unavailable, then tried again", "", func(w *world) {
			w.attempt("a", logged, "m1")
			w.answer("a", "m1", cluster.Unavailable)
			w.attempt("a", logged, "m1")
			w.commit("s", 1, "m1")
			w.done("a", "m1", "s", 1)
		}},
		{"committed and never answered", "", func(w *world) {
			w.attempt("a", logged, "m1")
			w.commit("s", 1, "m1")
		}},
		{"reset, and a stream of which nothing was published", "", func(w *world) {
			w.joined("a", logged, "drawn", 0)
			w.joined("b", logged, "", 0)
			w.publish("b", logged, "s", 1, "m1")
			w.receives("a", logged, "s", 1, "m1")
			w.receives("b", logged, "s", 1, "m1")
			w.History.ObserveReset(w.step(), logged, "s2")
			w.loses("a", logged, at("s", 1), at("s2", 0))
			w.loses("b", logged, at("s", 1), at("s2", 0))
		}},
		{"an answer without a question", "was not asked for", func(w *world) { w.answer("a", "m1", cluster.Unavailable) }},
		{"acknowledged before it is committed", "where the log does not have it", func(w *world) {
			w.attempt("a", logged, "m1")
			w.done("a", "m1", "s", 1)
		}},
		{"acknowledged at another position", "where the log does not have it", func(w *world) {
			w.attempt("a", logged, "m1")
			w.commit("s", 1, "m1")
			w.done("a", "m1", "s", 2)
		}},
		{"two positions for two tries", "m1 is acknowledged at s/1 and at s/2", func(w *world) {
			w.publish("a", logged, "s", 1, "m1")
			w.attempt("b", logged, "m1")
			w.done("b", "m1", "s", 2)
		}},
		{"refused, then committed", "m1 was refused, and is in", func(w *world) {
			w.attempt("a", logged, "m1")
			w.answer("a", "m1", cluster.Unavailable)
			w.commit("s", 1, "m1")
		}},
		{"committed, then refused", "m1 was refused, and is in", func(w *world) {
			w.attempt("a", logged, "m1")
			w.commit("s", 1, "m1")
			w.answer("a", "m1", cluster.Invalid)
		}},
		{"committed twice", "m1 is in \"logged\" twice", func(w *world) {
			w.publish("a", logged, "s", 1, "m1")
			w.commit("s", 2, "m1")
		}},
		{"committed again after a reset", "m1 is in the log of \"logged\" twice", func(w *world) {
			w.publish("a", logged, "s", 1, "m1")
			w.commit("s2", 1, "m1")
		}},
		{"a serial is left out", "after serial 1", func(w *world) {
			w.publish("a", logged, "s", 1, "m1")
			w.publish("a", logged, "s", 3, "m2")
		}},
		{"a serial is far out", "cannot be at", func(w *world) {
			w.publish("a", ringed, "s", 1<<40, "m1")
		}},
		{"a stream comes back", "begins a second time", func(w *world) {
			w.publish("a", logged, "s", 1, "m1")
			w.publish("a", logged, "s2", 1, "m2")
			w.publish("a", logged, "s", 2, "m3")
		}},
		{"a reset to the same stream", "begins a second time", func(w *world) {
			w.publish("a", logged, "s", 1, "m1")
			w.History.ObserveReset(w.step(), logged, "s")
		}},
		{"received before it is committed", "where the log does not have it", func(w *world) {
			w.joined("a", logged, "s", 0)
			w.attempt("b", logged, "m1")
			w.receives("a", logged, "s", 1, "m1")
			w.commit("s", 1, "m1")
		}},
		{"half of a part", "1 of the 2 items of part 7", func(w *world) {
			w.History.ObserveAttempt(w.step(), "a", logged, "m1", 7)
			w.History.ObserveAttempt(w.step(), "a", logged, "m2", 7)
			w.commit("s", 1, "m1")
		}},
		{"one id of two topics", "an id is of one topic", func(w *world) {
			w.attempt("a", logged, "m1")
			w.attempt("a", ringed, "m1")
		}},
		{"a later publish is earlier", "but serial 2 was acknowledged before", func(w *world) {
			w.attempt("a", ringed, "m2")
			w.done("a", "m2", "s", 2)
			w.attempt("a", ringed, "m1")
			w.done("a", "m1", "s", 1)
		}},
	})
}

func TestHistoryOfNodes(t *testing.T) {
	t.Parallel()
	check(t, []told{
		{"joins late, leaves early", "", func(w *world) {
			w.publish("a", ringed, "s", 1, "m1")
			w.joined("b", ringed, "s", 1)
			w.joined("b", ringed, "s", 1)
			w.publish("a", ringed, "s", 2, "m2")
			w.receives("b", ringed, "s", 2, "m2")
			w.History.ObserveLeft("b", ringed)
			w.publish("a", ringed, "s", 3, "m3")
			w.joined("b", ringed, "s", 3)
		}},
		{"an owner dies", "", func(w *world) {
			w.joined("a", ringed, "s", 0)
			w.joined("a", bare, "", 9)
			w.attempt("b", ringed, "m1")
			w.done("b", "m1", "s", 1)
			w.attempt("b", bare, "n1")
			w.done("b", "n1", "", 10)
			w.History.ObserveTakeOver(w.step())
			w.sends(2, "s2")
			w.loses("a", ringed, at("s", 0), at("s2", 0))
			w.publish("b", ringed, "s2", 1, "m2")
			w.receives("a", ringed, "s2", 1, "m2")
			w.owners.Position = standing("s2", 1)
		}},
		{"a node dies", "", func(w *world) {
			w.joined("a", ringed, "s", 0)
			w.publish("b", ringed, "s", 1, "m1")
			w.ObserveKill(w.step(), "a")
		}},
		{"a node is isolated", "", func(w *world) {
			w.joined("a", ringed, "s", 0)
			w.joined("b", ringed, "s", 0)
			w.ObserveIsolated(w.step(), "a", true)
			w.loses("a", ringed, at("s", 0), at("alone", 0))
			w.publish("a", ringed, "alone", 1, "m1")
			w.receives("a", ringed, "alone", 1, "m1")
			w.publish("b", ringed, "s", 1, "m2")
			w.receives("b", ringed, "s", 1, "m2")
			w.ObserveIsolated(w.step(), "a", false)
			w.loses("a", ringed, at("alone", 1), at("s", 1))
		}},
		{"tried twice, of a topic that keeps nothing", "", func(w *world) {
			w.joined("b", bare, "", 0)
			w.attempt("a", bare, "m1")
			w.receives("b", bare, "", 1, "m1")
			w.answer("a", "m1", cluster.Uncertain)
			w.attempt("a", bare, "m1")
			w.receives("b", bare, "", 2, "m1")
			w.done("a", "m1", "", 2)
		}},
		{"joins again before a publish is acknowledged", "", func(w *world) {
			w.joined("b", bare, "", 0)
			w.attempt("a", bare, "m1")
			w.History.ObserveLeft("b", bare)
			w.joined("b", bare, "", 1)
			w.done("a", "m1", "", 1)
		}},
		{"out of order after a loss", "", func(w *world) {
			w.joined("b", bare, "", 0)
			w.attempt("a", bare, "m1")
			w.done("a", "m1", "", 1)
			w.attempt("a", bare, "m2")
			w.receives("b", bare, "", 2, "m2")
			w.loses("b", bare, at("", 2), at("", 2))
			w.receives("b", bare, "", 1, "m1")
		}},
		{"what the owner publishes itself", "", func(w *world) {
			w.joined("b", ringed, "s", 0)
			w.History.ObserveReceived(w.step(), "b", ringed, at("s", 1), "edge", true)
		}},
		{"a node leaves out what the owner publishes itself", "", func(w *world) {
			w.joined("b", ringed, "s", 0)
			w.joined("c", logged, "l", 0)
			w.History.ObserveOwn(w.step(), ringed, at("s", 1), "edge1")
			w.publish("a", ringed, "s", 2, "m1")
			w.receives("b", ringed, "s", 2, "m1")
			w.History.ObserveOwn(w.step(), ringed, at("s", 3), "edge2")
			w.History.ObserveOwn(w.step(), bare, at("", 4), "edge3")
			w.History.ObserveCommitted(w.step(), logged, at("l", 1), "edge4", true)
			w.owners.Position = standing("s", 3)
		}},
		{"a gap behind what the owner publishes itself", "but is at 1 and was told of no loss", func(w *world) {
			w.joined("b", ringed, "s", 0)
			w.History.ObserveOwn(w.step(), ringed, at("s", 1), "edge1")
			w.publish("a", ringed, "s", 3, "m2")
			w.receives("b", ringed, "s", 3, "m2")
		}},
		{"never published", "but was never published", func(w *world) {
			w.joined("b", ringed, "s", 0)
			w.receives("b", ringed, "s", 1, "m1")
		}},
		{"a gap", "but is at 0 and was told of no loss", func(w *world) {
			w.publish("a", ringed, "s", 1, "m1")
			w.joined("b", ringed, "s", 0)
			w.publish("a", ringed, "s", 2, "m2")
			w.receives("b", ringed, "s", 2, "m2")
		}},
		{"received twice", "again: it is at 1", func(w *world) {
			w.joined("b", ringed, "s", 0)
			w.publish("a", ringed, "s", 1, "m1")
			w.receives("b", ringed, "s", 1, "m1")
			w.receives("b", ringed, "s", 1, "m1")
		}},
		{"received twice, of a topic that keeps nothing", "b receives m1 in \"bare\" twice", func(w *world) {
			w.joined("b", bare, "", 0)
			w.attempt("a", bare, "m1")
			w.receives("b", bare, "", 1, "m1")
			w.receives("b", bare, "", 2, "m1")
		}},
		{"another stream in silence", "but is in the stream s and was told of no loss", func(w *world) {
			w.joined("b", ringed, "s", 0)
			w.publish("a", ringed, "s2", 1, "m1")
			w.receives("b", ringed, "s2", 1, "m1")
		}},
		{"two publications at one place", "m1 and m2 are both at s/1", func(w *world) {
			w.joined("b", ringed, "s", 0)
			w.joined("c", ringed, "s", 0)
			w.attempt("a", ringed, "m1")
			w.attempt("a", ringed, "m2")
			w.receives("b", ringed, "s", 1, "m1")
			w.receives("c", ringed, "s", 1, "m2")
		}},
		{"one publication at two places", "m1 is in \"ringed\" twice", func(w *world) {
			w.attempt("a", ringed, "m1")
			w.receives("b", ringed, "s", 1, "m1")
			w.receives("c", ringed, "s", 2, "m1")
		}},
		{"a stream of two terms", "the terms 1 and 2 both use the stream s", func(w *world) {
			w.sends(1, "s")
			w.sends(2, "s")
		}},
		{"out of order", "after what was published once it was acknowledged", func(w *world) {
			w.joined("b", bare, "", 0)
			w.attempt("a", bare, "m1")
			w.done("a", "m1", "", 1)
			w.attempt("a", bare, "m2")
			w.receives("b", bare, "", 2, "m2")
			w.receives("b", bare, "", 1, "m1")
		}},
		{"out of order, with a publish of an isolated node between", "but serial 2 was acknowledged before", func(w *world) {
			w.publish("a", ringed, "s", 2, "m2")
			w.ObserveIsolated(w.step(), "c", true)
			w.publish("c", ringed, "alone", 1, "m3")
			w.publish("a", ringed, "s", 1, "m1")
		}},
		{"has not reached a node", "m1 was acknowledged and has not reached b", func(w *world) {
			w.joined("b", bare, "", 0)
			w.attempt("a", bare, "m1")
			w.done("a", "m1", "", 1)
		}},
		{"is acknowledged after a quiet moment", "m1 was acknowledged and has not reached b", func(w *world) {
			w.joined("b", bare, "", 0)
			w.attempt("a", bare, "m1")
			w.CheckQuiet(w.now, w.owners)
			w.done("a", "m1", "", 1)
		}},
		{"has not reached a node long after a take-over", "m1 was acknowledged and has not reached b", func(w *world) {
			w.joined("b", bare, "", 0)
			w.History.ObserveTakeOver(w.step())
			w.attempt("a", bare, "m1")
			w.done("a", "m1", "", 1)
			w.wait(6 * time.Second)
			w.History.ObserveTakeOver(w.step())
		}},
		{"has not reached the node of its publisher, alone", "has not reached a", func(w *world) {
			w.joined("a", bare, "", 0)
			w.joined("b", bare, "", 0)
			w.ObserveIsolated(w.step(), "a", true)
			w.attempt("a", bare, "m1")
			w.done("a", "m1", "", 1)
		}},
		{"is not where the owner is", "b is at s/0 of \"ringed\", which is at s2/0", func(w *world) {
			w.joined("b", ringed, "s", 0)
			w.owners.Position = standing("s2", 0)
		}},
		{"is not where the log is", "b is at s/0 of \"logged\", which is at s/1", func(w *world) {
			w.joined("b", logged, "s", 0)
			w.attempt("a", logged, "m1")
			w.commit("s", 1, "m1")
		}},
		{"the owner is not where the log is", "the owner of \"logged\" is at s/2, the log at s/1", func(w *world) {
			w.publish("a", logged, "s", 1, "m1")
			w.owners.Position = func(protocol.Topic) (cluster.Position, bool) { return at("s", 2), true }
		}},
		{"joins before what was received", "but has received up to 1 before", func(w *world) {
			w.joined("b", ringed, "s", 0)
			w.publish("a", ringed, "s", 1, "m1")
			w.receives("b", ringed, "s", 1, "m1")
			w.joined("b", ringed, "s", 0)
		}},
	})
}

func TestIsBehind(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.joined("a", ringed, "s", 2)
	for _, c := range []struct {
		node cluster.NodeID
		t    protocol.Topic
		at   cluster.Position
		want bool
	}{
		{"a", ringed, at("s", 2), false},
		{"a", ringed, at("s", 3), true},
		{"a", ringed, at("s2", 1), true},
		{"b", ringed, at("s", 3), false},
		{"a", bare, at("", 3), false},
	} {
		if got := w.History.IsBehind(c.node, c.t, c.at); got != c.want {
			t.Errorf("%s is behind %v of %s: %t, want %t", c.node, c.at, c.t.Name, got, c.want)
		}
	}
}

func TestHistoryOfLosses(t *testing.T) {
	t.Parallel()
	check(t, []told{
		{"a ring is passed over", "", func(w *world) {
			w.History.Ring = 2
			w.joined("b", ringed, "s", 0)
			w.loses("b", ringed, at("s", 0), at("s", 2))
		}},
		{"a purged log", "", func(w *world) {
			w.joined("b", logged, "s", 0)
			w.publish("a", logged, "s", 1, "m1")
			w.History.ObservePurged(logged, "s", 2)
			w.loses("b", logged, at("s", 0), at("s", 1))
		}},
		{"begins too late", "is told of a loss in \"ringed\" from s/2, but is at 0", func(w *world) {
			w.joined("b", ringed, "s", 0)
			w.loses("b", ringed, at("s", 2), at("s", 3))
		}},
		{"goes back", "is told of a loss in \"ringed\" to s/1, but is at 2", func(w *world) {
			w.joined("b", ringed, "s", 2)
			w.loses("b", ringed, at("s", 1), at("s", 1))
		}},
		{"is kept in the ring", "which is kept", func(w *world) {
			w.History.Ring = 2
			w.joined("b", ringed, "s", 0)
			w.loses("b", ringed, at("s", 0), at("s", 1))
		}},
		{"is kept in the log", "which is kept", func(w *world) {
			w.joined("b", logged, "s", 0)
			w.publish("a", logged, "s", 1, "m1")
			w.loses("b", logged, at("s", 0), at("s", 1))
		}},
		{"goes to a stream that there is not", "which the log does not have", func(w *world) {
			w.joined("b", logged, "s", 0)
			w.loses("b", logged, at("s", 0), at("s2", 1))
		}},
	})
}

func TestHistoryOfReplays(t *testing.T) {
	t.Parallel()
	two := func(w *world, t protocol.Topic) {
		w.publish("a", t, "s", 1, "m1")
		w.publish("a", t, "s", 2, "m2")
	}
	check(t, []told{
		{"all that follows, then live", "", func(w *world) {
			two(w, logged)
			w.joined("b", logged, "s", 2)
			w.replay("b", logged, model.Replayed{After: at("s", 0), To: at("s", 2)}, "m1", "m2")
			w.publish("a", logged, "s", 3, "m3")
			w.receives("b", logged, "s", 3, "m3")
		}},
		{"reset, expired, keeps nothing", "", func(w *world) {
			w.replay("b", ringed, model.Replayed{Result: cluster.StreamReset, After: at("s", 0), To: at("s2", 2)})
			w.replay("b", ringed, model.Replayed{Result: cluster.PositionExpired, After: at("s", 0), To: at("s", 2)})
			w.replay("b", bare, model.Replayed{Result: cluster.PositionExpired, After: at("", 5), To: at("", 2)})
		}},
		{"one is left out", "in the place of 1", func(w *world) {
			two(w, ringed)
			w.replay("b", ringed, model.Replayed{After: at("s", 0), To: at("s", 2), Found: []model.Found{{At: at("s", 2), ID: "m2"}}})
		}},
		{"ends early", "to s/2 that ends with 1", func(w *world) {
			two(w, ringed)
			w.replay("b", ringed, model.Replayed{After: at("s", 0), To: at("s", 2)}, "m1")
		}},
		{"another publication, of a ring", "both at s/1", func(w *world) {
			two(w, ringed)
			w.attempt("a", ringed, "m3")
			w.replay("b", ringed, model.Replayed{After: at("s", 0), To: at("s", 1)}, "m3")
		}},
		{"another publication, of the log", "where the log does not have it", func(w *world) {
			two(w, logged)
			w.attempt("a", logged, "m3")
			w.replay("b", logged, model.Replayed{After: at("s", 1), To: at("s", 2)}, "m3")
		}},
		{"ends before what was received", "but has received up to 2 before", func(w *world) {
			two(w, ringed)
			w.joined("b", ringed, "s", 2)
			w.replay("b", ringed, model.Replayed{After: at("s", 0), To: at("s", 1)}, "m1")
		}},
		{"another stream than the log's", "but the stream is s", func(w *world) {
			two(w, logged)
			w.replay("b", logged, model.Replayed{Result: cluster.StreamReset, After: at("s2", 0), To: at("s3", 0)})
		}},
		{"no reset", "was reset, and is in it", func(w *world) {
			w.replay("b", ringed, model.Replayed{Result: cluster.StreamReset, After: at("s", 0), To: at("s", 2)})
		}},
		{"a reset in silence", "which is another stream", func(w *world) {
			w.replay("b", ringed, model.Replayed{Result: cluster.Hot, After: at("s", 0), To: at("s2", 0)})
		}},
		{"not expired", "has expired, but", func(w *world) {
			two(w, logged)
			w.replay("b", logged, model.Replayed{Result: cluster.PositionExpired, After: at("s", 0), To: at("s", 2)})
		}},
	})
}

// standing is where the owner of the topic with a ring is.
func standing(stream string, serial uint64) func(protocol.Topic) (cluster.Position, bool) {
	return func(t protocol.Topic) (cluster.Position, bool) { return at(stream, serial), t == ringed }
}
