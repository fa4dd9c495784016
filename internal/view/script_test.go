package view_test

import (
	"fmt"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/access"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/view"
)

// script is what happens, one step after another: what is done, then the frames that come.
type script struct {
	name string
	// before the connection is there
	views, given []string
	steps        []step
}

type step struct {
	do   string
	want []string
}

// run does "sub ...", "unsub ...", "define ...", "remove ..." or applies a mutation; several
// mutations of one batch stand between semicolons.
func (n *node) run(c *conn, do string) {
	n.t.Helper()
	verb, rest, _ := strings.Cut(do, " ")
	switch verb {
	case "sub":
		if issue := c.subscribe(rest); issue != "" {
			n.t.Errorf("%s: %s", do, issue)
		}
	case "unsub":
		c.unsubscribe(rest)
	case "define":
		n.define(rest)
	case "remove":
		if err := n.Remove(n.t.Context(), app, rest); err != nil {
			n.t.Errorf("%s: %v", do, err)
		}
	default:
		n.apply(strings.Split(do, "; ")...)
	}
}

func runScripts(t *testing.T, scripts []script) {
	t.Helper()
	for _, s := range scripts {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			inNode(t, func(t *testing.T, n *node) {
				for _, v := range s.views {
					n.define(v)
				}
				for _, m := range s.given {
					n.apply(strings.Split(m, "; ")...)
				}
				c := n.connect()
				defer c.leave()
				for _, st := range s.steps {
					n.run(c, st.do)
					if diff := cmp.Diff(st.want, c.take()); diff != "" {
						t.Errorf("%s: frames differ (-want +got):\n%s", st.do, diff)
					}
				}
			})
		})
	}
}

func TestBaseViews(t *testing.T) {
	t.Parallel()
	runScripts(t, []script{
		{
			name: "F01 F05 F13 list",
			given: []string{
				`Auction a patch {"n":1}`,
			},
			steps: []step{
				{`sub Auction/list`, []string{`subscribed Auction/list list by _seq desc`, `snapshot Auction/list a:{"n":1} complete`}},
				{`Auction a patch {"n":2}`, []string{`patch Auction/list a {"n":2}`}},
			},
		},
		{
			name:  "F02 F19 F20 state, also of what is not there yet",
			given: []string{`Auction k patch {"n":1}`},
			steps: []step{
				{`sub Auction/state key=k`, []string{`subscribed Auction/state state`, `snapshot Auction/state k:{"n":1} complete`}},
				{`sub Auction/state key=zz`, []string{`subscribed Auction/state state`, `snapshot Auction/state complete`, `delete Auction/state zz`}},
				{`Auction zz patch {"n":2}`, []string{`patch Auction/state zz {"n":2}`}},
				{`sub Auction/state`, []string{`subscribed Auction/state state`, `snapshot Auction/state complete`}},
			},
		},
		{
			name:  "one key that is gone is deleted where clients do not forget",
			given: []string{`Auction k patch {"n":1}`, `Auction k delete`, `Auction  patch {"n":1}`, `Auction  delete`},
			steps: []step{
				{`sub Auction/state key=k`, []string{`subscribed Auction/state state`, `snapshot Auction/state complete`, `delete Auction/state k`}},
				{`sub Auction/list key=k`, []string{`subscribed Auction/list list by _seq desc`, `snapshot Auction/list complete`, `delete Auction/list k`}},
				{`sub Auction/append key=k`, []string{`subscribed Auction/append append`, `snapshot Auction/append complete`, `delete Auction/append k`}},
				{`sub Auction/state`, []string{`subscribed Auction/state state`, `snapshot Auction/state complete`, `delete Auction/state `}},
			},
		},
		{
			name: "F03 F09 append, empty",
			steps: []step{
				{`sub Auction/append`, []string{`subscribed Auction/append append`, `snapshot Auction/append complete`}},
				{`Auction a patch {"h":[1]} h`, []string{`patch Auction/append a {"h":[1]} +h`}},
				{`Auction a patch {"h":[2]} h`, []string{`patch Auction/append a {"h":[2]} +h`}},
			},
		},
		{
			name:  "F17 F18 one key of a list",
			given: []string{`Auction a patch {"n":1}`, `Auction b patch {"n":2}`},
			steps: []step{
				{`sub Auction/list key=b`, []string{`subscribed Auction/list list by _seq desc`, `snapshot Auction/list b:{"n":2} complete`}},
				{`Auction a patch {"n":3}; Auction b patch {"n":4}`, []string{`patch Auction/list b {"n":4}`}},
			},
		},
		{
			name:  "F34 deletes and upserts",
			given: []string{`Auction a patch {"n":1}`},
			steps: []step{
				{`sub Auction/list`, []string{`subscribed Auction/list list by _seq desc`, `snapshot Auction/list a:{"n":1} complete`}},
				{`Auction a delete`, []string{`delete Auction/list a`}},
				{`Auction a upsert {"m":1}`, []string{`upsert Auction/list a {"m":1}`}},
				{`unsub Auction/list`, nil},
				{`Auction a delete`, nil},
				{`sub Auction/list`, []string{`subscribed Auction/list list by _seq desc`, `snapshot Auction/list complete`}},
			},
		},
		{
			name:  "C13 without a snapshot",
			given: []string{`Auction a patch {"n":1}`},
			steps: []step{
				{`sub Auction/list nosnapshot`, []string{`subscribed Auction/list list by _seq desc`}},
				{`Auction a patch {"n":2}`, []string{`patch Auction/list a {"n":2}`}},
				{`sub Auction/state key=a nosnapshot`, []string{`subscribed Auction/state state`}},
			},
		},
		{
			name:  "C16 the same again",
			given: []string{`Auction a patch {"n":1}`},
			steps: []step{
				{`sub Auction/list limit=1`, []string{`subscribed Auction/list list by _seq desc`, `snapshot Auction/list a:{"n":1} complete`}},
				{`sub Auction/list limit=1`, nil},
				{`Auction a patch {"n":2}`, []string{`patch Auction/list a {"n":2}`}},
				{`sub Auction/list limit=2`, []string{`subscribed Auction/list list by _seq desc`, `snapshot Auction/list a:{"n":2} complete`}},
				{`Auction a patch {"n":3}`, []string{`patch Auction/list a {"n":3}`}},
				{`sub Auction/list nosnapshot`, []string{`subscribed Auction/list list by _seq desc`}},
				{`Auction a patch {"n":4}`, []string{`patch Auction/list a {"n":4}`}},
			},
		},
		{
			name: "C18 C19 C20 C21 unsubscribe",
			steps: []step{
				{`unsub Auction/list`, nil},
				{`sub Auction/list`, []string{`subscribed Auction/list list by _seq desc`, `snapshot Auction/list complete`}},
				{`sub Auction/list key=a`, []string{`subscribed Auction/list list by _seq desc`, `snapshot Auction/list complete`, `delete Auction/list a`}},
				{`unsub Auction/list`, nil},
				{`Auction a patch {"n":1}`, []string{`patch Auction/list a {"n":1}`}},
				{`unsub Auction/list key=a`, nil},
				{`Auction a patch {"n":2}`, nil},
				{`sub Auction/list`, []string{`subscribed Auction/list list by _seq desc`, `snapshot Auction/list a:{"n":2} complete`}},
			},
		},
		{
			name: "C34 the key * is a key",
			steps: []step{
				{`sub Auction/list key=*`, []string{`subscribed Auction/list list by _seq desc`, `snapshot Auction/list complete`, `delete Auction/list *`}},
				{`Auction x patch {"n":1}`, nil},
				{`Auction * patch {"n":1}`, []string{`patch Auction/list * {"n":1}`}},
			},
		},
		{
			name:  "M16 M17 M23 M24 limits and cursors",
			given: []string{`Auction a patch {"n":1}`, `Auction b patch {"n":2}`, `Auction c patch {"n":3}`},
			steps: []step{
				{`sub Auction/list limit=2`, []string{`subscribed Auction/list list by _seq desc`, `snapshot Auction/list c:{"n":3} b:{"n":2} complete`}},
				{`sub Auction/list limit=2 after=0`, []string{`subscribed Auction/list list by _seq desc`, `snapshot Auction/list c:{"n":3} b:{"n":2} complete`}},
				{`sub Auction/list after=9999999999999:000000000001`, []string{`subscribed Auction/list list by _seq desc`, `snapshot Auction/list c:{"n":3} b:{"n":2} a:{"n":1} complete`}},
				{`sub Auction/list limit=0`, []string{`subscribed Auction/list list by _seq desc`, `snapshot Auction/list complete`}},
				{`sub Auction/list key=b limit=1`, []string{`subscribed Auction/list list by _seq desc`, `snapshot Auction/list b:{"n":2} complete`}},
				{`sub Auction/state key=b after=99999999999999:0`, []string{`subscribed Auction/state state`, `snapshot Auction/state b:{"n":2} complete`}},
				{`sub Auction/append take=1`, []string{`subscribed Auction/append append`, `snapshot Auction/append c:{"n":3} b:{"n":2} a:{"n":1} complete`}},
			},
		},
	})
}

func TestSnapshotBatches(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		entities int
		want     []int
	}{
		{"F09 none", 0, []int{0}},
		{"F06 as many as the first takes", 50, []int{50}},
		{"F07 one more", 51, []int{50, 1}},
		{"F08 many", 251, []int{50, 100, 100, 1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			inNode(t, func(t *testing.T, n *node) {
				n.define(`{"id":"T/all","source":"T/list"}`)
				origin := n.origin()
				for i := range test.entities {
					n.apply(fmt.Sprintf(`T k%03d patch {"n":%d}`, i, i))
				}
				for _, sub := range []string{"T/list", "T/append", "T/list after=" + origin, "T/list after=0", "T/all"} {
					c := n.connect()
					c.subscribe(sub)
					var got []int
					for i, f := range c.frames[1:] {
						got = append(got, len(f.rows()))
						if isFirst, isWhole := i == 0, !strings.HasSuffix(sub, origin); (f.Whole != nil) != isFirst || isFirst && *f.Whole != isWhole {
							t.Errorf("%s: frame %d says whole %v, want it of the first alone, and %v", sub, i+1, f.Whole, isWhole)
						}
						if f.Complete != (i == len(c.frames)-2) {
							t.Errorf("%s: complete is %v in frame %d of %d", sub, f.Complete, i+1, len(c.frames)-1)
						}
					}
					if diff := cmp.Diff(test.want, got); diff != "" {
						t.Errorf("%s: rows differ (-want +got):\n%s", sub, diff)
					}
					c.leave()
				}
			})
		})
	}
}

func TestSubscribeRefusals(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		origin := n.origin()
		n.apply(`Auction a patch {"n":1}`, `Auction b patch {"n":2}`, `Auction c patch {"n":3}`)
		n.define(top)
		c := n.connect()
		defer c.leave()
		for _, view := range []string{"Nope", "/list", "Auction/nope", "auction/Top"} {
			if got := c.subscribe(view); got != "unknown view" {
				t.Errorf("C14 C15 subscribe to %s: %q, want unknown view", view, got)
			}
		}
		tooLong := strings.Repeat("k", entity.DefaultMaxKey+1)
		for _, id := range []string{"Auction/state", "Auction/list", "Auction/top"} {
			issue := n.Subscribe(&c.Connection, &protocol.ViewRequest{View: id, Key: &tooLong}, view.Limits{Clearance: access.Server})
			if !view.IsKeyTooLong(issue) || issue.View != id {
				t.Errorf("subscribe to %s with a key that no entity may have: %v, want that it is too long", id, issue)
			}
		}
		c.expect()
		for _, sub := range []string{"Auction/list", "Auction/list after=" + origin, "Auction/top"} {
			if got := c.subscribeWithin(sub, 2); got != "snapshot-limit-exceeded" {
				t.Errorf("C23 %s: %q", sub, got)
			}
			if got := c.take(); len(got) != 1 || !strings.HasPrefix(got[0], "subscribed ") {
				t.Errorf("C23 %s: frames %q, want subscribed only", sub, got)
			}
		}
		n.apply(lot("a", `{"n":4}`))
		c.expect()
		if got := c.Subscriptions(); got != 0 {
			t.Errorf("C23: %d subscriptions, want none", got)
		}
		for _, sub := range []string{"Auction/list limit=2", "Auction/append nosnapshot", "Auction/top take=2", "Auction/state key=a", "Auction/list key=a"} {
			if got := c.subscribeWithin(sub, 2); got != "" {
				t.Errorf("C24 C25 %s: %q", sub, got)
			}
		}
		if got := c.Subscriptions(); got != 5 {
			t.Errorf("%d subscriptions, want 5", got)
		}
		c.take()
		key := "a"
		if !c.Has("Auction/list", &key) || c.Has("Auction/list", new(string)) || !c.Has("Auction/list", nil) {
			t.Error("Has is wrong")
		}
	})
}

func TestWhatIsKeptOfASubscriptionIsThereOnce(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		c := n.connect()
		defer c.leave()
		key := strings.Repeat("k", 100)
		id, given := strings.Clone("Auction/state"), strings.Clone(key)
		if _, got := c.Kept(id, &given); got != &given {
			t.Errorf("without a subscription %q is kept", *got)
		}
		if issue := n.Subscribe(&c.Connection, &protocol.ViewRequest{View: id, Key: &given}, view.Limits{}); issue != nil {
			t.Fatal(issue)
		}
		gotID, got := c.Kept(id, &given)
		if gotID != id || *got != key {
			t.Fatalf("got %q and %q, want what was asked for", gotID, *got)
		}
		if unsafe.StringData(gotID) == unsafe.StringData(id) || unsafe.StringData(*got) == unsafe.StringData(given) {
			t.Error("what was asked for is kept beside what the view has")
		}
	})
}

func TestKeysAndViewsDoNotCollide(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		c := n.connect()
		defer c.leave()
		c.subscribe("a:b/list key=c")
		c.subscribe("a/list key=b/list:c")
		c.take()
		n.apply(`a:b c patch {"n":1}`)
		c.expect(`patch a:b/list c {"n":1}`)
		n.apply(`a b/list:c patch {"n":2}`)
		c.expect(`patch a/list b/list:c {"n":2}`)
		c.unsubscribe("a:b/list key=c")
		n.apply(`a:b c patch {"n":3}`, `a b/list:c patch {"n":4}`)
		c.expect(`patch a/list b/list:c {"n":4}`)
	})
}

func TestMembersOfFrames(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		n.define(top)
		c := n.connect()
		defer c.leave()
		c.subscribe("Auction/list")
		c.subscribe("Auction/state key=a")
		c.subscribe("Auction/append")
		c.subscribe("Auction/top")
		c.take()
		seq := n.apply(lot("a", `{"n":9007199254740993}`), lot("b", `{"n":1}`)).String()
		got := map[string]bool{}
		for _, raw := range c.raw {
			got[string(raw)] = true
		}
		for _, want := range []string{
			`{"mode":"list","entity":"Auction/list","op":"patch","key":"a","data":{"n":"9007199254740993","_seq":"` + seq + `"},"seq":"` + seq + `"}`,
			`{"mode":"list","entity":"Auction/list","op":"patch","key":"b","data":{"n":1,"_seq":"` + seq + `"},"seq":"` + seq + `"}`,
			`{"mode":"state","entity":"Auction/state","op":"patch","key":"a","data":{"n":"9007199254740993","_seq":"` + seq + `"},"seq":"` + seq + `"}`,
			`{"mode":"append","entity":"Auction/append","op":"patch","key":"a","data":{"n":"9007199254740993","_seq":"` + seq + `"},"seq":"` + seq + `"}`,
			`{"mode":"append","entity":"Auction/append","op":"patch","key":"b","data":{"n":1,"_seq":"` + seq + `"},"seq":"` + seq + `"}`,
			`{"mode":"list","entity":"Auction/top","op":"upsert","key":"a","data":{"n":"9007199254740993","_seq":"` + seq + `"},"seq":"` + seq + `"}`,
			`{"mode":"list","entity":"Auction/top","op":"upsert","key":"b","data":{"n":1,"_seq":"` + seq + `"},"seq":"` + seq + `"}`,
		} {
			if !got[want] {
				t.Errorf("F13 F16 F25 M27: no frame %s", want)
			}
			delete(got, want)
		}
		for more := range got {
			t.Errorf("unexpected frame %s", more)
		}
		c.take()
		n.apply(`Auction a delete`)
		for _, raw := range c.raw {
			if !strings.Contains(string(raw), `"op":"delete","key":"a","data":null`) {
				t.Errorf("F36 D25: %s", raw)
			}
		}
		if len(c.raw) != 4 {
			t.Errorf("F34: %d frames, want 4", len(c.raw))
		}
	})
}
