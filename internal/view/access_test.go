package view_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/access"
	"github.com/millrace/millrace/internal/view"
)

// read reports whether a reader with a clearance can read a view.
func (n *node) readable(id string, clearance access.Level) bool {
	_, issue := n.Engine.Read(app, request(id), view.Limits{Clearance: clearance})
	return issue == nil
}

func TestADerivedViewAboveAClearanceIsOneThatThereIsNot(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		n.define(`{"id":"public","source":"T/list","access":"public"}`)
		n.define(`{"id":"token","source":"T/list"}`)
		n.define(`{"id":"server","source":"T/list","access":"server"}`)
		clearances := map[access.Level][]string{
			0: nil, access.Public: {"public"}, access.Token: {"public", "token"}, access.Server: {"public", "token", "server"},
		}
		for clearance, want := range clearances {
			var got, watched []string
			for _, id := range []string{"public", "token", "server"} {
				if n.readable(id, clearance) {
					got = append(got, id)
				}
				c := n.connect()
				issue := n.Subscribe(&c.Connection, request(id), view.Limits{Clearance: clearance})
				if issue == nil {
					watched = append(watched, id)
				} else if !view.IsUnknownView(issue) || len(c.take()) > 0 {
					t.Errorf("%s with %q: %v", id, clearance, issue)
				}
				c.leave()
			}
			if diff := cmp.Diff([][]string{want, want}, [][]string{got, watched}); diff != "" {
				t.Errorf("with %q (-want +got):\n%s", clearance, diff)
			}
		}
		if !n.HasPublic(app) || n.HasPublic("other") {
			t.Error("HasPublic")
		}
	})
}

// Readers that may not see what a view is to be are gone before it is that.
func TestRestrictComesBeforeTheChange(t *testing.T) {
	t.Parallel()
	var n *node
	var calls []string
	restrict := func(of, id string, level access.Level) {
		state := " is closed"
		if n.readable(id, level-1) {
			state = " is open"
		}
		r, _ := n.Read(of, request(id), 0)
		if r != nil && len(r.Rows) != 1 {
			state += " and has changed"
		}
		calls = append(calls, id+" "+level.String()+state)
	}
	inNodeWith(t, setup{views: view.Options{Restrict: restrict}}, func(t *testing.T, node *node) {
		n = node
		n.apply("T a upsert {\"n\":1}")
		n.apply("T b upsert {\"n\":2}")
		const narrow = `"source":"T/list","keys":["a"]`
		expect := func(definition string, want ...string) {
			t.Helper()
			calls = nil
			n.define(definition)
			if diff := cmp.Diff(want, calls); diff != "" {
				t.Errorf("%s (-want +got):\n%s", definition, diff)
			}
		}
		expect(`{"id":"v","access":"public",` + narrow + `}`)
		expect(`{"id":"v","source":"T/list"}`, "v token is closed")
		expect(`{"id":"v",` + narrow + `}`)
		expect(`{"id":"v","source":"T/list","access":"server"}`, "v server is closed")
		expect(`{"id":"v","access":"public",` + narrow + `}`)
		if !n.readable("v", access.Public) {
			t.Error("what is open again is closed")
		}
		c := n.connect() // keeps the view known while it is gone
		c.subscribe("v")
		if err := n.Remove(context.Background(), app, "v"); err != nil {
			t.Fatal(err)
		}
		calls = nil
		n.define(`{"id":"v","source":"T/list"}`)
		if diff := cmp.Diff([]string{"v token is closed"}, calls); diff != "" {
			t.Errorf("defined again (-want +got):\n%s", diff)
		}
		c.leave()
	})
}
