package view_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/entity/owner"
)

// A page of changes ends where the next begins, also within a batch.
func TestPages(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		origin := n.origin()
		first := n.apply(lot("a", `{}`), lot("b", `{}`), lot("c", `{}`)).String()
		second := n.apply(lot("d", `{}`), `Auction b delete`, lot("e", `{}`)).String()
		for _, test := range []struct {
			request string
			want    []string
			end     string
		}{
			{"limit=1 after=" + origin, []string{"a"}, first + "=1"},
			{"limit=1 after=" + first + "=1", []string{"c"}, first},
			{"limit=2 after=" + origin, []string{"a", "c"}, first},
			{"limit=1 after=" + first, []string{"d"}, second + "=4"},
			{"limit=1 after=" + second + "=4", []string{"e", "-b"}, second},
			{"limit=9 after=" + second + "=4", []string{"e", "-b"}, second},
			{"after=" + second + "=4", []string{"e", "-b"}, second},
			{"limit=3 after=" + first + "=1", []string{"c", "d", "e", "-b"}, second},
			{"limit=1 after=" + second + "=", []string{"d"}, second + "=4"},
			{"limit=1 after=" + second + "=4=", []string{"d"}, second + "=4"},
			{"limit=1 after=" + second + "=99", []string{}, second},
			{"limit=1 after=" + second + "=1", []string{"d"}, second + "=4"},
			{"limit=0 after=" + origin, []string{}, origin},
			{"limit=0 after=" + second + "=4", []string{}, second + "=4"},
			{"limit=0 after=" + second, []string{}, second},
			{"limit=0 key=a after=" + origin, []string{}, origin},
			{"limit=1 key=a after=" + origin, []string{"a"}, second},
			{"limit=2", []string{"e", "d"}, second},
			{"limit=1 after=9999999999999:000000000001", []string{"e", "d", "c", "a", "-b"}, second},
			{"limit=0 key=a after=9999999999999:000000000001", []string{"a"}, second},
		} {
			r, issue := n.Read(app, request("Auction/list "+test.request), 0)
			if issue != nil {
				t.Errorf("%s: %v", test.request, issue)
				continue
			}
			if diff := cmp.Diff(test.want, shown(r)); diff != "" || r.Position.String() != test.end {
				t.Errorf("%s: position %v, want %s; rows differ (-want +got):\n%s", test.request, r.Position, test.end, diff)
			}
		}
	})
}

// pager keeps the rows of a view by paging through its changes.
type pager struct {
	*node
	rows   map[string]string
	cursor string
}

// read takes the next page, and reports whether there may be more.
func (p *pager) read(rt *rapid.T, limit int) bool {
	res, issue := p.Read(app, request(fmt.Sprintf("T/list after=%s limit=%d", p.cursor, limit)), 0)
	if issue != nil {
		rt.Fatal(issue)
	}
	if res.IsWhole {
		clear(p.rows)
	} else if len(res.Rows) > limit {
		rt.Fatalf("%d rows, want at most %d", len(res.Rows), limit)
	}
	for _, key := range res.Deleted {
		delete(p.rows, key)
	}
	for _, row := range res.Rows {
		p.rows[row.Key] = string(row.Data)
	}
	isMoved := p.cursor != res.Position.String()
	p.cursor = res.Position.String()
	return isMoved
}

// Whatever happens between two pages, who reads on until nothing is new has the view.
func TestRandomPages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(struct{ testing.TB }{t}, func(rt *rapid.T) {
			o := owner.Options{MaxTombstones: rapid.SampledFrom([]int{2, 1000}).Draw(rt, "tombstones")}
			p := &pager{node: newNode(t, setup{entities: o}), rows: map[string]string{}, cursor: "0"}
			defer p.stop()
			p.apply(`T z upsert {}`)
			rt.Repeat(map[string]func(*rapid.T){
				"mutate": p.mutate, "mutate more": p.mutate,
				"read": func(rt *rapid.T) { p.read(rt, rapid.IntRange(0, 3).Draw(rt, "limit")) },
				"catch up": func(rt *rapid.T) {
					for p.read(rt, rapid.IntRange(1, 3).Draw(rt, "limit")) {
					}
					if diff := cmp.Diff(p.list(), p.rows); diff != "" {
						rt.Fatalf("at %s: rows differ (-view +pages):\n%s", p.cursor, diff)
					}
				},
			})
		})
	})
}

func (p *pager) mutate(rt *rapid.T) {
	var batch []string
	for range rapid.IntRange(1, 5).Draw(rt, "mutations") {
		key := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"}).Draw(rt, "key")
		batch = append(batch, "T "+key+" "+rapid.SampledFrom([]string{`patch {"n":1}`, `upsert {"n":2}`, "delete"}).Draw(rt, "op"))
	}
	p.apply(batch...)
}

func (p *pager) list() map[string]string {
	res, issue := p.Read(app, request("T/list"), 0)
	if issue != nil {
		p.t.Fatal(issue)
	}
	rows := map[string]string{}
	for _, row := range res.Rows {
		rows[row.Key] = string(row.Data)
	}
	return rows
}

// A client may put a = behind whatever position it was given.
func FuzzCursor(f *testing.F) {
	for _, text := range []string{"", "5", "1893450000456:417208000001", "1893450000456:417208000001=", "1893450000456:417208000001=12", "1:2=3="} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c := entity.ParseCursor(text)
		if again := entity.ParseCursor(c.String()); again != c {
			t.Errorf("%q: %v became %v", text, c, again)
		}
	})
}
