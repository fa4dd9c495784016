package jsonscan_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/jsonscan"
)

// entity is of the size that views hold.
const entity = `{"title":"Lamp of brass, with shade","status":"open","seller":{"id":"u-17","name":"Ada"},` +
	`"tags":["brass","light"],"bid":{"amount":120.5,"by":"u-9"},"open":true,"_seq":"1893450000123:000000000007"}`

func TestLookup(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, path, want string }{
		"a member":                          {entity, "status", `"open"`},
		"a member of a member":              {entity, "bid.amount", `120.5`},
		"the last member":                   {entity, "_seq", `"1893450000123:000000000007"`},
		"a whole object":                    {entity, "bid", `{"amount":120.5,"by":"u-9"}`},
		"a missing member":                  {entity, "bid.currency", ``},
		"a missing object":                  {entity, "offer.amount", ``},
		"through a string":                  {entity, "title.a", ``},
		"through an array":                  {entity, "tags.0", ``},
		"through an array of objects":       {`{"a":[{"b":1}]}`, "a.b", ``},
		"the beginning of a key":            {`{"ab":1,"abc":2}`, "a", ``},
		"null is found":                     {`{"a":null}`, "a", `null`},
		"an empty name":                     {`{"":{"":1}}`, ".", `1`},
		"an empty object":                   {`{}`, "a", ``},
		"of something that is no object":    {`[1]`, "a", ``},
		"space between tokens":              {"{ \"x\" : [ 1 , 2 ] ,\n\"a\" :\t{ \"b\" : 7 } }", "a.b", `7`},
		"a key in escapes":                  {`{"\u0061\n":1}`, "a\n", `1`},
		"a key whose text has a backslash":  {`{"a\\":1,"b":2}`, `a\`, `1`},
		"a key whose escapes read as it":    {`{"\\n":1}`, `\\n`, ``},
		"quotes and brackets in strings":    {`{"x":"\"}]{","y":["}"],"a":1}`, "a", `1`},
		"a backslash at the end of strings": {`{"x":"\\","a":1}`, "a", `1`},
		"the first of equal keys":           {`{"a":1,"a":2}`, "a", `1`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, ok := jsonscan.Parse([]byte(c.text))
			if !ok {
				t.Fatal("the case is not JSON")
			}
			if diff := cmp.Diff(c.want, string(v.Lookup(strings.Split(c.path, ".")))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if got := jsonscan.Value(nil).Lookup([]string{"a"}); got != nil {
		t.Errorf("found %q in nothing", got)
	}
	if got := jsonscan.Value(entity).Lookup(nil); string(got) != entity {
		t.Errorf("an empty path: got %q, want everything", got)
	}
}

// FuzzLookup holds every member, however deep, against a walk with encoding/json.
func FuzzLookup(f *testing.F) {
	for _, seed := range []string{entity, `{"a":{"b\"":[{"c":1}]," ":{}},"\ud83d\ude00":"\\"}`, ` { "a" : [ ] } `, `{"\ud800":1}`, `7`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if v, ok := jsonscan.Parse(text); ok {
			sameMembers(t, v, v, nil)
		}
	})
}

func sameMembers(t *testing.T, whole, v jsonscan.Value, path []string) {
	t.Helper()
	seen := map[string]bool{}
	n := 0
	for key, value := range v.Entries() {
		n++
		var name string
		if err := json.Unmarshal(key, &name); err != nil {
			t.Fatalf("key %q: %v", key, err)
		}
		if !key.Means(name) || key.Means(name+"x") || key.Means("x"+name) {
			t.Fatalf("%q means %q, which Means denies", key, name)
		}
		if seen[name] {
			continue
		}
		seen[name] = true
		at := append(slices.Clip(path), name)
		if got := whole.Lookup(at); string(got) != string(value) {
			t.Fatalf("%q at %q: got %q, want %q", whole, at, got, value)
		}
		sameMembers(t, whole, value, at)
	}
	var members map[string]json.RawMessage
	if v.Kind() == jsonscan.Object && json.Unmarshal(v, &members) == nil && len(members) != len(seen) {
		t.Fatalf("%q: got %d members, %d names, want %d", v, n, len(seen), len(members))
	}
}

func TestLookupAllocs(t *testing.T) {
	path := []string{"bid", "amount"}
	v := jsonscan.Value(entity)
	if n := testing.AllocsPerRun(100, func() { v.Lookup(path) }); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func BenchmarkLookup(b *testing.B) {
	for name, path := range map[string][]string{"near": {"status"}, "deep": {"bid", "amount"}, "last": {"_seq"}, "missing": {"none"}} {
		b.Run("member="+name, func(b *testing.B) {
			b.ReportAllocs()
			v := jsonscan.Value(entity)
			for b.Loop() {
				v.Lookup(path)
			}
		})
	}
}
