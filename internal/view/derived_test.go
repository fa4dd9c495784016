package view_test

import (
	"testing"
)

func TestDerivedViews(t *testing.T) {
	t.Parallel()
	abcd := []string{
		lot("a", `{"bid":{"amount":1}}`), lot("b", `{"bid":{"amount":2}}`),
		lot("c", `{"bid":{"amount":3}}`), lot("d", `{"bid":{"amount":4}}`),
	}
	dcb := step{`sub Auction/top`, []string{
		`subscribed Auction/top list by bid.amount desc`,
		`snapshot Auction/top ` + amount("d", "4") + " " + amount("c", "3") + " " + amount("b", "2") + ` complete`,
	}}
	const best = `{"id":"Auction/best","source":"Auction/list","sort":[{"field":"bid.amount","order":"desc"}],"limit":1,"mode":"state"}`
	runScripts(t, []script{
		{name: "D01 F04", views: []string{top}, given: abcd, steps: []step{dcb}},
		{
			name: "D02 D03 D12 D13 D19 windows", views: []string{top}, given: abcd,
			steps: []step{
				{`sub Auction/top take=2 skip=1`, []string{
					`subscribed Auction/top list by bid.amount desc`,
					`snapshot Auction/top ` + amount("c", "3") + " " + amount("b", "2") + ` complete`,
				}},
				{`unsub Auction/top`, nil},
				{`sub Auction/top take=10 nosnapshot after=99999999999999:0 limit=1 key=zz`, []string{
					`subscribed Auction/top list by bid.amount desc`,
					`snapshot Auction/top ` + amount("d", "4") + " " + amount("c", "3") + " " + amount("b", "2") + " " + amount("a", "1") + ` complete`,
				}},
				{`sub Auction/top take=0`, []string{`subscribed Auction/top list by bid.amount desc`}},
				{lot("d", `{"t":1}`), []string{`patch Auction/top d {"t":1}`}},
			},
		},
		{
			name: "beyond the end and without an end", views: []string{top}, given: abcd,
			steps: []step{
				{`sub Auction/top take=2 skip=4`, []string{
					`subscribed Auction/top list by bid.amount desc`, `snapshot Auction/top complete`,
				}},
				{lot("e", `{"bid":{"amount":5}}`), []string{`upsert Auction/top a {"bid":{"amount":1}}`}},
				{`unsub Auction/top`, nil},
				{`sub Auction/top take=9223372036854775807 skip=4`, []string{
					`subscribed Auction/top list by bid.amount desc`,
					`snapshot Auction/top ` + amount("a", "1") + ` complete`,
				}},
				{`Auction e delete`, []string{`delete Auction/top a`}},
			},
		},
		{
			name: "D04 D05 enter and leave", views: []string{top}, given: abcd,
			steps: []step{
				dcb,
				{lot("e", `{"bid":{"amount":5}}`), []string{`delete Auction/top b`, `upsert Auction/top e {"bid":{"amount":5}}`}},
				{lot("a", `{"bid":{"amount":9}}`), []string{`delete Auction/top c`, `upsert Auction/top a {"bid":{"amount":9}}`}},
				{`Auction a delete`, []string{`delete Auction/top a`, `upsert Auction/top c {"bid":{"amount":3}}`}},
			},
		},
		{
			name: "D06 D07 D08 D20 D21 inside and outside", views: []string{top}, given: abcd,
			steps: []step{
				dcb,
				{lot("a", `{"title":"x"}`), nil},
				{lot("d", `{"title":"x"}`), []string{`patch Auction/top d {"title":"x"}`}},
				{lot("d", `{"bid":{}}`), []string{`patch Auction/top d {"bid":{}}`}},
				{lot("d", `{"bid":{"amount":null}}`), []string{`delete Auction/top d`, `upsert Auction/top a {"bid":{"amount":1},"title":"x"}`}},
				{lot("b", `{"bid":{"amount":2.5}}`), []string{`upsert Auction/top b {"bid":{"amount":2.5}}`}},
			},
		},
		{
			name: "D09 D10 one row", views: []string{best}, given: abcd,
			steps: []step{
				{`sub Auction/best`, []string{
					`subscribed Auction/best state by bid.amount desc`, `snapshot Auction/best ` + amount("d", "4") + ` complete`,
				}},
				{lot("e", `{"bid":{"amount":9}}`), []string{`delete Auction/best d`, `upsert Auction/best e {"bid":{"amount":9}}`}},
				{lot("a", `{"title":"x"}`), nil},
				{
					`Auction a delete; Auction b delete; Auction c delete; Auction d delete; Auction e delete`,
					[]string{`delete Auction/best e`},
				},
			},
		},
		{
			name: "D11 empty at first", views: []string{top},
			steps: []step{
				{`sub Auction/top`, []string{`subscribed Auction/top list by bid.amount desc`, `snapshot Auction/top complete`}},
				{lot("a", `{"n":1}`), []string{`upsert Auction/top a {"n":1}`}},
			},
		},
		{
			name: "D14 ties", views: []string{top},
			given: []string{lot("x", `{"bid":{"amount":1}}`), lot("m", `{"bid":{"amount":1}}`), lot("b", `{"bid":{"amount":1}}`)},
			steps: []step{{`sub Auction/top take=3`, []string{
				`subscribed Auction/top list by bid.amount desc`,
				`snapshot Auction/top ` + amount("b", "1") + " " + amount("m", "1") + " " + amount("x", "1") + ` complete`,
			}}},
		},
		{
			name: "D15 D17 D18 order of values", views: []string{top},
			given: []string{
				lot("n", `{}`), lot("x", `{"bid":{"amount":5}}`), lot("y", `{"bid":{"amount":9007199254740993}}`),
				lot("z", `{"bid":{"amount":2.5}}`), lot("w", `{"bid":{"amount":2}}`),
			},
			steps: []step{{`sub Auction/top take=10`, []string{
				`subscribed Auction/top list by bid.amount desc`,
				`snapshot Auction/top ` + amount("y", `"9007199254740993"`) + " " + amount("x", "5") + " " + amount("z", "2.5") + " " + amount("w", "2") + ` n:{} complete`,
			}}},
		},
		{
			name:  "D16 strings descending",
			views: []string{`{"id":"Auction/titles","source":"Auction/list","sort":[{"field":"title","order":"desc"}]}`},
			given: []string{lot("1", `{"title":"a"}`), lot("2", `{"title":"c"}`), lot("3", `{"title":"b"}`)},
			steps: []step{{`sub Auction/titles`, []string{
				`subscribed Auction/titles list by title desc`,
				`snapshot Auction/titles 2:{"title":"c"} 3:{"title":"b"} 1:{"title":"a"} complete`,
			}}},
		},
		{
			name:  "D22 a filter, no sort, no limit",
			views: []string{`{"id":"Auction/open","source":"Auction/list","filter":{"field":"status","op":"eq","value":"open"}}`},
			given: []string{lot("a", `{"status":"open"}`), lot("b", `{"status":"closed"}`), lot("c", `{"status":"open"}`)},
			steps: []step{
				{`sub Auction/open`, []string{
					`subscribed Auction/open list by _seq desc`,
					`snapshot Auction/open c:{"status":"open"} a:{"status":"open"} complete`,
				}},
				{lot("a", `{"status":"closed"}`), []string{`delete Auction/open a`}},
				{lot("b", `{"n":1}`), nil},
				{lot("b", `{"status":"open"}`), []string{`upsert Auction/open b {"n":1,"status":"open"}`}},
				{lot("c", `{"n":2}`), []string{`patch Auction/open c {"n":2}`}},
			},
		},
		{
			name:  "D23 derived from a limited view",
			views: []string{top, `{"id":"Auction/low","source":"Auction/top","sort":[{"field":"bid.amount"}],"limit":2}`},
			given: abcd,
			steps: []step{
				{`sub Auction/low`, []string{
					`subscribed Auction/low list by bid.amount asc`,
					`snapshot Auction/low ` + amount("b", "2") + " " + amount("c", "3") + ` complete`,
				}},
				{lot("a", `{"bid":{"amount":2.5}}`), []string{`delete Auction/low b`, `upsert Auction/low a {"bid":{"amount":2.5}}`}},
				{lot("b", `{"n":1}`), nil},
				{`Auction a delete`, []string{`delete Auction/low a`, `upsert Auction/low b {"bid":{"amount":2},"n":1}`}},
			},
		},
		{
			name:  "F32 F33 projection and keys",
			views: []string{`{"id":"T/slim","source":"T/list","fields":["n"],"keys":["a","b"]}`},
			given: []string{`T a patch {"n":1,"m":2}`, `T z patch {"n":1}`},
			steps: []step{
				{`sub T/slim`, []string{`subscribed T/slim list by _seq desc`, `snapshot T/slim a:{"n":1} complete`}},
				{`T a patch {"m":3}`, nil},
				{`T a patch {"n":2}`, []string{`upsert T/slim a {"n":2}`}},
				{`T z patch {"n":2}`, nil},
			},
		},
		{
			name: "aggregates",
			views: []string{
				`{"id":"T/sum","source":"T/list","aggregate":{"rows":{"op":"count"},"total":{"op":"sum","field":"n"}}}`,
			},
			given: []string{`T a patch {"n":1}`, `T b patch {"n":2}`},
			steps: []step{
				{`sub T/sum`, []string{`subscribed T/sum state`, `snapshot T/sum all:{"rows":2,"total":3} complete`}},
				{`sub T/sum key=all`, []string{`subscribed T/sum state`, `snapshot T/sum all:{"rows":2,"total":3} complete`}},
				{`sub T/sum key=other`, []string{`subscribed T/sum state`, `snapshot T/sum complete`}},
				{`unsub T/sum key=all`, nil},
				{`T a patch {"n":5}; T b patch {"n":6}`, []string{`upsert T/sum all {"rows":2,"total":11}`}},
				{`T a patch {"n":6}; T b patch {"n":5}`, nil},
				{`T a delete`, []string{`upsert T/sum all {"rows":1,"total":5}`}},
			},
		},
		{
			name: "one batch changes the same entity several times", views: []string{top}, given: abcd,
			steps: []step{
				dcb,
				{lot("d", `{"x":1}`) + "; " + lot("d", `{"y":1}`), []string{`upsert Auction/top d {"bid":{"amount":4},"x":1,"y":1}`}},
				{
					lot("d", `{"bid":{"amount":0}}`) + "; " + lot("d", `{"bid":{"amount":4}}`),
					[]string{`upsert Auction/top d {"bid":{"amount":4},"x":1,"y":1}`},
				},
				{`Auction e patch {"bid":{"amount":9}}; Auction e delete`, nil},
				{`Auction d delete; Auction d patch {"bid":{"amount":4}}`, []string{`upsert Auction/top d {"bid":{"amount":4}}`}},
				{
					`Auction e patch {"bid":{"amount":9}}; Auction d patch {"z":1}; Auction e delete`,
					[]string{`patch Auction/top d {"z":1}`},
				},
			},
		},
		{
			name: "one batch changes what is outside for a moment", views: []string{best}, given: abcd,
			steps: []step{
				{`sub Auction/best`, []string{
					`subscribed Auction/best state by bid.amount desc`, `snapshot Auction/best ` + amount("d", "4") + ` complete`,
				}},
				{
					`Auction d patch {"x":1}; Auction e patch {"bid":{"amount":9}}; Auction d patch {"y":1}; Auction e delete`,
					[]string{`upsert Auction/best d {"bid":{"amount":4},"x":1,"y":1}`},
				},
				{
					`Auction d patch {"x":2}; Auction e patch {"bid":{"amount":9}}; Auction e delete`,
					[]string{`patch Auction/best d {"x":2}`},
				},
			},
		},
		{
			name: "C17 another window in place of the first", views: []string{top}, given: abcd,
			steps: []step{
				dcb,
				{`sub Auction/top take=2`, []string{
					`subscribed Auction/top list by bid.amount desc`,
					`snapshot Auction/top ` + amount("d", "4") + " " + amount("c", "3") + ` complete`,
					`delete Auction/top b`,
				}},
				{lot("b", `{"n":1}`), nil},
				{lot("c", `{"n":1}`), []string{`patch Auction/top c {"n":1}`}},
			},
		},
		{
			name: "a cap bounds what may be taken",
			views: []string{
				`{"id":"Auction/top","source":"Auction/list","sort":[{"field":"bid.amount","order":"desc"}],"limit":1,"cap":true}`,
			},
			given: abcd,
			steps: []step{{`sub Auction/top take=9 skip=1`, []string{
				`subscribed Auction/top list by bid.amount desc`,
				`snapshot Auction/top ` + amount("c", "3") + ` complete`,
			}}},
		},
	})
}
