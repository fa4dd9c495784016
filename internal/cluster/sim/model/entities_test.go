package model_test

import (
	"testing"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/sim/model"
)

// entitiesWorld is a history of the entities of one partition.
type entitiesWorld struct {
	*world
	number uint64
}

// ask has a node asked for a batch that appends a mark to one entity and replaces another.
func (w *entitiesWorld) ask(id string) {
	w.Entities.ObserveBatch(0, &model.Batch{ID: id, Writes: writesOf(id)})
	w.Entities.ObserveTry(id)
}

func writesOf(id string) []model.Write {
	return []model.Write{{Kind: model.Append, Entity: "list", Mark: id}, {Kind: model.Replace, Entity: "last", Mark: id}}
}

func (w *entitiesWorld) store(id, seq string) {
	w.number++
	w.Entities.ObserveStored(w.step(), 0, w.number, id, seq)
}

func (w *entitiesWorld) install(node cluster.NodeID, id, seq string) {
	w.Entities.ObserveInstalled(w.step(), node, 0, seq, writesOf(id))
}

func (w *entitiesWorld) answer(id string, r cluster.Result, seq string) {
	w.Entities.ObserveAnswer(w.step(), id, r, seq)
}

// feed makes the batch of a publication known; without a term it is of a logged topic, which owes it.
func (w *entitiesWorld) feed(id, stream string, term, serial uint64) {
	w.Entities.ObserveBatch(0, &model.Batch{ID: id, Writes: writesOf(id), Feed: "topic", Term: term, StreamID: stream, Serial: serial})
	if term == 0 {
		w.Entities.ObserveOwed(id)
	}
	w.Entities.ObserveTry(id)
}

func has(marks ...string) map[string][]string {
	return map[string][]string{"list": marks, "last": marks[len(marks)-1:]}
}

func TestEntitiesAreJudged(t *testing.T) {
	t.Parallel()
	const one, two = "1:000001000001", "12:000001000001"
	right := func(w *entitiesWorld) {
		w.ask("b1")
		w.store("b1", one)
		w.install("a", "b1", one)
		w.answer("b1", cluster.Done, one)
	}
	var all []told
	for _, h := range []struct {
		name, want string
		run        func(w *entitiesWorld)
	}{
		{"applied and acknowledged", "", right},
		{"asked for again", "", func(w *entitiesWorld) {
			right(w)
			w.ask("b1")
			w.answer("b1", cluster.Done, one)
		}},
		{"uncertain, then applied", "", func(w *entitiesWorld) {
			w.ask("b1")
			w.answer("b1", cluster.Uncertain, "")
			w.store("b1", one)
		}},
		{"a node begins again, and has all", "", func(w *entitiesWorld) {
			right(w)
			w.ask("b2")
			w.store("b2", two)
			w.ObserveKill(w.step(), "a")
			w.ObserveStart(w.step(), "a")
			w.install("a", "b1", one)
			w.install("a", "b2", two)
			w.owners.Entities = map[cluster.NodeID]map[string][]string{"a": has("b1", "b2")}
		}},
		{"an acknowledged batch is not stored", "b1 is acknowledged, and is not stored", func(w *entitiesWorld) {
			w.ask("b1")
			w.answer("b1", cluster.Done, one)
		}},
		{"acknowledged at another position", "is acknowledged at 12:", func(w *entitiesWorld) {
			right(w)
			w.ask("b1")
			w.answer("b1", cluster.Done, two)
		}},
		{"applied twice", "b1 is applied twice", func(w *entitiesWorld) {
			right(w)
			w.store("b1", two)
		}},
		{"refused, and applied later", "every try was refused", func(w *entitiesWorld) {
			w.ask("b1")
			w.answer("b1", cluster.Unavailable, "")
			w.store("b1", one)
		}},
		{"applied, then refused", "every try was refused", func(w *entitiesWorld) {
			w.ask("b1")
			w.store("b1", one)
			w.answer("b1", cluster.Unavailable, "")
		}},
		{"refused for what is right", "as one that can never be applied", func(w *entitiesWorld) {
			w.ask("b1")
			w.answer("b1", cluster.Invalid, "")
		}},
		{"never asked for", "was not asked for", func(w *entitiesWorld) { w.store("b1", one) }},
		{"a number is left out", "has the number 2, want 1", func(w *entitiesWorld) {
			w.ask("b1")
			w.number++
			w.store("b1", one)
		}},
		{"a position goes back", "b2 is at 1:000001000001, behind 12:", func(w *entitiesWorld) {
			w.ask("b1")
			w.store("b1", two)
			w.ask("b2")
			w.store("b2", one)
		}},
		{"a position comes again", "b2 is at 1:000001000001, behind 1:", func(w *entitiesWorld) {
			right(w)
			w.ask("b2")
			w.store("b2", one)
		}},
		{"a node installs what is not stored", "which is not stored", func(w *entitiesWorld) {
			w.ask("b1")
			w.install("a", "b1", one)
		}},
		{"a node installs twice", "which is not stored", func(w *entitiesWorld) {
			right(w)
			w.install("a", "b1", one)
		}},
		{"a node leaves out", "as number 0", func(w *entitiesWorld) {
			w.ask("b1")
			w.store("b1", one)
			w.ask("b2")
			w.store("b2", two)
			w.install("a", "b2", two)
		}},
		{"a node installs a part", "as number 0", func(w *entitiesWorld) {
			w.ask("b1")
			w.store("b1", one)
			w.Entities.ObserveInstalled(w.step(), "a", 0, one, writesOf("b1")[:1])
		}},
		{"a node is behind", "a has installed 1 batches of partition 0, want 2", func(w *entitiesWorld) {
			right(w)
			w.ask("b2")
			w.store("b2", two)
			w.owners.Entities = map[cluster.NodeID]map[string][]string{"a": has("b1", "b2")}
		}},
		{"a node has other entities", "a has [b2] of last, want [b1]", func(w *entitiesWorld) {
			right(w)
			w.owners.Entities = map[cluster.NodeID]map[string][]string{"a": {"list": {"b1"}, "last": {"b2"}}}
		}},
		{"a logged topic is fed", "", func(w *entitiesWorld) {
			w.feed("f1", "s", 0, 1)
			w.feed("f2", "s", 0, 2)
			w.store("f1", one)
			w.store("f2", two)
			w.answer("f1", cluster.Misplaced, "")
		}},
		{"a publication is left out", "f1 is in the log of its topic, and was never applied", func(w *entitiesWorld) {
			w.feed("f1", "s", 0, 1)
		}},
		{"publications are out of turn", "f1 is applied behind f2", func(w *entitiesWorld) {
			w.feed("f1", "s", 0, 1)
			w.feed("f2", "s", 0, 2)
			w.store("f2", one)
			w.store("f1", two)
		}},
		{"an unlogged publication is left out", "", func(w *entitiesWorld) {
			w.feed("f1", "s", 1, 1)
			w.feed("f2", "s", 1, 2)
			w.store("f2", one)
			w.answer("f1", cluster.Misplaced, "")
		}},
		{"an unlogged publication comes late", "f1 is applied behind f2", func(w *entitiesWorld) {
			w.feed("f1", "s", 1, 3)
			w.feed("f2", "t", 2, 1)
			w.store("f2", one)
			w.store("f1", two)
		}},
	} {
		all = append(all, told{h.name, h.want, func(w *world) { h.run(&entitiesWorld{world: w}) }})
	}
	check(t, all)
}
