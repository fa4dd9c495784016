package storetest

import (
	"errors"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/millrace/millrace/internal/definition"
)

type definitionNode = node[definition.Store]

// RunDefinitions checks a definition.Store.
func RunDefinitions(t *testing.T, open Open[definition.Store]) {
	run(t, open, map[string]func(t *testing.T, n *definitionNode){
		"an empty store has no definitions":                      func(t *testing.T, n *definitionNode) { expectDefinitions(t, n) },
		"a definition comes back as it was":                      keepsDefinitions,
		"a definition replaces that of the same app and id":      replacesDefinitions,
		"a deleted definition is gone":                           deletesDefinitions,
		"an error of a callback ends the loading and comes back": stopsLoadingDefinitions,
	})
}

// expectDefinitions wants exactly these definitions, each after its app and a space.
func expectDefinitions(t *testing.T, n *definitionNode, want ...string) {
	t.Helper()
	n.each(t, func(when string) {
		var got []string
		err := n.store.LoadDefinitions(t.Context(), func(app string, definition []byte) error {
			got = append(got, app+" "+string(definition))
			return nil
		})
		if err != nil {
			t.Fatalf("%s: LoadDefinitions: %v", when, err)
		}
		slices.Sort(got)
		slices.Sort(want)
		if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	})
}

func save(t *testing.T, n *definitionNode, app, id, definition string) {
	t.Helper()
	if err := n.store.SaveDefinition(t.Context(), app, id, []byte(definition)); err != nil {
		t.Fatalf("SaveDefinition: %v", err)
	}
}

func remove(t *testing.T, n *definitionNode, app, id string) {
	t.Helper()
	if err := n.store.DeleteDefinition(t.Context(), app, id); err != nil {
		t.Fatalf("DeleteDefinition: %v", err)
	}
}

func keepsDefinitions(t *testing.T, n *definitionNode) {
	large := `{"id":"` + strings.Repeat("é", 50_000) + `"}`
	save(t, n, "app", "Auction/top", `{"id":"Auction/top","limit":3}`)
	save(t, n, "app", "Auction/large", large)
	save(t, n, "", "", `{}`)
	expectDefinitions(t, n, `app {"id":"Auction/top","limit":3}`, "app "+large, ` {}`)
}

func replacesDefinitions(t *testing.T, n *definitionNode) {
	save(t, n, "app", "Auction/top", `1`)
	save(t, n, "other", "Auction/top", `2`)
	save(t, n, "app", "Auction/best", `3`)
	save(t, n, "app", "Auction/top", `4`)
	expectDefinitions(t, n, "app 4", "other 2", "app 3")
}

func deletesDefinitions(t *testing.T, n *definitionNode) {
	save(t, n, "app", "Auction/top", `1`)
	save(t, n, "other", "Auction/top", `2`)
	remove(t, n, "app", "Auction/top")
	expectDefinitions(t, n, "other 2")
	remove(t, n, "app", "Auction/top")
	remove(t, n, "app", "unknown")
	expectDefinitions(t, n, "other 2")
	save(t, n, "app", "Auction/top", `3`)
	expectDefinitions(t, n, "other 2", "app 3")
}

func stopsLoadingDefinitions(t *testing.T, n *definitionNode) {
	save(t, n, "app", "a", `1`)
	save(t, n, "app", "b", `2`)
	enough, calls := errors.New("enough"), 0
	err := n.store.LoadDefinitions(t.Context(), func(string, []byte) error { calls++; return enough })
	if !errors.Is(err, enough) || calls != 1 {
		t.Errorf("got error %v after %d calls, want that of the first call", err, calls)
	}
	expectDefinitions(t, n, "app 1", "app 2")
}
