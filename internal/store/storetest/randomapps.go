package storetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/internal/app"
)

// appModel is the specification: a map in memory.
type appModel map[string]app.Record

func (m appModel) put(r app.Record) error {
	if m[r.ID].Version != r.Version {
		return app.ErrConflict
	}
	for id, other := range m {
		for _, key := range r.Keys {
			if id != r.ID && slices.Contains(other.Keys, key) {
				return app.ErrKeyTaken
			}
		}
	}
	r.Version++
	m[r.ID] = r
	return nil
}

func (m appModel) delete(id string, version uint64) error {
	r, ok := m[id]
	switch {
	case !ok:
		return app.ErrNotFound
	case r.Version != version:
		return app.ErrConflict
	}
	delete(m, id)
	return nil
}

// agreesWithAppModel has a part of the ids and keys of the one store for each run.
func agreesWithAppModel(t *testing.T, n *appNode) {
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		prefix := fmt.Sprintf("run-%d-", runs)
		m := appModel{}
		ids := rapid.SampledFrom([]string{prefix + "a", prefix + "b", prefix + "c"})
		keys := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{prefix + "1", prefix + "2", prefix + "3", prefix + "4"}), 0, 3, rapid.ID)
		for i := range rapid.IntRange(1, 12).Draw(rt, "changes") {
			id := ids.Draw(rt, "id")
			version := m[id].Version + rapid.SampledFrom([]uint64{0, 0, 0, 0, 1}).Draw(rt, "off by")
			if rapid.IntRange(0, 3).Draw(rt, "delete") == 0 {
				if got, want := n.store.DeleteApp(t.Context(), id, version), m.delete(id, version); !errors.Is(got, want) {
					rt.Fatalf("DeleteApp: got %v, want %v", got, want)
				}
				continue
			}
			r := app.Record{ID: id, Version: version, Keys: keys.Draw(rt, "keys"), Document: fmt.Appendf(nil, `{"change":%d}`, i)}
			got, err := n.store.PutApp(t.Context(), r)
			r.Changed = got.Changed
			if want := m.put(r); !errors.Is(err, want) {
				rt.Fatalf("PutApp: got %v, want %v", err, want)
			}
		}
		if rapid.IntRange(0, 9).Draw(rt, "restart") == 0 {
			n.store = n.reopen(t)
		}
		want := slices.SortedFunc(maps.Values(m), func(a, b app.Record) int { return strings.Compare(a.ID, b.ID) })
		have := slices.DeleteFunc(loadApps(t, n.store), func(r app.Record) bool { return !strings.HasPrefix(r.ID, prefix) })
		if diff := gocmp.Diff(want, have, sameApps()); diff != "" {
			rt.Fatalf("(-want +got):\n%s", diff)
		}
	})
}
