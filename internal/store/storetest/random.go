package storetest

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/internal/entity/owner"
)

// model is the specification: a map in memory.
type model map[string]owner.Record

func (m model) apply(c *owner.Commit) {
	for _, r := range c.Records {
		m[r.Key] = r
	}
	for _, r := range c.Forget {
		if m[r.Key].IsDeleted {
			delete(m, r.Key)
		}
	}
}

// agreesWithModel makes random commits, reads and restarts. Each run has an app of its own in
// the one store, so that the runs need not wait for new ones.
func agreesWithModel(t *testing.T, n *entityNode) {
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		app := fmt.Sprintf("app-%d", runs)
		m, number := model{}, uint64(0)
		keys := rapid.SampledFrom([]string{"a", "b", "c", "d", "e"})
		for range rapid.IntRange(1, 8).Draw(rt, "commits") {
			c := owner.Commit{Now: now()}
			for _, key := range rapid.SliceOfN(keys, 0, 5).Draw(rt, "keys") {
				number++
				r := record(key, number)
				if r.App = app; rapid.Bool().Draw(rt, "deleted") {
					r.IsDeleted, r.Data = true, nil
				}
				c.Records = append(c.Records, r)
			}
			for _, key := range rapid.SliceOfN(keys, 0, 2).Draw(rt, "forget") {
				c.Forget = append(c.Forget, owner.Record{App: app, Type: "Auction", Key: key})
			}
			if err := n.store.CommitEntities(t.Context(), &c); err != nil {
				rt.Fatalf("CommitEntities: %v", err)
			}
			m.apply(&c)
			switch rapid.IntRange(0, 19).Draw(rt, "then") {
			case 0:
				n.store = n.reopen(t)
			case 1, 2, 3, 4:
				m.compare(rt, t, n, app)
			}
		}
		m.compare(rt, t, n, app)
	})
}

func (m model) compare(rt *rapid.T, t *testing.T, n *entityNode, app string) {
	want := stored{Records: slices.Collect(maps.Values(m))}
	want.sort()
	got := load(t, n.store, now())
	got.Records = slices.DeleteFunc(got.Records, func(r owner.Record) bool { return r.App != app })
	if diff := gocmp.Diff(want, got, sameRecords()); diff != "" {
		rt.Fatalf("(-want +got):\n%s", diff)
	}
}
