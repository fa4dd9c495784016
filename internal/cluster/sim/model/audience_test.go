package model_test

import (
	"testing"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/sim/model"
	"github.com/millrace/millrace/internal/protocol"
)

func (w *world) lists(node cluster.NodeID, users ...string) {
	w.Presence.ObserveMembers(w.step(), node, people, users)
}

func (w *world) edge(node cluster.NodeID, user string, isAdded bool) {
	w.Presence.ObserveEdge(w.step(), node, people, user, isAdded)
}

func (w *world) decides(user string, isAdded bool) {
	w.Presence.ObserveDecided(w.step(), people, user, isAdded)
}

func TestPresence(t *testing.T) {
	t.Parallel()
	const settled = 4 * time.Second
	check(t, []told{
		{"comes and goes", "", func(w *world) {
			w.enters("a", people, "ida", "ida")
			w.decides("ida", true)
			w.lists("a", "ida")
			w.enters("b", people, "bo", "bo")
			w.decides("bo", true)
			w.edge("a", "bo", true)
			w.lists("b", "ida", "bo")
			w.wait(settled)
			w.leaves("b", people, "bo")
			w.decides("bo", false)
			w.edge("a", "bo", false)
			w.edge("b", "bo", false)
			w.Presence.ObserveForgotten(w.step(), "b", people)
			w.owners.Members = members("ida")
		}},
		{"a join that waits may be there or not", "", func(w *world) {
			w.enters("a", people, "ida", "ida")
			w.lists("a", "ida")
			w.Audience.ObserveAsk(w.step(), "b", people, w.socket("bo"), "bo")
			w.owners.Members = members("ida", "bo")
		}},
		{"a node dies", "", func(w *world) {
			w.enters("a", people, "ida", "ida")
			w.enters("b", people, "bo", "bo")
			w.enters("b", people, "eve", "eve")
			w.lists("a", "ida", "bo", "eve")
			w.wait(settled)
			w.ObserveKill(w.step(), "b")
			w.ObserveDead(w.step(), "b")
			w.enters("c", people, "eve", "eve")
			w.wait(3 * time.Second)
			w.decides("bo", false)
			w.edge("a", "bo", false)
			w.wait(settled)
			w.leaves("c", people, "eve") // at the same moment the time of ghosts is over
			w.edge("a", "eve", false)
		}},
		{"a node dies while the owner is cut off", "", func(w *world) {
			w.enters("a", people, "ida", "ida")
			w.enters("b", people, "bo", "bo")
			w.lists("a", "ida", "bo")
			w.ObserveKill(w.step(), "b")
			w.ObserveDead(w.step(), "b")
			w.ObserveFaults(w.step(), 1)
			w.wait(settled)
			w.ObserveFaults(w.step(), 0)
			w.wait(3 * time.Second)
			w.edge("a", "bo", false)
		}},
		{"a node is not heard", "", func(w *world) {
			w.enters("a", people, "ida", "ida")
			w.enters("b", people, "bo", "bo")
			w.lists("a", "ida", "bo")
			w.wait(settled)
			w.ObserveHeard(w.step(), "b", false)
			w.decides("bo", false)
			w.edge("a", "bo", false)
			w.ObserveHeard(w.step(), "b", true)
			w.decides("bo", true)
			w.edge("a", "bo", true)
		}},
		{"an old edge", "", func(w *world) {
			w.enters("b", people, "bo", "bo")
			w.lists("c", "bo")
			w.ObserveFaults(w.step(), 1)
			w.wait(settled)
			w.edge("c", "bo", false)
			w.edge("c", "bo", true)
			w.ObserveFaults(w.step(), 0)
		}},
		{"an old list", "", func(w *world) {
			w.enters("a", people, "ida", "ida")
			w.wait(settled)
			w.ObserveFaults(w.step(), 0)
			w.lists("c")
			w.Presence.ObserveForgotten(w.step(), "c", people)
			w.ObserveHeard(w.step(), "c", true)
		}},
		{"is removed, and is there", "ida is removed from \"presence-people\", but is there on a", func(w *world) {
			w.enters("a", people, "ida", "ida")
			w.wait(settled)
			w.decides("ida", false)
		}},
		{"is added, and was never there", "never asked to join", func(w *world) { w.decides("ida", true) }},
		{"a node tells that a member is gone", "who is there on a since", func(w *world) {
			w.enters("a", people, "ida", "ida")
			w.lists("c", "ida")
			w.wait(settled)
			w.edge("c", "ida", false)
			w.edge("c", "ida", true)
		}},
		{"is added twice", "is added to \"presence-people\", as it has told before", func(w *world) {
			w.enters("a", people, "ida", "ida")
			w.lists("a", "ida")
			w.edge("a", "ida", true)
		}},
		{"is removed twice", "is removed from \"presence-people\", as it has told before", func(w *world) {
			w.enters("a", people, "ida", "ida")
			w.lists("a", "ida")
			w.edge("a", "bo", false)
		}},
		{"a list with a user twice", "with a user twice", func(w *world) {
			w.enters("a", people, "ida", "ida")
			w.lists("a", "ida", "ida")
		}},
		{"a list that differs from the edges", "but was told [ida]", func(w *world) {
			w.enters("a", people, "ida", "ida")
			w.lists("a", "ida")
			w.enters("b", people, "bo", "bo")
			w.lists("a", "ida", "bo")
		}},
		{"a first list without a member", "without ida, who is there on a", func(w *world) {
			w.enters("a", people, "ida", "ida")
			w.wait(settled)
			w.lists("c")
			w.edge("c", "ida", true)
		}},
		{"a ghost", "a still shows bo", func(w *world) {
			w.enters("a", people, "ida", "ida")
			w.enters("b", people, "bo", "bo")
			w.lists("a", "ida", "bo")
			w.ObserveKill(w.step(), "b")
			w.ObserveDead(w.step(), "b")
			w.wait(settled)
			w.edge("a", "bo", false)
		}},
		{"the owner lacks a member", "the owner has [] as the members", func(w *world) {
			w.enters("a", people, "ida", "ida")
			w.owners.Members = members()
		}},
		{"the owner has one too many", "the owner has [bo ida] as the members", func(w *world) {
			w.enters("a", people, "ida", "ida")
			w.owners.Members = members("ida", "bo")
		}},
		{"a node shows what is not true", "a shows [ida] as the members", func(w *world) {
			w.enters("a", people, "ida", "ida")
			w.lists("a", "ida")
			w.enters("b", people, "bo", "bo")
		}},
	})
}

func members(users ...string) func(protocol.Topic) []string {
	return func(protocol.Topic) []string { return users }
}

func (w *world) tells(e model.Edge) {
	e.Decided = w.step()
	w.Told.ObserveTold(w.now, e)
}

func TestTold(t *testing.T) {
	t.Parallel()
	const settled = 4 * time.Second
	user := protocol.Topic{App: "app", Kind: protocol.TopicUser, Name: "ida"}
	// begin has ida in a channel, and tells of it.
	begin := func(w *world, node cluster.NodeID) {
		w.owners.HasEdges = true
		w.enters(node, people, "ida", "ida")
		w.tells(model.Edge{ID: "1", Topic: people, IsOn: true})
		w.tells(model.Edge{ID: "2", Topic: people, User: "ida", IsOn: true})
	}
	end := func(w *world, cause string) {
		w.tells(model.Edge{ID: "3", Topic: people, User: "ida", Cause: cause})
		w.tells(model.Edge{ID: "4", Topic: people})
	}
	check(t, []told{
		{"comes and goes", "", func(w *world) {
			begin(w, "a")
			w.enters("a", user, "ida", "")
			w.tells(model.Edge{ID: "5", Topic: user, IsOn: true})
			w.tells(model.Edge{ID: "5", Topic: user, IsOn: true})
			w.leaves("a", people, "ida")
			end(w, "")
		}},
		{"a node dies", "", func(w *world) {
			begin(w, "b")
			w.wait(settled)
			w.ObserveKill(w.step(), "b")
			w.tells(model.Edge{ID: "3", Topic: people, User: "ida", Cause: model.OrphanCleanup})
			w.tells(model.Edge{ID: "4", Topic: people, Cause: model.OrphanCleanup})
		}},
		{"leaves, and its node dies", "", func(w *world) {
			begin(w, "b")
			w.leaves("b", people, "ida")
			w.ObserveKill(w.step(), "b")
			end(w, model.OrphanCleanup)
		}},
		{"its node dies and starts at once", "", func(w *world) {
			begin(w, "b")
			w.ObserveKill(w.step(), "b")
			w.ObserveStart(w.now, "b")
			end(w, model.OrphanCleanup)
		}},
		{"its node dies, and it leaves the next one", "", func(w *world) {
			begin(w, "b")
			w.ObserveKill(w.step(), "b")
			w.ObserveStart(w.step(), "b")
			w.enters("b", people, "ida", "ida")
			w.leaves("b", people, "ida")
			end(w, model.OrphanCleanup)
		}},
		{"its node dies while its coming is decided", "", func(w *world) {
			w.enters("b", people, "ida", "ida")
			w.ObserveKill(w.step(), "b")
			w.tells(model.Edge{ID: "2", Topic: people, User: "ida", IsOn: true})
			w.tells(model.Edge{ID: "3", Topic: people, User: "ida", Cause: model.OrphanCleanup})
		}},
		{"a node is taken for dead", "", func(w *world) {
			begin(w, "b")
			w.wait(settled)
			w.ObserveHeard(w.step(), "b", false)
			w.tells(model.Edge{ID: "3", Topic: people, User: "ida", Cause: model.OrphanCleanup})
			w.ObserveHeard(w.step(), "b", true)
			w.tells(model.Edge{ID: "4", Topic: people, User: "ida", IsOn: true})
		}},
		{"a backend that is not told", "", func(w *world) {
			w.owners.HasEdges = true
			w.Told.Wants = func(protocol.Topic) bool { return false }
			w.enters("a", people, "ida", "ida")
		}},
		{"one id of two edges", "the id 1 is of two edges", func(w *world) {
			begin(w, "a")
			w.tells(model.Edge{ID: "1", Topic: people, User: "ida", IsOn: true})
		}},
		{"told again by another id", "is told by 5, as it was before", func(w *world) {
			begin(w, "a")
			w.tells(model.Edge{ID: "5", Topic: people, User: "ida", IsOn: true})
		}},
		{"goes, and never came", "is told by 5, as it was before", func(w *world) {
			begin(w, "a")
			w.tells(model.Edge{ID: "5", Topic: people, User: "bo"})
		}},
		{"comes, and was never there", "never was so", func(w *world) {
			begin(w, "a")
			w.tells(model.Edge{ID: "5", Topic: people, User: "bo", IsOn: true})
			w.Audience.ObserveAsk(w.step(), "a", people, w.socket("bo"), "bo")
		}},
		{"comes by a cleanup", "comes is told with the cause", func(w *world) {
			begin(w, "a")
			w.enters("a", people, "bo", "bo")
			w.tells(model.Edge{ID: "5", Topic: people, User: "bo", IsOn: true, Cause: model.OrphanCleanup})
		}},
		{"goes, and is there", "but it is there on a", func(w *world) {
			begin(w, "a")
			w.wait(settled)
			w.tells(model.Edge{ID: "3", Topic: people})
			w.tells(model.Edge{ID: "4", Topic: people, IsOn: true})
		}},
		{"is cleaned up, and has left", "no node of it has died", func(w *world) {
			begin(w, "a")
			w.leaves("a", people, "ida")
			end(w, model.OrphanCleanup)
		}},
		{"died with a node, and has left", "no node of it has died", func(w *world) {
			begin(w, "a")
			w.leaves("a", people, "ida")
			end(w, model.NodeDied)
		}},
		{"an old death", "no node of it has died", func(w *world) {
			w.enters("b", people, "ida", "ida")
			w.ObserveKill(w.step(), "b")
			w.wait(settled)
			begin(w, "a")
			w.leaves("a", people, "ida")
			end(w, model.OrphanCleanup)
		}},
		{"comes and is not told", "channel bare comes was not told", func(w *world) {
			begin(w, "a")
			w.enters("a", bare, "eve", "")
		}},
		{"goes and is not told", "ida of presence-people goes was not told", func(w *world) {
			begin(w, "a")
			w.leaves("a", people, "ida")
			w.tells(model.Edge{ID: "3", Topic: people})
		}},
	})
}

func TestCounts(t *testing.T) {
	t.Parallel()
	counts := func(w *world, node cluster.NodeID, n int, missing ...cluster.NodeID) {
		w.Counts.ObserveCount(w.step(), node, bare, n, missing...)
	}
	two := func(w *world) {
		w.enters("a", bare, "1", "")
		w.enters("b", bare, "2", "")
		w.wait(time.Minute)
	}
	is := func(n int) func(protocol.Topic) int { return func(protocol.Topic) int { return n } }
	check(t, []told{
		{"right, and late", "", func(w *world) {
			two(w)
			counts(w, "c", 2)
			w.leaves("a", bare, "1")
			counts(w, "c", 2)
			counts(w, "c", 1)
			w.wait(time.Minute)
			counts(w, "c", 1)
			w.owners.Count = is(1)
		}},
		{"of nodes at different times", "", func(w *world) {
			two(w)
			w.enters("a", bare, "3", "")
			w.leaves("b", bare, "2")
			counts(w, "c", 1)
			counts(w, "c", 3)
		}},
		{"without a node that is missing", "", func(w *world) {
			two(w)
			counts(w, "c", 1, "b")
		}},
		{"without a node out of contact, and on it", "", func(w *world) {
			two(w)
			w.ObserveHeard(w.step(), "b", false)
			counts(w, "c", 1)
			counts(w, "b", 7)
		}},
		{"a join that waits", "", func(w *world) {
			two(w)
			w.Audience.ObserveAsk(w.step(), "a", bare, w.socket("3"), "")
			w.wait(time.Minute)
			counts(w, "c", 3)
			w.owners.Count = is(2)
		}},
		{"too many", "but it has had 2 to 2", func(w *world) {
			two(w)
			counts(w, "c", 3)
		}},
		{"too few", "but it has had 2 to 2", func(w *world) {
			two(w)
			counts(w, "c", 1)
		}},
		{"too late", "but it has had 1 to 1", func(w *world) {
			two(w)
			w.leaves("a", bare, "1")
			w.wait(6 * time.Second)
			counts(w, "c", 2)
		}},
		{"wrong at the end", "the owner has 3 subscriptions", func(w *world) {
			two(w)
			w.owners.Count = is(3)
		}},
	})
}
