package owner_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/entity/owner"
)

func TestMerge(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		maxArray int
		stored   string // empty: none
		patch    string
		paths    []string
		want     string
		live     string // empty: the patch
	}{
		{name: "M01 objects are merged member by member", stored: `{"x":{"p":1}}`, patch: `{"x":{"q":2}}`, want: `{"x":{"p":1,"q":2}}`},
		{name: "M02 an array is replaced", stored: `{"l":[1,2]}`, patch: `{"l":[3]}`, want: `{"l":[3]}`},
		{name: "M03 an array whose path is listed is appended to", stored: `{"l":[1,2]}`, patch: `{"l":[3]}`, paths: []string{"l"}, want: `{"l":[1,2,3]}`},
		{name: "M04 a path goes through objects", stored: `{"s":{"l":[1]}}`, patch: `{"s":{"l":[2]}}`, paths: []string{"s.l"}, want: `{"s":{"l":[1,2]}}`},
		{name: "M05 a path begins at the root", stored: `{"s":{"l":[1]}}`, patch: `{"s":{"l":[2]}}`, paths: []string{"l"}, want: `{"s":{"l":[2]}}`},
		{name: "M06 null is a value", stored: `{"x":1}`, patch: `{"x":null}`, want: `{"x":null}`},
		{name: "M07 an object is replaced by a number", stored: `{"x":{"p":1}}`, patch: `{"x":5}`, want: `{"x":5}`},
		{name: "a number is replaced by an object", stored: `{"x":5,"y":1}`, patch: `{"x":{"p":1}}`, want: `{"x":{"p":1},"y":1}`},
		{name: "M08 what is no array takes the patch's", stored: `{"l":null}`, patch: `{"l":[1]}`, paths: []string{"l"}, want: `{"l":[1]}`},
		{name: "M09 a new array is cut, the live one is not", maxArray: 3, patch: `{"l":[1,2,3,4,5]}`, want: `{"l":[3,4,5]}`, live: `{"l":[1,2,3,4,5]}`},
		{name: "M10 the oldest leave an array that grows", maxArray: 3, stored: `{"l":[1,2]}`, patch: `{"l":[3,4]}`, paths: []string{"l"}, want: `{"l":[2,3,4]}`},
		{name: "M11 arrays in arrays are cut", maxArray: 3, patch: `{"x":[{"y":[1,2,3,4]}]}`, want: `{"x":[{"y":[2,3,4]}]}`},
		{name: "more is appended than fits", maxArray: 3, stored: `{"l":[1,2]}`, patch: `{"l":[3,[1,2,3,4],5,6]}`, paths: []string{"l"}, want: `{"l":[[2,3,4],5,6]}`, live: `{"l":[3,[1,2,3,4],5,6]}`},
		{name: "an array that replaces is cut", maxArray: 2, stored: `{"l":[1,2]}`, patch: `{"l":[3,4,5]}`, want: `{"l":[4,5]}`},
		{name: "nothing is appended", stored: `{"l":[1,2]}`, patch: `{"l":[]}`, paths: []string{"l"}, want: `{"l":[1,2]}`},
		{name: "something is appended to nothing", stored: `{"l":[]}`, patch: `{"l":[1]}`, paths: []string{"l"}, want: `{"l":[1]}`},
		{name: "nothing is appended to nothing", stored: `{"l":[]}`, patch: `{"l":[]}`, paths: []string{"l"}, want: `{"l":[]}`},
		{name: "an array is appended to a missing one", stored: `{"x":1}`, patch: `{"l":[1]}`, paths: []string{"l"}, want: `{"x":1,"l":[1]}`},
		{name: "a path that the patch does not have does nothing", stored: `{"l":[1]}`, patch: `{"x":1}`, paths: []string{"l", "l.m"}, want: `{"l":[1],"x":1}`},
		{name: "dots in names are not told from those of a path", stored: `{"a.b":[1],"a":{"b":[1]}}`, patch: `{"a":{"b":[2]},"a.b":[3]}`, paths: []string{"a.b"}, want: `{"a.b":[1,3],"a":{"b":[1,2]}}`},
		{name: "a name that is empty", stored: `{"":{"":[1]}}`, patch: `{"":{"":[2]}}`, paths: []string{"."}, want: `{"":{"":[1,2]}}`},
		{name: "no entity yet", patch: ` { "x" : [ 1 , { "y" : "a b" } ] } `, want: `{"x":[1,{"y":"a b"}]}`},
		{name: "an empty patch", stored: `{"x":1}`, patch: `{}`, want: `{"x":1}`},
		{name: "an empty entity", stored: `{}`, patch: `{"x":1}`, want: `{"x":1}`},
		{name: "an empty patch of nothing", patch: `{}`, want: `{}`},
		{name: "an empty patch of a member", stored: `{"x":{"p":[1]},"y":2}`, patch: `{"x":{}}`, want: `{"x":{"p":[1]},"y":2}`},
		{name: "an empty object gets a member", stored: `{"x":{},"y":{}}`, patch: `{"y":{"p":1},"x":{"q":{}}}`, want: `{"x":{"q":{}},"y":{"p":1}}`},
		{name: "brackets and quotes in strings", stored: `{"a":"}]\"","b":{"c":"{[\\"},"d":1}`, patch: `{"d":"\"}","b":{"e":"]"}}`, want: `{"a":"}]\"","b":{"c":"{[\\","e":"]"},"d":"\"}"}`},
		{name: "a key has one spelling", stored: `{"\u0061\"":1}`, patch: `{"a\u0022":2}`, want: `{"a\"":2}`, live: `{"a\"":2}`},
		{name: "of equal keys the last counts", stored: `{"x":{"p":1}}`, patch: `{"x":{"q":1},"y":1,"\u0078":{"r":1,"r":[2,{"s":1,"s":2}]}}`, want: `{"x":{"p":1,"r":[2,{"s":2}]},"y":1}`, live: `{"y":1,"x":{"r":[2,{"s":2}]}}`},
		{name: "of equal keys the last is appended", stored: `{"l":[1]}`, patch: `{"l":1,"l":[2]}`, paths: []string{"l"}, want: `{"l":[1,2]}`, live: `{"l":[2]}`},
		{name: "_seq is the engine's", stored: `{"_seq":"9:9","x":{"_seq":1}}`, patch: `{"_seq":{"a":[1]},"\u005fseq":2,"x":{"y":1}}`, paths: []string{"_seq"}, want: `{"x":{"_seq":1,"y":1}}`, live: `{"x":{"y":1}}`},
		{name: "_seq alone", stored: `{"_seq":"9:9"}`, patch: `{"_seq":null}`, want: `{}`, live: `{}`},
		{name: "numbers stay as they were given", stored: `{"a":1.50}`, patch: `{"b":-0,"c":1e3,"d":1E-2}`, want: `{"a":1.50,"b":-0,"c":1e3,"d":1E-2}`},
		{name: "the members of a large patch in any order", stored: numbered(40, 1), patch: reversed(60, 2), want: strings.TrimSuffix(numbered(40, 2), "}") + "," + reversedFrom(59, 40, 2) + "}"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			heard := &listener{}
			e := start(t, owner.Options{MaxArray: test.maxArray}, heard)
			if test.stored != "" {
				apply(t, e, upsert("a", test.stored))
			}
			heard.take()
			apply(t, e, patch("a", test.patch, test.paths...))
			same(t, "stored", stored(t, e, "a"), test.want)
			c := heard.last(t)
			if test.live == "" {
				test.live = strings.NewReplacer(` `, ``, `a b`, `a b`).Replace(test.patch)
			}
			same(t, "live", without(t, c.Patch, c.Seq), test.live)
			same(t, "paths", c.Append, test.paths)
		})
	}
}

// numbered is {"k0":v,"k1":v,...} and reversed the same the other way round.
func numbered(n, v int) string {
	var members []string
	for i := range n {
		members = append(members, `"k`+strconv.Itoa(i)+`":`+strconv.Itoa(v))
	}
	return "{" + strings.Join(members, ",") + "}"
}

func reversed(n, v int) string { return "{" + reversedFrom(n-1, 0, v) + "}" }

func reversedFrom(high, low, v int) string {
	var members []string
	for i := high; i >= low; i-- {
		members = append(members, `"k`+strconv.Itoa(i)+`":`+strconv.Itoa(v))
	}
	return strings.Join(members, ",")
}

func TestUpsertReplaces(t *testing.T) {
	t.Parallel()
	heard := &listener{}
	e := start(t, owner.Options{MaxArray: 2}, heard)
	apply(t, e, upsert("a", `{"x":1,"_seq":"7:1","l":[1,2,3]}`))
	same(t, "first", stored(t, e, "a"), `{"x":1,"l":[2,3]}`)
	apply(t, e, upsert("a", `{"y":[[1,2,3]]}`))
	same(t, "second", stored(t, e, "a"), `{"y":[[2,3]]}`)
	changes := heard.take()
	if len(changes) != 2 || changes[1].Old != changes[0].New || changes[1].Op != entity.OpUpsert || changes[1].Patch != nil {
		t.Errorf("changes: %+v", changes)
	}
}

func TestBigIntegers(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, number, wire string }{
		{"F24 the last that JavaScript is sure of", `9007199254740991`, ``},
		{"F25 the first that it is not", `9007199254740992`, `"9007199254740992"`},
		{"F26 the lowest", `-9007199254740991`, ``},
		{"F26 below the lowest", `-9007199254740992`, `"-9007199254740992"`},
		{"F27 unsigned 64 bit, in an array in an object", `{"a":[1,18446744073709551615]}`, `{"a":[1,"18446744073709551615"]}`},
		{"F28 no integers", `[1.5,1e3,9007199254740993.0,90071992547409930E0,true,null]`, ``},
		{"F29 2^65", `36893488147419103232`, `"36893488147419103232"`},
		{"in strings and keys", `{"9007199254740993":"9007199254740993"}`, ``},
		{"one after the other", `[10000000000000000,-10000000000000000,1]`, `["10000000000000000","-10000000000000000",1]`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			heard := &listener{}
			e := start(t, owner.Options{MaxArray: 6}, heard)
			data := `{"l":` + test.number + `}`
			wire := data
			if test.wire != "" {
				wire = `{"l":` + test.wire + `}`
			}
			apply(t, e, patch("a", data))
			c := heard.last(t)
			same(t, "stored", without(t, c.New.Data, c.Seq), data)
			same(t, "in snapshots", without(t, c.New.Wire(), c.Seq), wire)
			same(t, "live", without(t, c.Patch, c.Seq), wire)
			if test.wire == "" && &c.New.Wire()[0] != &c.New.Data[0] {
				t.Error("the wire form is a copy")
			}
			apply(t, e, patch("a", `{"n":1}`))
			c = heard.last(t)
			same(t, "in snapshots, after another change", without(t, c.New.Wire(), c.Seq), strings.TrimSuffix(wire, "}")+`,"n":1}`)
			apply(t, e, patch("a", `{"l":0}`))
			c = heard.last(t)
			if &c.New.Wire()[0] != &c.New.Data[0] {
				t.Error("the wire form is a copy when the big integer has gone")
			}
		})
	}
}

func TestBigIntegersOfLongArrays(t *testing.T) {
	t.Parallel()
	heard := &listener{}
	e := start(t, owner.Options{MaxArray: 1}, heard)
	apply(t, e, patch("a", `{"l":[9007199254740993,2]}`, "l"))
	c := heard.last(t)
	same(t, "stored", without(t, c.New.Wire(), c.Seq), `{"l":[2]}`)
	same(t, "live", without(t, c.Patch, c.Seq), `{"l":["9007199254740993",2]}`)
}

func TestWireOfVersionsThatOthersMake(t *testing.T) {
	t.Parallel()
	v := &entity.Version{Data: []byte(`{"sum":9007199254740993}`)}
	same(t, "wire", string(v.Wire()), `{"sum":"9007199254740993"}`)
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return `{"a":` + strings.Repeat(`[`, n-1) + strings.Repeat(`]`, n-1) + `}` }
	large := func(n int) string { return `{"a":"` + strings.Repeat("x", n) + `"}` }
	key := func(key string) entity.Mutation { return patch(key, `{}`) }
	kind := func(name string) entity.Mutation { return entity.Mutation{Type: name, Data: []byte(`{}`)} }
	tests := []struct {
		name string
		bad  entity.Mutation
		want string
	}{
		{"no data", patch("a", ``), "data is not valid JSON"},
		{"bad data", upsert("a", `{"a":}`), "data is not valid JSON"},
		{"not UTF-8", upsert("a", "{\"a\":\"\xff\"}"), "data is not valid JSON"},
		{"an array", upsert("a", `[1]`), "data must be a JSON object"},
		{"null", patch("a", `null`), "data must be a JSON object"},
		{"too deep", patch("a", deep(9)), "data is nested more than 8 deep"},
		{"too deep in objects", patch("a", strings.Repeat(`{"a":`, 8)+`{}`+strings.Repeat(`}`, 8)), "data is nested more than 8 deep"},
		{"far too deep", upsert("a", deep(1_000_000)), "data is nested more than 8 deep"},
		{"too large", upsert("a", large(200)), "the entity would be larger than 200 bytes"},
		{"too large with its cursor", upsert("b", large(170)), "the entity would be larger than 200 bytes"},
		{"too large when it is merged", patch("a", large(100)[:3]+`b`+large(100)[3:]), "the entity would be larger than 200 bytes"},
		{"an append path to null", patch("a", `{"l":null}`, "l"), `append path "l": its value in data is not an array`},
		{"an append path to an object", patch("a", `{"l":{"m":{}}}`, "x", "l.m"), `append path "l.m": its value in data is not an array`},
		{"too many append paths", patch("a", `{}`, make([]string, 101)...), `more than 100 append paths`},
		{"a long key", key(strings.Repeat("k", 33)), "the key is longer than 32 bytes"},
		{"a key that is not UTF-8", key("\xff"), "the key is not UTF-8"},
		{"a long key to delete", remove(strings.Repeat("k", 33)), "the key is longer than 32 bytes"},
		{"a type without a name", kind(""), "the entity type has no name"},
		{"a type with a slash", kind("a/b"), "the name of the entity type has a slash or a control character"},
		{"a type with a control character", kind("a\x00b"), "the name of the entity type has a slash or a control character"},
		{"a type with a long name", kind(strings.Repeat("t", 201)), "the name of the entity type is longer than 200 bytes"},
		{"a type that is not UTF-8", kind("\xff"), "the name of the entity type is not UTF-8"},
		{"an unknown operation", entity.Mutation{Type: "Auction", Op: 7, Data: []byte(`{}`)}, "the operation is unknown"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			heard := &listener{}
			e := start(t, owner.Options{MaxDepth: 8, MaxSize: 200, MaxKey: 32}, heard)
			apply(t, e, upsert("a", large(80)), upsert("gone", `{}`), remove("gone"))
			before := get(e, "a")
			heard.take()
			err := refused(t, e, patch("a", `{"x":1}`), upsert("new", `{}`), remove("a"), patch("a", `{"y":1}`), upsert("gone", `{}`),
				entity.Mutation{Type: "Other", Key: "o", Data: []byte(`{}`)}, upsert("a", large(80)), test.bad)
			same(t, "refusal", err, &entity.Error{Index: 7, Message: test.want})
			if get(e, "a") != before || get(e, "new") != nil || get(e, "gone") != nil || e.Find("app", "Other") != nil || len(heard.take()) > 0 {
				t.Error("the refused batch changed something")
			}
			apply(t, e, patch("a", `{"x":2}`))
			same(t, "afterwards", stored(t, e, "a"), strings.TrimSuffix(large(80), "}")+`,"x":2}`)
			if c := heard.last(t); c.Number != before.Number+3 || c.Old != before {
				t.Errorf("the change after it has number %d, want %d", c.Number, before.Number+3)
			}
		})
	}
}

func TestRefusedBatches(t *testing.T) {
	t.Parallel()
	e := start(t, owner.Options{MaxBatch: 2, MaxWaiting: 2000}, idle{})
	for want, b := range map[string]*entity.Batch{
		"the batch has no mutations":                   {},
		"the batch has more than 2 mutations":          batch(remove("a"), remove("a"), remove("a")),
		"the batch is larger than 2000 bytes":          batch(upsert("a", `{"a":"`+strings.Repeat("x", 2000)+`"}`)),
		"the idempotency key is longer than 200 bytes": {App: "app", Mutations: []entity.Mutation{remove("a")}, IdempotencyKey: strings.Repeat("k", 201)},
		"the idempotency key is not UTF-8":             {App: "app", Mutations: []entity.Mutation{remove("a")}, IdempotencyKey: "\xff"},
	} {
		_, err := e.Apply(t.Context(), b)
		same(t, want, err, error(&entity.Error{Index: -1, Message: want}))
	}
}

func TestLimitsAreReachable(t *testing.T) {
	t.Parallel()
	e := start(t, owner.Options{MaxDepth: 3, MaxKey: 4}, idle{})
	apply(t, e, upsert("", `{}`), upsert("käx", `{"a":[[1]]}`), patch("b", `{"a":{"b":{}}}`, "none", "a.c"))
	same(t, "the empty key", stored(t, e, ""), `{}`)
	same(t, "three deep", stored(t, e, "b"), `{"a":{"b":{}}}`)
}
