package owner_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/entity/owner"
)

// wire is what an owner has decided, as it would cross a link: text, in order.
type wire struct {
	tb   testing.TB
	sent [][]byte
}

func (w *wire) send(d *entity.Decisions) {
	text, err := json.Marshal(d)
	if err != nil {
		w.tb.Fatal(err)
	}
	w.sent = append(w.sent, text)
}

// install installs one of what was sent in another state.
func (w *wire) install(s *entity.State, i int, r entity.Receiver) error {
	var d entity.Decisions
	if err := json.Unmarshal(w.sent[i], &d); err != nil {
		w.tb.Fatal(err)
	}
	return s.Install(&d, r)
}

// everything is all that can be read of a state.
func everything(s *entity.State) map[string]any {
	all := map[string]any{}
	for _, t := range s.Types("app") {
		t.RLock()
		seq, number := t.LastLocked()
		all[t.Name] = []any{
			t.AfterLocked(nil, 0, t.LenLocked()+1), t.DeletedAfterLocked(nil, 0, t.LenDeletedLocked()+1),
			t.ForgottenLocked(), seq, number,
		}
		t.RUnlock()
	}
	return all
}

// told is what receivers are told of, without what is compared elsewhere.
type told struct {
	Type     string
	Decision entity.Decision
	Old, New uint64 // numbers
}

type listening struct{ heard []told }

func (l *listening) Changed(t *entity.Type, changes []entity.Change) {
	for _, c := range changes {
		x := told{Type: t.Name, Decision: *c.Decision}
		if c.Old != nil {
			x.Old = c.Old.Number
		}
		if c.New != nil {
			x.New = c.New.Number
		}
		l.heard = append(l.heard, x)
	}
}

// TestAnotherNodeInstallsWhatWasDecided runs random batches, some of which are refused and some not
// stored, and installs what was decided in a state that has nothing of the owner: each once, some
// twice, and some late, which must be noticed.
func TestAnotherNodeInstallsWhatWasDecided(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		shelf := newShelf()
		link, here, there := &wire{tb: t}, &listening{}, &listening{}
		e := newNode(owner.Options{Store: shelf, MaxArray: 3, MaxSize: 300, MaxTombstones: rapid.IntRange(1, 4).Draw(rt, "tombstones")})
		if err := e.Load(context.Background()); err != nil {
			rt.Fatal(err)
		}
		e.Record(link.send)
		stop := run(t, e, here)
		defer stop()
		replica := entity.NewState(nil)
		replica.Begin(shelf.runs)
		next := 0 // of what was sent
		for range rapid.IntRange(1, 20).Draw(rt, "batches") {
			b := &entity.Batch{App: "app"}
			for range rapid.IntRange(1, 6).Draw(rt, "mutations") {
				b.Mutations = append(b.Mutations, aMutation(rt))
			}
			if rapid.IntRange(0, 5).Draw(rt, "disk") == 0 {
				shelf.fail(errDisk)
			}
			_, _ = e.Apply(context.Background(), b)
			shelf.fail(nil)
			for next < len(link.sent) {
				i := rapid.IntRange(max(0, next-2), min(next+2, len(link.sent)-1)).Draw(rt, "which")
				before := everything(replica)
				err := link.install(replica, i, there)
				switch {
				case i == next && err == nil:
					next++
					continue
				case i == next:
					rt.Fatalf("Install: %v", err)
				case i < next && err != nil:
					rt.Fatalf("installed again: %v", err)
				case err != nil && !errors.Is(err, entity.ErrMissing):
					rt.Fatalf("installed too early: %v", err)
				}
				if err == nil && i > next { // of another type, which misses nothing
					early := link.sent[i]
					link.sent = slices.Insert(slices.Delete(link.sent, i, i+1), next, early)
					next++
				} else if diff := cmp.Diff(before, everything(replica)); diff != "" {
					rt.Fatalf("Install of another one changed something (-before +after):\n%s", diff)
				}
			}
			if diff := cmp.Diff(everything(e.State), everything(replica)); diff != "" {
				rt.Fatalf("the states differ (-owner +other):\n%s", diff)
			}
		}
		compareTold(rt, here.heard, there.heard)
		for _, x := range here.heard {
			if s := x.Decision.Seq; !replica.Knows(s) || replica.Knows(entity.Seq{Slot: s.Slot + 1, Index: s.Index}) != e.Knows(entity.Seq{Slot: s.Slot + 1, Index: s.Index}) {
				rt.Fatalf("the other state knows other positions about %v", s)
			}
		}
	})
}

// compareTold compares what two receivers were told of each type, in order.
func compareTold(rt *rapid.T, here, there []told) {
	by := func(list []told) map[string][]told {
		all := map[string][]told{}
		for _, x := range list {
			x.Decision.Data = slices.Clip(x.Decision.Data)
			all[x.Type] = append(all[x.Type], x)
		}
		return all
	}
	if diff := cmp.Diff(by(here), by(there)); diff != "" {
		rt.Fatalf("the receivers were told different things (-owner +other):\n%s", diff)
	}
}

// What is missing in between is noticed, also when the number that follows is one that was not stored.
func TestAMissingDecisionIsNoticed(t *testing.T) {
	t.Parallel()
	shelf, link := newShelf(), &wire{tb: t}
	e := newNode(owner.Options{Store: shelf})
	if err := e.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.Record(link.send)
	run(t, e, idle{})
	apply(t, e, upsert("a", `{}`))
	shelf.fail(errDisk)
	if _, err := e.Apply(t.Context(), batch(upsert("b", `{}`))); !errors.Is(err, errDisk) {
		t.Fatal(err)
	}
	shelf.fail(nil)
	apply(t, e, upsert("c", `{}`)) // number 3 follows 1
	apply(t, e, upsert("d", `{}`))
	replica := entity.NewState(nil)
	for _, step := range []struct {
		sent int
		want error
	}{{1, entity.ErrMissing}, {0, nil}, {2, entity.ErrMissing}, {1, nil}, {0, nil}, {2, nil}, {1, nil}} {
		if err := link.install(replica, step.sent, idle{}); !errors.Is(err, step.want) {
			t.Errorf("Install of %d: %v, want %v", step.sent, err, step.want)
		}
	}
	if diff := cmp.Diff(everything(e.State), everything(replica)); diff != "" {
		t.Errorf("the states differ (-owner +other):\n%s", diff)
	}
}
