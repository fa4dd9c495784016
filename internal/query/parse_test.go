package query_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/query"
)

func TestParse(t *testing.T) {
	t.Parallel()
	const head = `{"id":"Auction/top","source":"Auction/list","mode":`
	for name, c := range map[string]struct{ text, want string }{
		"the example of the reference": {
			view(`"filter":{"and":[{"field":"status","op":"eq","value":"open"}]},"sort":[{"field":"bid.amount","order":"desc"}],"limit":3,"fields":["title","bid"]`),
			head + `"list","filter":{"and":[{"field":"status","op":"eq","value":"open"}]},"sort":[{"field":"bid.amount","order":"desc"}],"limit":3,"fields":["title","bid"]}`,
		},
		"the least there is":             {`{"source":"Auction/list","id":"Auction/top"}`, head + `"list"}`},
		"a view of a view":               {`{"id":"b","source":"a"}`, `{"id":"b","source":"a","mode":"list"}`},
		"an id with more parts":          {`{"id":"Auction/list/open","source":"Auction/list"}`, `{"id":"Auction/list/open","source":"Auction/list","mode":"list"}`},
		"state mode":                     {view(`"mode":"state","limit":0`), head + `"state","limit":0}`},
		"a cap":                          {view(`"cap":true,"limit":5`), head + `"list","limit":5,"cap":true}`},
		"no cap":                         {view(`"cap":false`), head + `"list"}`},
		"keys":                           {view(`"keys":["a","b"]`), head + `"list","keys":["a","b"]}`},
		"null stands for nothing":        {view(`"mode":null,"filter":null,"sort":null,"limit":null,"cap":null,"keys":null,"fields":null,"aggregate":null`), head + `"list"}`},
		"empty lists stand for nothing":  {view(`"sort":[],"keys":[],"fields":[]`), head + `"list"}`},
		"sort is ascending by itself":    {view(`"sort":[{"field":"a"},{"field":"b","order":"desc"}]`), head + `"list","sort":[{"field":"a","order":"asc"},{"field":"b","order":"desc"}]}`},
		"exists is true by itself":       {view(`"filter":{"field":"a","op":"exists"}`), head + `"list","filter":{"field":"a","op":"exists","value":true}}`},
		"exists may be false":            {view(`"filter":{"field":"a","op":"exists","value":false}`), head + `"list","filter":{"field":"a","op":"exists","value":false}}`},
		"literals of every kind":         {view(`"filter":{"or":[{"field":"a","op":"eq","value":null},{"not":{"field":"b","op":"ne","value":{"x":[1,"2"]}}},{"field":"c.d","op":"in","value":[null,1,"x",[ ]]}]}`), head + `"list","filter":{"or":[{"field":"a","op":"eq","value":null},{"not":{"field":"b","op":"ne","value":{"x":[1,"2"]}}},{"field":"c.d","op":"in","value":[null,1,"x",[]]}]}}`},
		"numbers keep their spelling":    {view(`"filter":{"field":"a","op":"gte","value":36893488147419103232.10}`), head + `"list","filter":{"field":"a","op":"gte","value":36893488147419103232.10}}`},
		"aggregates, in their own order": {view(`"filter":{"field":"a","op":"exists"},"keys":["k"],"aggregate":{"z":{"op":"count"},"a":{"op":"sum","field":"x.y"},"m":{"op":"count","field":"x"}}`), head + `"state","filter":{"field":"a","op":"exists","value":true},"keys":["k"],"aggregate":{"z":{"op":"count"},"a":{"op":"sum","field":"x.y"},"m":{"op":"count","field":"x"}}}`},
		"names in escapes":               {view(`"s\u006frt":[{"field":"\u0061\n"}]`), head + `"list","sort":[{"field":"a\n","order":"asc"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := query.Parse([]byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, string(d.AppendJSON(nil))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseListsProblems(t *testing.T) {
	t.Parallel()
	filter := func(f string) string { return view(`"filter":` + f) }
	nested := func(depth int) string {
		return filter(strings.Repeat(`{"not":`, depth) + `{"field":"a","op":"exists"}` + strings.Repeat(`}`, depth))
	}
	const forms = "must have and, or, not, or a comparison of field, op and value; and only one of them"
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"nothing":                    {``, []string{"not JSON: unexpected end of JSON input"}},
		"not JSON":                   {`{"id":}`, []string{"not JSON: invalid character '}' looking for beginning of value"}},
		"not UTF-8":                  {"{\"id\":\"\xff\"}", []string{"not JSON: not UTF-8"}},
		"not an object":              {`[]`, []string{"definition: must be an object"}},
		"too long":                   {strings.Repeat(" ", 1<<18) + `{}`, []string{"longer than 262144 bytes"}},
		"no id and source":           {`{}`, []string{"id: missing", "source: missing"}},
		"empty id and source":        {`{"id":"","source":""}`, []string{"id: empty", "source: empty"}},
		"ids that are no strings":    {`{"id":1,"source":{}}`, []string{"id = 1: must be a string", "source = {}: must be a string"}},
		"an id of 201 bytes":         {`{"id":"` + strings.Repeat("x", 201) + `","source":"a"}`, []string{`id = "` + strings.Repeat("x", 59) + `...: longer than 200 bytes`}},
		"control characters":         {`{"id":"a\u0000b","source":"c\n"}`, []string{`id = "a\u0000b": has control characters`, `source = "c\n": has control characters`}},
		"the id of a base view":      {`{"id":"Auction/list","source":"a"}`, []string{"id: ids that end in /list are those of base views; choose another name"}},
		"a source of the wrong kind": {`{"id":"a","source":"Auction/state"}`, []string{"source: derive from Auction/list, which holds the same entities"}},
		"a circle of one":            {`{"id":"a","source":"a"}`, []string{"source: a view cannot be derived from itself"}},
		"unknown members": {view(`"filtr":{},"fields ":[],"where":1`), []string{
			"filtr: unknown; did you mean filter?", "fields : unknown; did you mean fields?",
			"where: unknown; use id, source, mode, access, filter, sort, limit, cap, keys, fields, aggregate",
		}},
		"a member twice":   {view(`"limit":1,"limit":2`), []string{"limit: given twice"}},
		"an unknown mode":  {view(`"mode":"append"`), []string{`mode = "append": unknown; use list or state`}},
		"a negative limit": {view(`"limit":-1`), []string{"limit = -1: must be a whole number from 0 to 2147483647"}},
		"half a limit":     {view(`"limit":1.5`), []string{"limit = 1.5: must be a whole number from 0 to 2147483647"}},
		"a limit in text":  {view(`"limit":"3"`), []string{`limit = "3": must be a whole number from 0 to 2147483647`}},
		"a cap of nothing": {view(`"cap":true`), []string{"cap: there is nothing to cap; give a limit"}},
		"a cap that is no": {view(`"cap":1,"limit":1`), []string{"cap = 1: must be true or false"}},
		"bad keys":         {view(`"keys":["a",1,"a"]`), []string{"keys[1] = 1: must be a string", `keys[2] = "a": listed twice`}},
		"bad fields": {view(`"fields":["a..b","","a","a",3]`), []string{
			`fields[0] = "a..b": must be member names with dots between them, none of them empty`,
			`fields[1] = "": must be member names with dots between them, none of them empty`,
			`fields[3] = "a": listed twice`, "fields[4] = 3: must be a string",
		}},
		"a path of 17 names": {view(`"fields":["` + strings.Repeat("a.", 16) + `a"]`), []string{`fields[0] = "` + strings.Repeat("a.", 16) + `a": more than 16 names or 1024 bytes`}},
		"bad sorts": {view(`"sort":[{"field":"a","order":"down"},{"order":"asc"},"b",{"feld":"a"}]`), []string{
			`sort[0].order = "down": unknown; use asc or desc`, "sort[1].field: missing",
			`sort[2] = "b": must be an object`, "sort[3].feld: unknown; did you mean field?", "sort[3].field: missing",
		}},
		"a sort that is no list":     {view(`"sort":{"field":"a"}`), []string{`sort = {"field":"a"}: must be an array`}},
		"an unknown operator":        {filter(`{"and":[{"field":"a","op":"exists"},{"field":"b","op":"equals","value":1}]}`), []string{`filter.and[1].op = "equals": unknown; use eq, ne, gt, gte, lt, lte, in, exists`}},
		"no operator":                {filter(`{"field":"b","value":1}`), []string{`filter.op: missing; use eq, ne, gt, gte, lt, lte, in, exists`}},
		"no field":                   {filter(`{"op":"eq","value":1}`), []string{`filter.field: missing`}},
		"no literal":                 {filter(`{"field":"b","op":"eq"}`), []string{`filter.value: missing; give what to compare with`}},
		"an empty filter":            {filter(`{}`), []string{"filter: " + forms}},
		"two forms at once":          {filter(`{"and":[],"or":[]}`), []string{"filter: " + forms}},
		"a combination of nothing":   {filter(`{"not":{"or":[]}}`), []string{"filter.not.or: empty; give conditions, or leave it out"}},
		"a combination of no list":   {filter(`{"and":{}}`), []string{"filter.and = {}: must be an array"}},
		"order against null":         {filter(`{"field":"a","op":"gt","value":null}`), []string{"filter.value = null: gt compares with a number, a string, true or false; nothing is above or below anything else"}},
		"order against a list":       {filter(`{"field":"a","op":"lte","value":[1]}`), []string{"filter.value = [1]: lte compares with a number, a string, true or false; nothing is above or below anything else"}},
		"in without a list":          {filter(`{"field":"a","op":"in","value":"x"}`), []string{`filter.value = "x": must be an array`}},
		"in with a long list":        {filter(`{"field":"a","op":"in","value":[1` + strings.Repeat(",1", 256) + `]}`), []string{"filter.value: more than 256 elements"}},
		"exists with a number":       {filter(`{"field":"a","op":"exists","value":1}`), []string{"filter.value = 1: must be true or false"}},
		"an ambiguous literal":       {filter(`{"field":"a","op":"eq","value":{"x":1,"\u0078":2}}`), []string{"filter.value.x: given twice"}},
		"a deep literal":             {filter(`{"field":"a","op":"eq","value":` + strings.Repeat("[", 17) + strings.Repeat("]", 17) + `}`), []string{"filter.value" + strings.Repeat("[0]", 16) + ": nested more than 16 deep"}},
		"a long literal":             {filter(`{"field":"a","op":"eq","value":"` + strings.Repeat("x", 4096) + `"}`), []string{"filter.value: longer than 4096 bytes"}},
		"a deep filter":              {nested(16), []string{"filter" + strings.Repeat(".not", 16) + ": nested more than 16 deep"}},
		"too many conditions":        {filter(`{"and":[{"field":"a","op":"exists"}` + strings.Repeat(`,{"field":"a","op":"exists"}`, 255) + `]}`), []string{"filter: more than 256 conditions"}},
		"an aggregate with an order": {view(`"aggregate":{"n":{"op":"count"}},"sort":[],"limit":1,"fields":[],"cap":true`), []string{"sort: means nothing for an aggregate, which is one row; leave it out", "limit: means nothing for an aggregate, which is one row; leave it out", "cap: means nothing for an aggregate, which is one row; leave it out", "fields: means nothing for an aggregate, which is one row; leave it out"}},
		"an aggregate as a list":     {view(`"aggregate":{"n":{"op":"count"}},"mode":"list"`), []string{`mode = "list": an aggregate is one row; use state, or leave it out`}},
		"no aggregates":              {view(`"aggregate":{}`), []string{"aggregate: must have 1 to 64 members"}},
		"aggregates in a list":       {view(`"aggregate":[]`), []string{`aggregate = []: must be an object, such as {"total":{"op":"sum","field":"price"}}`}},
		"bad aggregates": {view(`"aggregate":{"a":{"op":"summ","field":"x"},"b":{"op":"sum"},"c":{"field":"x"},"d":1,"a":{"op":"count"},"":{"op":"count"}}`), []string{
			`aggregate.a.op = "summ": unknown; did you mean sum?`, "aggregate.b.field: missing",
			"aggregate.c.op: missing; use count, sum, min, max, avg", "aggregate.d = 1: must be an object", "aggregate.a: given twice",
			`aggregate = "": a name must not be empty or have control characters`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := query.Parse([]byte(c.text))
			var problems *query.Error
			if !errors.As(err, &problems) {
				t.Fatalf("got %v, %v, want problems", d, err)
			}
			if diff := cmp.Diff(c.want, problems.Problems); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if _, err := query.Parse([]byte(nested(15))); err != nil {
		t.Errorf("16 deep: %v", err)
	}
}

func TestErrorShowsEveryProblem(t *testing.T) {
	t.Parallel()
	_, err := query.Parse([]byte(`{}`))
	const want = "view definition: 2 problems\n  id: missing\n  source: missing"
	if err == nil || err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	_, err = query.Parse([]byte(view(`"sort":[` + strings.Repeat(`{},`, 60) + `{}]`)))
	var problems *query.Error
	if !errors.As(err, &problems) || len(problems.Problems) != 50 {
		t.Errorf("got %v, want the first 50 problems", err)
	}
}

func TestParseMapReadsTables(t *testing.T) {
	t.Parallel()
	d, err := query.ParseMap(map[string]any{
		"id": "Auction/top", "source": "Auction/list", "limit": int64(3),
		"filter": map[string]any{"field": "a", "op": "eq", "value": "<b>"},
		"sort":   []any{map[string]any{"field": "bid.amount", "order": "desc"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"id":"Auction/top","source":"Auction/list","mode":"list","filter":{"field":"a","op":"eq","value":"<b>"},"sort":[{"field":"bid.amount","order":"desc"}],"limit":3}`
	if diff := cmp.Diff(want, string(d.AppendJSON(nil))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var problems *query.Error
	if _, err := query.ParseMap(map[string]any{"id": func() {}}); !errors.As(err, &problems) {
		t.Errorf("a value that JSON has not: got %v, want problems", err)
	}
}

func TestCompileChecksWhatWasMadeByHand(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]*query.Definition{
		"nothing":               {},
		"a filter of nothing":   {ID: "a", Source: "X/list", Mode: "list", Filter: &query.Filter{}},
		"a not of nothing":      {ID: "a", Source: "X/list", Mode: "list", Filter: &query.Filter{Op: query.Not}},
		"an order against null": {ID: "a", Source: "X/list", Mode: "list", Filter: &query.Filter{Op: query.Gt, Field: []string{"a"}}},
		"a sort by nothing":     {ID: "a", Source: "X/list", Mode: "list", Sort: []query.Sort{{}}},
	} {
		var problems *query.Error
		if p, err := query.Compile(d); !errors.As(err, &problems) {
			t.Errorf("%s: got %v, %v, want problems", name, p, err)
		}
	}
}

func TestPlanTellsWhatItIs(t *testing.T) {
	t.Parallel()
	p := plan(t, view(`"filter":{"or":[{"field":"a.b","op":"eq","value":1},{"not":{"field":"c","op":"exists"}}]},"sort":[{"field":"c","order":"desc"},{"field":"d"}],"limit":3,"cap":true,"fields":["a","x.y"]`))
	if diff := cmp.Diff([][]string{{"a", "b"}, {"c"}, {"d"}}, p.Uses()); diff != "" {
		t.Errorf("uses (-want +got):\n%s", diff)
	}
	path, desc := p.SortPath()
	limit, ok := p.Limit()
	if !cmp.Equal(path, []string{"c"}) || !desc || limit != 3 || !ok || !p.IsCapped() || !p.IsSorted() || !p.IsFiltered() || !p.IsProjecting() || p.IsAggregate() {
		t.Errorf("got %v %v, %v %v, %+v", path, desc, limit, ok, p)
	}
	for path, want := range map[string]bool{"a": true, "a.b.c": true, "x": false, "x.y": true, "x.y.z": true, "x.z": false, "d": false} {
		if got := p.Keeps(strings.Split(path, ".")); got != want {
			t.Errorf("keeps %s: got %v, want %v", path, got, want)
		}
	}
	all := plan(t, view(`"mode":"state"`))
	path, _ = all.SortPath()
	if _, ok := all.Limit(); ok || path != nil || all.IsSorted() || all.IsFiltered() || all.IsProjecting() || !all.Keeps([]string{"a"}) || all.Mode() != "state" || all.ID() != "Auction/top" || all.Source() != "Auction/list" {
		t.Errorf("got %+v", all)
	}
	sums := plan(t, view(`"keys":["a"],"aggregate":{"n":{"op":"count"},"s":{"op":"sum","field":"a.b"}}`))
	if !sums.IsAggregate() || !sums.IsFiltered() || !cmp.Equal(sums.Uses(), [][]string{{"a", "b"}}) {
		t.Errorf("got %+v", sums)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		view(`"filter":{"and":[{"field":"status","op":"eq","value":"open"}]},"sort":[{"field":"bid.amount","order":"desc"}],"limit":3,"cap":true,"fields":["title","bid"]`),
		view(`"keys":["\ud800"],"aggregate":{"n":{"op":"count"},"s":{"op":"avg","field":"a.b"}},"mode":"state"`),
		view(`"filter":{"not":{"or":[{"field":"\"","op":"in","value":[null,{"x":[ 1.0e5 ]}]},{"field":"a","op":"exists","value":false}]}}`),
		`{}`, `{"id":1}`, `[`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := query.Parse(text)
		if err != nil {
			var problems *query.Error
			if !errors.As(err, &problems) || len(problems.Problems) == 0 || d != nil {
				t.Fatalf("%q: got %v, %v", text, d, err)
			}
			return
		}
		canonical := d.AppendJSON(nil)
		again, err := query.Parse(canonical)
		if err != nil {
			t.Fatalf("%q became %q: %v", text, canonical, err)
		}
		if diff := cmp.Diff(d, again); diff != "" {
			t.Fatalf("%q became %q (-want +got):\n%s", text, canonical, diff)
		}
		if _, err := query.Compile(d); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
	})
}
