package view_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/definition"
	"github.com/millrace/millrace/internal/query"
)

func definitions(t testing.TB, texts ...string) []*query.Definition {
	t.Helper()
	var list []*query.Definition
	for _, text := range texts {
		d, err := query.Parse([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		list = append(list, d)
	}
	return list
}

// kept is a store of definitions in memory.
type kept map[string]string

func (k kept) LoadDefinitions(_ context.Context, fn func(app string, definition []byte) error) error {
	for _, text := range k {
		if err := fn(app, []byte(text)); err != nil {
			return err
		}
	}
	return nil
}

func (k kept) SaveDefinition(_ context.Context, _, id string, definition []byte) error {
	k[id] = string(definition)
	return nil
}

func (k kept) DeleteDefinition(_ context.Context, _, id string) error {
	delete(k, id)
	return nil
}

const (
	base  = `{"id":"base","source":"T/list","fields":["a","b"]}`
	onA   = `{"id":"mid","source":"base","sort":[{"field":"a"}]}`
	onB   = `{"id":"mid","source":"base","sort":[{"field":"b"}]}`
	slimA = `{"id":"base","source":"T/list","fields":["a"]}`
	slimB = `{"id":"base","source":"T/list","fields":["b"]}`
	alone = `{"id":"mid","source":"T/list"}`
	below = `{"id":"base","source":"mid","limit":1}`
)

// TestReplace has pairs of which no order of single changes would do.
func TestReplace(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		was, is []string
	}{
		{"sources may come last", nil, []string{onA, base}},
		{"all is removed, whatever the order", []string{base, onA}, nil},
		{"fields move with what uses them", []string{slimA, onA}, []string{onB, slimB}},
		{"a source and what derives from it change places", []string{base, onA}, []string{below, alone}},
		{"and back", []string{below, alone}, []string{base, onA}},
		{"what derives stays when its source goes", []string{base, onA}, []string{alone}},
		{"a source becomes an aggregate once nothing derives from it", []string{base, onA}, []string{
			`{"id":"base","source":"T/list","aggregate":{"n":{"op":"count"}}}`, alone,
		}},
		{"the entity type changes", []string{base, onA}, []string{`{"id":"base","source":"U/list"}`, onA}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inNode(t, func(t *testing.T, n *node) {
				was, is := definitions(t, tt.was...), definitions(t, tt.is...)
				if err := n.Replace(t.Context(), app, nil, was); err != nil {
					t.Fatal(err)
				}
				if err := n.Replace(t.Context(), app, was, is); err != nil {
					t.Fatal(err)
				}
				n.serves(t, is)
			})
		})
	}
}

// serves holds the derived views to definitions.
func (n *node) serves(t *testing.T, list []*query.Definition) {
	t.Helper()
	var want, got []string
	for _, d := range list {
		want = append(want, string(d.AppendJSON(nil)))
	}
	for _, v := range n.Views(app) {
		if v.Definition != nil {
			got = append(got, string(v.Definition))
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReplaceRefusesAndChangesNothing(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		is   []string
		want string // of which view, and what
	}{
		{"an unknown source", []string{base, `{"id":"x","source":"y"}`}, `"x": source: there is no view "y"`},
		{"a circle", []string{`{"id":"base","source":"mid"}`, `{"id":"mid","source":"base"}`}, `"base": source: "mid" derives from "base" itself`},
		{"below a circle", []string{`{"id":"base","source":"mid"}`, `{"id":"mid","source":"base"}`, `{"id":"x","source":"mid"}`}, `(2 views)`},
		{"an aggregate as source", []string{`{"id":"base","source":"T/list","aggregate":{"n":{"op":"count"}}}`, onA}, `source: "base" is an aggregate`},
		{"fields that are not shown", []string{slimB, onA}, `"mid": it uses "a"`},
		{"an id twice", []string{base, slimB}, `"base": id: two views have it`},
		{"removing what a view of the API derives from", []string{alone}, `"api": source: there is no view "base"`},
		{"hiding what a view of the API uses", []string{slimA}, `"api": it uses "b"`},
	}
	inNode(t, func(t *testing.T, n *node) {
		was := definitions(t, base, onA)
		if err := n.Replace(t.Context(), app, nil, was); err != nil {
			t.Fatal(err)
		}
		const api = `{"id":"api","source":"base","sort":[{"field":"b"}]}`
		n.define(api)
		for _, tt := range tests {
			is := definitions(t, tt.is...)
			for what, err := range map[string]error{"check": n.Check(t.Context(), app, was, is), "replace": n.Replace(t.Context(), app, was, is)} {
				wrong, ok := errors.AsType[definition.Errors](err)
				if !ok || !strings.Contains(wrong.Error(), tt.want) {
					t.Errorf("%s, %s: %v, want %q", tt.name, what, err, tt.want)
				}
			}
		}
		n.serves(t, definitions(t, base, onA, api))
	})
}

func TestReplaceLeavesAloneWhatTheAPIHasMade(t *testing.T) {
	t.Parallel()
	store := kept{"other": `{"id":"other","source":"U/list"}`}
	inNodeWith(t, setup{catalog: definition.Options{Store: store}}, func(t *testing.T, n *node) {
		first, top := definitions(t, base), `{"id":"base","source":"T/list","limit":9}`
		if err := n.Replace(t.Context(), app, nil, first); err != nil {
			t.Fatal(err)
		}
		if err := n.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := n.Define(t.Context(), app, definitions(t, top)[0], true); err != nil {
			t.Fatal(err)
		}
		other := definitions(t, store["other"])[0]
		if err := n.Replace(t.Context(), app, first, nil); err != nil {
			t.Fatal(err)
		}
		n.serves(t, append(definitions(t, top), other))
		if err := n.Replace(t.Context(), app, nil, first); err != nil { // goes before what is stored
			t.Fatal(err)
		}
		n.serves(t, append(definitions(t, base), other))
		if err := n.Replace(t.Context(), app, first, nil); err != nil { // which comes back
			t.Fatal(err)
		}
		n.serves(t, append(definitions(t, top), other))
	})
}

func TestWhoWatchesIsToldOfAReplacement(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		asc := definitions(t, `{"id":"T/v","source":"T/list","sort":[{"field":"n"}],"limit":1}`)
		desc := definitions(t, `{"id":"T/v","source":"T/list","sort":[{"field":"n","order":"desc"}],"limit":1}`)
		if err := n.Replace(t.Context(), app, nil, asc); err != nil {
			t.Fatal(err)
		}
		n.apply(`T a patch {"n":1}`, `T b patch {"n":2}`)
		c := n.connect()
		c.subscribe(`T/v`)
		synctest.Wait()
		c.take()
		for _, change := range []struct {
			was, is []*query.Definition
			want    []string
		}{
			{asc, desc, []string{`delete T/v a`, `upsert T/v b {"n":2}`}},
			{desc, nil, []string{`delete T/v b`}},
			{nil, asc, []string{`upsert T/v a {"n":1}`}},
		} {
			if err := n.Replace(t.Context(), app, change.was, change.is); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if diff := cmp.Diff(change.want, c.take()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		}
	})
}

// Whatever the way, what is served at the end is what a new engine would serve, rows included.
func TestRandomReplacements(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(4, 2))
	inNode(t, func(t *testing.T, n *node) {
		for i := range 20 {
			n.apply(fmt.Sprintf(`T k%d patch {"a":%d,"b":%d}`, i, i%7, i%3))
		}
		var was []*query.Definition
		refused := 0
		for range 300 {
			is := randomDefinitions(t, random)
			err := n.Replace(t.Context(), app, was, is)
			wrong := definition.CheckAll(is)
			if (err == nil) != (wrong == nil) {
				t.Fatalf("replace says %v, check %v", err, wrong)
			}
			if err != nil {
				refused++
				n.serves(t, was)
				continue
			}
			was = is
			n.serves(t, is)
		}
		if refused < 30 || refused > 270 {
			t.Errorf("%d of 300 were refused: no good mixture", refused)
		}
	})
}

func randomDefinitions(t *testing.T, random *rand.Rand) []*query.Definition {
	ids := []string{"p", "q", "r", "s"}
	var texts []string
	for _, id := range ids {
		if random.IntN(4) == 0 {
			continue
		}
		source := "T/list"
		if random.IntN(2) == 0 {
			source = ids[random.IntN(len(ids))]
		}
		if source == id { // which no text may say
			source = "U/list"
		}
		more := []string{``, `,"limit":5`, `,"fields":["a"]`, `,"sort":[{"field":"a"}]`, `,"filter":{"field":"b","op":"gt","value":0}`}
		texts = append(texts, `{"id":"`+id+`","source":"`+source+`"`+more[random.IntN(len(more))]+`}`)
	}
	return definitions(t, texts...)
}
