package view_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/millrace/millrace/internal/access"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/view"
)

// types are the names of the entity types that there are.
func (n *node) types() (names []string) {
	for _, t := range n.state.Types(app) {
		names = append(names, t.Name)
	}
	return names
}

func (n *node) expectTypes(when string, want ...string) {
	n.t.Helper()
	if got := n.types(); !slices.Equal(got, want) {
		n.t.Errorf("%s: the types are %q, want %q", when, got, want)
	}
}

// A client of an open app may name any entity type. One that nothing was written to is there only
// while it is watched.
func TestTypesWithoutEntities(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		for _, request := range []string{"A/list", "A/state key=a", "A/append after=0 limit=1"} {
			if issue := n.read(request); issue != "" {
				t.Errorf("read %s: %s", request, issue)
			}
		}
		n.expectTypes("after reads")

		c, other := n.connect(), n.connect()
		defer other.leave()
		c.subscribe("A/list")
		c.subscribe("A/list take=1") // the same again
		c.subscribe("A/list limit=3")
		c.subscribe("A/state key=a nosnapshot")
		other.subscribe("A/append")
		n.expectTypes("while it is watched", "A")
		c.leave()
		n.expectTypes("while another watches it", "A")
		other.unsubscribe("A/append")
		n.expectTypes("when no client watches it any more")

		other.subscribe("B/list")
		n.apply(`B b upsert {}`, `C c upsert {}`)
		n.apply(`B b delete`, `C c delete`)
		other.unsubscribe("B/list")
		n.expectTypes("of those that were written to", "B", "C")
		other.expect(`subscribed A/append append`, `snapshot A/append complete`,
			`subscribed B/list list by _seq desc`, `snapshot B/list complete`, `upsert B/list b {}`, `delete B/list b`)
	})
}

// A view needs the type that it is about, also while a client watches what is left of it.
func TestTypesThatOnlyViewsNeed(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		n.define(`{"id":"a","source":"A/list","sort":[{"field":"n"}]}`)
		n.define(`{"id":"b","source":"a"}`)
		n.expectTypes("of a definition", "A")
		n.define(`{"id":"a","source":"B/list","sort":[{"field":"n"}]}`)
		n.expectTypes("of a definition that moved, and what derives from it", "B")
		c := n.connect()
		defer c.leave()
		c.subscribe("b")
		n.remove("b")
		n.remove("a")
		n.expectTypes("of a removed view that is watched", "B")
		n.apply(`B x upsert {"n":1}`)
		n.define(`{"id":"b","source":"B/list"}`)
		c.expect(`subscribed b list by _seq desc`, `snapshot b complete`, `upsert b x {"n":1}`)
		n.define(`{"id":"c","source":"C/list"}`)
		n.remove("c")
		n.expectTypes("of removed views", "B")
	})
}

func (n *node) remove(id string) {
	n.t.Helper()
	if err := n.Remove(n.t.Context(), app, id); err != nil {
		n.t.Fatalf("remove %s: %v", id, err)
	}
}

// read is the code of the issue of a read, if there is one.
func (n *node) read(text string) string {
	if _, issue := n.Read(app, request(text), 0); issue != nil {
		return issue.Code
	}
	return ""
}

// A snapshot that is refused leaves no type behind.
func TestARefusedSubscriptionHoldsNoType(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		n.apply(`A a upsert {}`, `A b upsert {}`)
		c := n.connect()
		defer c.leave()
		if code := c.subscribeWithin("A/list", 1); code == "" {
			t.Fatal("the snapshot was not refused")
		}
		if held := n.Held(); held != 0 {
			t.Errorf("%d types are held, want none", held)
		}
	})
}

// Whatever clients do while a type comes into being, who watches it hears of its first entity.
func TestFirstEntitiesReachWhoWatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, setup{})
		defer n.stop()
		const types, clients = 200, 4
		var wg sync.WaitGroup
		all := make([]*conn, clients)
		for i := range all {
			all[i] = n.connect()
			defer all[i].leave()
			wg.Go(func() {
				for typ := range types {
					list := fmt.Sprintf("T%d/list", typ)
					all[i].subscribe(list)
					if i%2 == 1 {
						all[i].unsubscribe(list)
						n.read(list)
						all[i].subscribe(list)
					}
				}
			})
		}
		wg.Go(func() {
			for typ := range types {
				bad := entity.Mutation{Type: fmt.Sprintf("T%d", typ), Key: "bad", Data: []byte(`[]`)}
				_, _ = n.Apply(&entity.Batch{App: app, Mutations: []entity.Mutation{bad}})
				if _, err := n.Apply(&entity.Batch{App: app, Mutations: []entity.Mutation{mutation(fmt.Sprintf(`T%d a upsert {}`, typ))}}); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Wait()
		synctest.Wait()
		for i, c := range all {
			for typ := range types {
				if len(c.store[fmt.Sprintf("T%d/list", typ)]) != 1 {
					t.Errorf("client %d knows nothing of T%d", i, typ)
				}
			}
		}
	})
}

// TestClientsLeaveNothingBehind is not parallel: it measures the heap of the process.
func TestClientsLeaveNothingBehind(t *testing.T) {
	n := newNode(t, setup{})
	defer n.stop()
	n.define(`{"id":"Lamp/bright","source":"Lamp/list","sort":[{"field":"watts"}]}`)
	c := n.quiet()
	use := func(i int) {
		name := fmt.Sprint("T", i, strings.Repeat("x", 100))
		c.subscribe(name+"/list", "Lamp/state key="+name, name+"/state key=a", fmt.Sprintf("Lamp/bright skip=%d", i))
		c.unsubscribe(name+"/list", "Lamp/state key="+name, name+"/state key=a", "Lamp/bright")
		n.read(name + "/append")
	}
	for i := range 1000 {
		use(i)
	}
	before := heap()
	for i := range 10_000 {
		use(1000 + i)
	}
	if left := heap() - before; left > 100<<10 {
		t.Errorf("%d bytes are left of 10,000 times four subscriptions and a read", left)
	}
	if got := n.types(); !slices.Equal(got, []string{"Lamp"}) {
		t.Errorf("%d types are left, want one", len(got))
	}
}

func (c *quiet) subscribe(requests ...string) {
	for _, text := range requests {
		if i := c.n.Subscribe(&c.Connection, request(text), view.Limits{Clearance: access.Server}); i != nil {
			c.n.t.Fatal(i)
		}
	}
}

func (c *quiet) unsubscribe(requests ...string) {
	for _, text := range requests {
		r := request(text)
		if !c.n.Unsubscribe(&c.Connection, r.View, r.Key) {
			c.n.t.Fatalf("there was no subscription to %s", text)
		}
	}
}
