package view_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/access"
	"github.com/millrace/millrace/internal/definition"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/query"
	"github.com/millrace/millrace/internal/view"
)

func TestDefinitionsThatCannotBeServed(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, definition, problem string
	}{
		{"a name that every type has", `{"id":"X/list","source":"T/list"}`, "id"},
		{"a source that is not there", `{"id":"T/x","source":"T/nope"}`, `source: there is no view "T/nope"`},
		{"a source that holds the same", `{"id":"T/x","source":"T/state"}`, "source: derive from T/list"},
		{"an aggregate as source", `{"id":"T/x","source":"T/sum"}`, `source: "T/sum" is an aggregate of one row; derive from "T/slim"`},
		{"itself", `{"id":"T/x","source":"T/x"}`, "source"},
		{"a circle", `{"id":"T/slim","source":"T/sum2"}`, `source: "T/sum2" derives from "T/slim" itself: a circle`},
		{"a filter over what the source leaves out", `{"id":"T/x","source":"T/slim","filter":{"field":"m","op":"eq","value":1}}`, `it uses "m"`},
		{"a sort over what the source of the source leaves out", `{"id":"T/x","source":"T/sum2","sort":[{"field":"m"}]}`, `it uses "m"`},
		{"an aggregate over it", `{"id":"T/x","source":"T/slim","aggregate":{"s":{"op":"sum","field":"m"}}}`, `it uses "m"`},
		{"fields that the source leaves out", `{"id":"T/x","source":"T/slim","fields":["n","m.p"]}`, `it shows "m.p"`},
		{"leaving out what others use", `{"id":"T/slim","source":"T/list","fields":["m"]}`, `fields: "T/sum" derives from this view: it uses "n"`},
		{"an aggregate from which others derive", `{"id":"T/slim","source":"T/list","aggregate":{"c":{"op":"count"}}}`, `derives from this view and would have nothing to read`},
	}
	inNode(t, func(t *testing.T, n *node) {
		n.define(`{"id":"T/slim","source":"T/list","fields":["n"]}`)
		n.define(`{"id":"T/sum","source":"T/slim","aggregate":{"s":{"op":"sum","field":"n"}}}`)
		n.define(`{"id":"T/sum2","source":"T/slim","sort":[{"field":"n"}]}`)
		before := n.Views(app)
		for _, test := range tests {
			err := n.tryDefine(test.definition)
			if _, ok := errors.AsType[*query.Error](err); !ok || !strings.Contains(err.Error(), test.problem) {
				t.Errorf("%s: %v, want %q", test.name, err, test.problem)
			}
		}
		if _, ok := errors.AsType[*query.Error](n.Remove(t.Context(), app, "T/slim")); !ok {
			t.Error("a view from which others derive was removed")
		}
		if err := n.Remove(t.Context(), app, "T/nope"); !errors.Is(err, definition.ErrNotFound) {
			t.Errorf("remove what is not there: %v", err)
		}
		if diff := cmp.Diff(before, n.Views(app)); diff != "" {
			t.Errorf("refusals changed something (-before +after):\n%s", diff)
		}
	})
}

func TestRedefinition(t *testing.T) {
	t.Parallel()
	const asc = `{"id":"T/v","source":"T/list","sort":[{"field":"n"}],"limit":2}`
	a1, b2, c3 := `T a patch {"n":1}`, `T b patch {"n":2}`, `T c patch {"n":3}`
	sub := step{`sub T/v`, []string{`subscribed T/v list by n asc`, `snapshot T/v a:{"n":1} b:{"n":2} complete`}}
	runScripts(t, []script{
		{
			name: "another order and window", views: []string{asc}, given: []string{a1, b2, c3},
			steps: []step{
				sub,
				{`define ` + asc, nil},
				{
					`define {"id":"T/v","source":"T/list","sort":[{"field":"n","order":"desc"}],"limit":1}`,
					[]string{`delete T/v a`, `delete T/v b`, `upsert T/v c {"n":3}`},
				},
				{`T d patch {"n":4}`, []string{`delete T/v c`, `upsert T/v d {"n":4}`}},
			},
		},
		{
			name: "what derives from it", views: []string{asc, `{"id":"T/w","source":"T/v","fields":["n"]}`}, given: []string{a1, b2, c3},
			steps: []step{
				{`sub T/w`, []string{`subscribed T/w list by _seq desc`, `snapshot T/w b:{"n":2} a:{"n":1} complete`}},
				{
					`define {"id":"T/v","source":"T/list","filter":{"field":"n","op":"gt","value":1}}`,
					[]string{`delete T/w a`, `upsert T/w c {"n":3}`, `upsert T/w b {"n":2}`},
				},
			},
		},
		{
			name: "to an aggregate and back", views: []string{asc}, given: []string{a1},
			steps: []step{
				{`sub T/v`, []string{`subscribed T/v list by n asc`, `snapshot T/v a:{"n":1} complete`}},
				{
					`define {"id":"T/v","source":"T/list","aggregate":{"s":{"op":"sum","field":"n"}}}`,
					[]string{`delete T/v a`, `upsert T/v all {"s":1}`},
				},
				{b2, []string{`upsert T/v all {"s":3}`}},
				{`Elsewhere x patch {}`, nil},
				{`T a delete`, []string{`upsert T/v all {"s":2}`}},
				{`define ` + asc, []string{`delete T/v all`, `upsert T/v b {"n":2}`}},
				{a1, []string{`upsert T/v a {"n":1}`}},
			},
		},
		{
			name: "to another type", views: []string{asc}, given: []string{a1, `U x patch {"n":7}`},
			steps: []step{
				{`sub T/v`, []string{`subscribed T/v list by n asc`, `snapshot T/v a:{"n":1} complete`}},
				{
					`define {"id":"T/v","source":"U/list","sort":[{"field":"n"}],"limit":2}`,
					[]string{`delete T/v a`, `upsert T/v x {"n":7}`},
				},
				{b2, nil},
				{`U y patch {"n":6}`, []string{`upsert T/v y {"n":6}`}},
			},
		},
		{
			name: "removed and made again", views: []string{asc}, given: []string{a1},
			steps: []step{
				{`sub T/v`, []string{`subscribed T/v list by n asc`, `snapshot T/v a:{"n":1} complete`}},
				{`remove T/v`, []string{`delete T/v a`}},
				{b2, nil},
				{`define {"id":"T/v","source":"U/list","sort":[{"field":"n"}]}`, nil},
				{`U y patch {"n":6}`, []string{`upsert T/v y {"n":6}`}},
				{`unsub T/v`, nil},
				{`remove T/v`, nil},
			},
		},
	})
}

func TestRemovedViewIsUnknown(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		n.define(top)
		c := n.connect()
		defer c.leave()
		c.subscribe("Auction/top")
		c.take()
		n.run(c, "remove Auction/top")
		other := n.connect()
		defer other.leave()
		if got := other.subscribe("Auction/top"); got != "unknown view" {
			t.Errorf("subscribe to a removed view: %q", got)
		}
		if _, issue := n.Read(app, request("Auction/top"), 0); !view.IsUnknownView(issue) {
			t.Errorf("read of a removed view: %v", issue)
		}
		for _, info := range n.Views(app) {
			if info.ID == "Auction/top" {
				t.Error("a removed view is listed")
			}
		}
	})
}

// memoryStore keeps definitions by app and id, and hands them out in the worst order.
type memoryStore struct {
	definitions map[[2]string]string
	fails       error
}

func (s *memoryStore) LoadDefinitions(_ context.Context, fn func(string, []byte) error) error {
	for name, text := range s.definitions {
		if err := fn(name[0], []byte(text)); err != nil {
			return err
		}
	}
	return s.fails
}

func (s *memoryStore) SaveDefinition(_ context.Context, app, id string, definition []byte) error {
	if s.fails == nil {
		s.definitions[[2]string{app, id}] = string(definition)
	}
	return s.fails
}

func (s *memoryStore) DeleteDefinition(_ context.Context, app, id string) error {
	if s.fails == nil {
		delete(s.definitions, [2]string{app, id})
	}
	return s.fails
}

func TestStoredDefinitions(t *testing.T) {
	t.Parallel()
	store := &memoryStore{definitions: map[[2]string]string{}}
	with := setup{catalog: definition.Options{Store: store}}
	chain := func(i int) *query.Definition {
		source := fmt.Sprintf("T/v%d", i-1)
		if i == 0 {
			source = "T/list"
		}
		d, err := query.Parse(fmt.Appendf(nil, `{"id":"T/v%d","source":%q}`, i, source))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	var want []view.Info
	inNodeWith(t, with, func(t *testing.T, n *node) {
		for i := range 20 {
			if err := n.Define(t.Context(), app, chain(i), true); err != nil {
				t.Fatal(err)
			}
		}
		if err := n.Define(t.Context(), app, chain(0), true); err != nil {
			t.Fatal(err)
		}
		n.define(top)
		want = n.Views(app)
	})
	if got := len(store.definitions); got != 20 {
		t.Errorf("%d definitions stored, want 20", got)
	}
	store.definitions[[2]string{app, "T/orphan"}] = `{"id":"T/orphan","source":"T/gone"}`
	store.definitions[[2]string{app, "T/bad"}] = `{`
	inNodeWith(t, with, func(t *testing.T, n *node) {
		n.define(top)
		if err := n.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, n.Views(app)); diff != "" {
			t.Errorf("views differ after a restart (-before +after):\n%s", diff)
		}
		if err := n.Remove(t.Context(), app, "T/v19"); err != nil {
			t.Fatal(err)
		}
		if err := n.Remove(t.Context(), app, "Auction/top"); err != nil {
			t.Fatal(err)
		}
		store.fails = errors.New("disk full")
		if err := n.Define(t.Context(), app, chain(19), true); !errors.Is(err, store.fails) {
			t.Errorf("define: %v, want the store's error", err)
		}
		if err := n.Remove(t.Context(), app, "T/v18"); !errors.Is(err, store.fails) {
			t.Errorf("remove: %v, want the store's error", err)
		}
		if got, want := len(n.Views(app)), 3+19; got != want { // Auction has no entity and no view any more
			t.Errorf("%d views, want %d", got, want)
		}
	})
}

func TestViews(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		n.define(top)
		n.amounts("a1 b2")
		c := n.connect()
		c.subscribe("Auction/top")
		c.subscribe("Auction/list")
		c.subscribe("Auction/list key=a")
		definition := `{"id":"Auction/top","source":"Auction/list","mode":"list","sort":[{"field":"bid.amount","order":"desc"}],"limit":3}`
		want := []view.Info{
			{ID: "Auction/append", Mode: protocol.ModeAppend, Rows: 2},
			{ID: "Auction/list", Mode: protocol.ModeList, Rows: 2, Subscriptions: 2},
			{ID: "Auction/state", Mode: protocol.ModeState, Rows: 2},
			{ID: "Auction/top", Mode: protocol.ModeList, Source: "Auction/list", Definition: []byte(definition), Rows: 2, Subscriptions: 1, Access: access.Token},
		}
		if diff := cmp.Diff(want, n.Views(app)); diff != "" {
			t.Errorf("views differ (-want +got):\n%s", diff)
		}
		c.leave()
		for _, info := range n.Views(app) {
			if info.Subscriptions != 0 {
				t.Errorf("%s: %d subscriptions after everybody left", info.ID, info.Subscriptions)
			}
		}
	})
}

func TestAppsThatAreNotOpen(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		if _, issue := n.Read("other", request("T/list"), 0); !view.IsUnknownView(issue) {
			t.Errorf("read of a type that nobody has declared: %v", issue)
		}
		n.state.Declare("other", "T")
		if _, issue := n.Read("other", request("T/list"), 0); issue != nil {
			t.Errorf("read of a declared type: %v", issue)
		}
	})
}
