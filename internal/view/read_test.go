package view_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/view"
)

// shown is a result in short.
func shown(r *view.Result) []string {
	all := []string{}
	for _, row := range r.Rows {
		all = append(all, row.Key)
	}
	for _, key := range r.Deleted {
		all = append(all, "-"+key)
	}
	return all
}

func TestRead(t *testing.T) {
	t.Parallel()
	inNode(t, func(t *testing.T, n *node) {
		n.define(top)
		n.define(`{"id":"Auction/sum","source":"Auction/list","aggregate":{"rows":{"op":"count"}}}`)
		origin := n.origin()
		n.amounts("a1 b2")
		cursor := n.apply(lot("c", `{"bid":{"amount":3}}`)).String()
		last := n.apply(lot("a", `{"bid":{"amount":4}}`), `Auction b delete`)
		tests := []struct {
			request string
			want    []string
			total   int
		}{
			{"Auction/list", []string{"a", "c"}, 2},
			{"Auction/list limit=1", []string{"a"}, 2},
			{"Auction/append after=" + cursor, []string{"a", "-b"}, 2},
			{"Auction/list after=" + last.String(), []string{}, 2},
			{"Auction/list after=" + origin, []string{"c", "a", "-b"}, 2},
			{"Auction/list after=0", []string{"a", "c", "-b"}, 2},
			{"Auction/list after=9999999999999:000000000001", []string{"a", "c", "-b"}, 2},
			{"Auction/list key=a", []string{"a"}, 1},
			{"Auction/list key=b after=" + cursor, []string{"-b"}, 0},
			{"Auction/list key=c after=" + cursor, []string{}, 1},
			{"Auction/state key=b", []string{}, 0},
			{"Auction/state key=c after=" + cursor, []string{"c"}, 1},
			{"Auction/top", []string{"a", "c"}, 2},
			{"Auction/top take=1 skip=1", []string{"c"}, 2},
			{"Auction/top skip=5", []string{}, 2},
			{"Auction/sum", []string{"all"}, 1},
			{"Auction/sum key=all", []string{"all"}, 1},
			{"Auction/sum key=x", []string{}, 1},
		}
		for _, test := range tests {
			r, issue := n.Read(app, request(test.request), 0)
			if issue != nil {
				t.Errorf("%s: %v", test.request, issue)
				continue
			}
			if diff := cmp.Diff(test.want, shown(r)); diff != "" || r.Total != test.total {
				t.Errorf("%s: total %d, want %d; rows differ (-want +got):\n%s", test.request, r.Total, test.total, diff)
			}
			if isWhole := !resumes(n, test.request); r.IsWhole != isWhole {
				t.Errorf("%s: whole is %v, want %v", test.request, r.IsWhole, isWhole)
			}
			if want := (entity.Cursor{Seq: last}); r.Position != want {
				t.Errorf("%s: position %v, want %v", test.request, r.Position, want)
			}
		}
		for _, r := range []string{"Auction/list", "Auction/top", "Auction/list after=" + origin} {
			if _, issue := n.Read(app, request(r), 1); issue == nil || issue.Code != "snapshot-limit-exceeded" {
				t.Errorf("%s within one row: %v", r, issue)
			}
		}
	})
}

// resumes reports whether a request to a base view names a position of this server.
func resumes(n *node, text string) bool {
	r := request(text)
	return r.After != nil && !strings.HasSuffix(r.View, "/state") && n.state.Knows(entity.ParseSeq(*r.After))
}
