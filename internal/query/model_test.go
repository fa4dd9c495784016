package query_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"math/big"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/query"
)

// The naive model: everything decoded, numbers as fractions.

// failer is what tests, benchmarks and random tests have in common.
type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func decode(t failer, text []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return v
}

func at(v any, path string) (any, bool) {
	for name := range strings.SplitSeq(path, ".") {
		object, _ := v.(map[string]any)
		value, ok := object[name]
		if !ok {
			return nil, false
		}
		v = value
	}
	return v, true
}

func rat(n json.Number) *big.Rat {
	r, ok := new(big.Rat).SetString(string(n))
	if !ok {
		panic("not a number: " + n)
	}
	return r
}

func equal(a, b any) bool {
	switch a := a.(type) {
	case json.Number:
		b, ok := b.(json.Number)
		return ok && rat(a).Cmp(rat(b)) == 0
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, equal)
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, b, equal)
	}
	switch b.(type) {
	case []any, map[string]any:
		return false
	}
	return a == b
}

// order compares within a class.
func order(a, b any) (int, bool) {
	switch a := a.(type) {
	case json.Number:
		if b, ok := b.(json.Number); ok {
			return rat(a).Cmp(rat(b)), true
		}
	case string:
		if b, ok := b.(string); ok {
			return cmp.Compare(a, b), true
		}
	case bool:
		if b, ok := b.(bool); ok {
			return cmp.Compare(class(a), class(b)), true
		}
	}
	return 0, false
}

func class(v any) int {
	switch v := v.(type) {
	case bool:
		if v {
			return 2
		}
		return 1
	case json.Number:
		return 3
	case string:
		return 4
	}
	return 0
}

// place compares as views 5.4 orders values.
func place(a, b any) int {
	if c := cmp.Compare(class(a), class(b)); c != 0 {
		return c
	}
	c, _ := order(a, b)
	return c
}

func matches(filter, doc any) bool {
	f := filter.(map[string]any)
	if and, ok := f["and"]; ok {
		return !slices.ContainsFunc(and.([]any), func(f any) bool { return !matches(f, doc) })
	}
	if or, ok := f["or"]; ok {
		return slices.ContainsFunc(or.([]any), func(f any) bool { return matches(f, doc) })
	}
	if not, ok := f["not"]; ok {
		return !matches(not, doc)
	}
	v, found := at(doc, f["field"].(string))
	want := f["value"]
	c, isOrdered := order(v, want)
	switch f["op"].(string) {
	case "exists":
		return found == (want != false)
	case "eq":
		return equal(v, want)
	case "ne":
		return !equal(v, want)
	case "in":
		return slices.ContainsFunc(want.([]any), func(w any) bool { return equal(v, w) })
	case "gt":
		return isOrdered && c > 0
	case "gte":
		return isOrdered && c >= 0
	case "lt":
		return isOrdered && c < 0
	default:
		return isOrdered && c <= 0
	}
}

// isPlain reports whether the model can judge v: no equal keys, no powers that fill memory.
func isPlain(v jsonscan.Value) bool {
	seen := map[string]bool{}
	for key, value := range v.Entries() {
		name := key.Text()
		if seen[name] || !isPlain(value) {
			return false
		}
		seen[name] = true
	}
	for e := range v.Elements() {
		if !isPlain(e) {
			return false
		}
	}
	_, power, ok := strings.Cut(strings.ToLower(string(v)), "e")
	return v.Kind() != jsonscan.Number || !ok || len(strings.TrimLeft(power, "+-0")) <= 3
}

func plan(t failer, definition string) *query.Plan {
	t.Helper()
	d, err := query.Parse([]byte(definition))
	if err != nil {
		t.Fatal(err)
	}
	p, err := query.Compile(d)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// view is a definition with the given further members.
func view(members string) string {
	return `{"id":"Auction/top","source":"Auction/list",` + members + `}`
}
