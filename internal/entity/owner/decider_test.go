package owner_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/entity/owner"
)

// replica is a node that follows a log of changes, and may decide.
type replica struct {
	state   *entity.State
	decider *owner.Decider
	heard   listening
}

func newReplica(o owner.Options) *replica {
	r := &replica{state: entity.NewState(nil)}
	r.decider = owner.NewDecider(r.state, o)
	return r
}

// install installs the changes of a batch.
func (r *replica) install(t *rapid.T, changes []byte) {
	all, err := entity.DecodeDecisions("app", changes)
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		if err := r.state.Install(&all[i], &r.heard); err != nil {
			t.Fatal(err)
		}
	}
}

// TestADeciderDecidesAsAnOwner: whichever of several nodes decides, in groups some of which are not stored, they come to what one
// owner comes to that applies the same batches. Only positions differ, which grow.
func TestADeciderDecidesAsAnOwner(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		o := owner.Options{MaxArray: 3, MaxSize: 300, MaxTombstones: rapid.IntRange(1, 4).Draw(rt, "tombstones")}
		now := time.UnixMilli(1_900_000_000_000)
		o.Now = func() time.Time { return now }
		e := newNode(o)
		stop := run(t, e, new(listening))
		defer stop()
		nodes := []*replica{newReplica(o), newReplica(o), newReplica(o)}
		term, decides := uint64(1), nodes[0]
		last := entity.Seq{}
		for range rapid.IntRange(1, 12).Draw(rt, "groups") {
			if rapid.IntRange(0, 4).Draw(rt, "take-over") == 0 {
				term++
				decides = nodes[rapid.IntRange(0, 2).Draw(rt, "node")]
				now = now.Add(time.Duration(rapid.IntRange(-3, 3).Draw(rt, "clock")) * time.Millisecond)
			}
			batches := someBatches(rt)
			decided := decides.decider.Decide(term, batches, rapid.IntRange(0, 500).Draw(rt, "bytes"))
			if rapid.IntRange(0, 4).Draw(rt, "log") == 0 {
				continue // it is not stored
			}
			for i := range decided {
				d := &decided[i]
				_, err := e.Apply(t.Context(), batches[i])
				if (err != nil) != (d.Problem != nil) || err != nil && err.Error() != d.Problem.Message {
					rt.Fatalf("refused as %v, an owner says %v", d.Problem, err)
				}
				if d.Problem != nil {
					continue
				}
				if order := d.Seq.Compare(last); order < 0 || (order > 0) != (d.Changes != nil) {
					rt.Fatalf("position %v with %d bytes of changes comes behind %v", d.Seq, len(d.Changes), last)
				}
				last = d.Seq
				for _, n := range nodes {
					n.install(rt, d.Changes)
				}
			}
		}
		for i, n := range nodes {
			if diff := cmp.Diff(contents(e.State), contents(n.state)); diff != "" {
				rt.Errorf("node %d (-owner +node):\n%s", i, diff)
			}
			if diff := cmp.Diff(nodes[0].heard, n.heard, cmp.AllowUnexported(listening{})); diff != "" {
				rt.Errorf("node %d is told (-node 0 +it):\n%s", i, diff)
			}
			if last != (entity.Seq{}) && (!n.state.Knows(last) || n.state.Knows(entity.Seq{Slot: last.Slot + 1, Index: last.Index})) {
				rt.Errorf("node %d does not know %v, or knows what follows", i, last)
			}
		}
	})
}

func someBatches(rt *rapid.T) (list []*entity.Batch) {
	for range rapid.IntRange(1, 4).Draw(rt, "batches") {
		b := &entity.Batch{App: "app"}
		for range rapid.IntRange(1, 4).Draw(rt, "mutations") {
			b.Mutations = append(b.Mutations, aMutation(rt))
		}
		list = append(list, b)
	}
	return list
}

// contents is all that a state has, without positions, in the order of numbers.
func contents(s *entity.State) map[string][]string {
	all := map[string][]string{}
	for _, t := range s.Types("app") {
		t.RLock()
		list := []string{}
		for _, v := range t.AfterLocked(nil, 0, t.LenLocked()+1) {
			list = append(list, fmt.Sprintf("%s: %s", v.Key, entity.Body(v.Data, v.Seq)))
		}
		for _, x := range t.DeletedAfterLocked(nil, 0, t.LenDeletedLocked()+1) {
			list = append(list, x.Key+" is gone")
		}
		all[t.Name] = list
		t.RUnlock()
	}
	return all
}

// TestABatchWithTooManyChangesIsRefused: small patches of large entities are large changes.
func TestABatchWithTooManyChangesIsRefused(t *testing.T) {
	t.Parallel()
	r := newReplica(owner.Options{})
	install := func(changes []byte) {
		all, err := entity.DecodeDecisions("app", changes)
		for i := range all {
			err = r.state.Install(&all[i], &r.heard)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	large := `{"x":"` + strings.Repeat("x", 1_000_000) + `"}`
	touch := &entity.Batch{App: "app"}
	for i := range 4 {
		key := strconv.Itoa(i)
		d := r.decider.Decide(1, []*entity.Batch{{App: "app", Mutations: []entity.Mutation{{Type: "T", Key: key, Op: entity.OpUpsert, Data: []byte(large)}}}}, 1)
		install(d[0].Changes)
		touch.Mutations = append(touch.Mutations, entity.Mutation{Type: "T", Key: key, Data: []byte(`{"y":1}`)})
	}
	less := &entity.Batch{App: "app", Mutations: touch.Mutations[:1]}
	got := r.decider.Decide(1, []*entity.Batch{touch, less}, 1)
	if len(got) != 2 || got[0].Problem == nil || got[1].Problem != nil {
		t.Fatalf("got %d answers, want a refusal and a change", len(got))
	}
	install(got[1].Changes)
	if got := string(r.state.Find("app", "T").GetLocked("0").Data); !strings.Contains(got, `"y":1`) {
		t.Errorf("got %.40s", got)
	}
}
