package query_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/internal/query"
)

// ranked are the keys of entities in the order of a view, ties by key.
func ranked(p *query.Plan, entities map[string]string) string {
	keys := make([]string, 0, len(entities))
	for key := range entities {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b string) int {
		return cmp.Or(p.SortKey([]byte(entities[a]), 1).Compare(p.SortKey([]byte(entities[b]), 1)), cmp.Compare(a, b))
	})
	return strings.Join(keys, " ")
}

func TestSortKeyOrdersAViewAsItsReference(t *testing.T) {
	t.Parallel()
	amount := func(values ...string) map[string]string {
		entities := map[string]string{}
		for i := 0; i < len(values); i += 2 {
			entities[values[i]] = `{"bid":{"amount":` + values[i+1] + `}}`
		}
		return entities
	}
	with := func(entities map[string]string, key, data string) map[string]string {
		entities[key] = data
		return entities
	}
	const top = `"sort":[{"field":"bid.amount","order":"desc"}]`
	const rising = `"sort":[{"field":"bid.amount"}]`
	classes := func() map[string]string {
		return with(amount("null", "null", "false", "false", "true", "true", "0", "-1", "1", "1.5", "text", `""`, "xtext", `"x"`, "array", "[9]", "object", `{"a":1}`), "missing", `{}`)
	}
	for name, c := range map[string]struct {
		view     string
		entities map[string]string
		want     string
	}{
		"D01 amounts fall":                                {top, amount("a", "1", "b", "2", "c", "3", "d", "4"), "d c b a"},
		"D14 ties are by key, also descending":            {top, amount("x", "5", "m", "5.0", "b", "50e-1"), "b m x"},
		"D14 ties are by key, ascending":                  {rising, amount("x", "5", "m", "5.0", "b", "50e-1"), "b m x"},
		"D15 without the field is last, descending":       {top, with(amount("a", "-1", "b", "false"), "c", `{"title":"Lamp"}`), "a b c"},
		"D15 without the field is first, ascending":       {rising, with(amount("a", "-1", "b", "false"), "c", `{"title":"Lamp"}`), "c b a"},
		"D16 titles fall":                                 {top, amount("a", `"Lamp"`, "b", `"Lamp shade"`, "c", `"Bell"`, "d", `"Lam"`), "b a d c"},
		"D17 9007199254740993 is above 5":                 {top, amount("big", "9007199254740993", "small", "5"), "big small"},
		"D17 and between its neighbours":                  {top, amount("a", "9007199254740993", "b", "9007199254740992", "c", "9007199254740994"), "c a b"},
		"D18 2.5 is above 2":                              {top, amount("a", "2", "b", "2.5"), "b a"},
		"D20 an amount that a merge leaves keeps a place": {top, amount("a", "1", "d", "4", "b", "2"), "d b a"},
		"D21 an amount of null goes last":                 {top, amount("a", "1", "d", "null", "b", "2"), "b a d"},
		"classes rise":                                    {rising, classes(), "array missing null object false true 0 1 text xtext"},
		"classes fall":                                    {top, classes(), "xtext text 1 0 true false array missing null object"},
		"numbers of 36 digits": {rising, amount(
			"a", "-100000000000000000000000000000000002", "b", "-100000000000000000000000000000000001", "c", "-100000000000000000000000000000000000",
			"d", "100000000000000000000000000000000000", "e", "100000000000000000000000000000000001", "f", "100000000000000000000000000000000001.5",
		), "a b c d e f"},
		"powers beyond the bounds":          {top, amount("a", "1e9999", "b", "1.5e55", "c", "1e56", "d", "1e-41", "e", "0", "f", "-1e-9999", "g", "-1e-40", "h", "-1e100"), "a c b d e f g h"},
		"negative powers beyond the bounds": {rising, amount("a", "-1e101", "b", "-1.55e100", "c", "-1.5e100", "d", "-1e-41", "e", "-1.2e-42", "f", "-1e-42"), "a b c d e f"},
		"and falling":                       {top, amount("a", "-1e101", "b", "-1.55e100", "c", "-1.5e100", "d", "-1e-41", "e", "-1.2e-42", "f", "-1e-42"), "f e d c b a"},
		"rounded up to the bounds":          {top, amount("a", "1e56", "b", "9.99999999999999999995e55", "c", "-9.99999999999999999995e55", "d", "-1e56"), "a b c d"},
		"rounded down to the bounds":        {rising, amount("a", "1e56", "b", "9.99999999999999999995e55", "c", "-9.99999999999999999995e55", "d", "-1e56"), "d c b a"},
		"a power beyond the bounds before another field": {
			`"sort":[{"field":"a"},{"field":"b"}]`,
			map[string]string{"p": `{"a":1e60,"b":"z"}`, "q": `{"a":1.1e60,"b":0}`, "r": `{"a":-1e-60,"b":"z"}`, "s": `{"a":-1.1e-60,"b":"z"}`},
			"s r p q",
		},
		"two fields": {
			`"sort":[{"field":"a"},{"field":"b","order":"desc"}]`,
			map[string]string{"p": `{"a":1,"b":"x"}`, "q": `{"a":1,"b":"xy"}`, "r": `{"a":1}`, "s": `{"a":0,"b":5}`, "t": `{"b":5}`, "u": `{"a":"z"}`},
			"t s q p r u",
		},
		"no field is the beginning of the next": {
			`"sort":[{"field":"a"},{"field":"b"}]`,
			map[string]string{"1": `{"a":"aaaaaaaab","b":0}`, "2": `{"a":"aaaaaaaa","b":"z"}`, "3": `{"a":"aaaaaaaa\u0000","b":0}`, "4": `{"a":"aaaaaaa","b":1}`},
			"4 2 3 1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := gocmp.Diff(c.want, ranked(plan(t, view(c.view)), c.entities)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSortKeyWithoutSortIsLatestFirst(t *testing.T) {
	t.Parallel()
	p := plan(t, view(`"limit":3`))
	older, newer := p.SortKey([]byte(lot), 7), p.SortKey([]byte(`{}`), 8)
	if newer.Compare(older) >= 0 || newer.Rest != "" {
		t.Errorf("got %v for the newer, %v for the older", newer, older)
	}
}

// anyNumber draws numbers that are close to each other in every way that matters.
func anyNumber() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		sign := rapid.SampledFrom([]string{"", "-"}).Draw(t, "sign")
		whole := rapid.SampledFrom([]string{"0", "1", "9", "10", "99999999999999999", "10000000000000000", "12345678901234567", "9007199254740993", "18446744073709551616", "36893488147419103232"}).Draw(t, "whole")
		text := sign + whole
		if rapid.Bool().Draw(t, "has a fraction") {
			text += "." + rapid.StringMatching(`(0|00000|0{17})?[0-9]{1,3}`).Draw(t, "fraction")
		}
		if rapid.Bool().Draw(t, "has a power") {
			text += rapid.SampledFrom([]string{"e0", "E+1", "e-1", "e17", "e-17", "e-40", "e-41", "e-56", "e-57", "e-58", "e38", "e39", "e40", "e54", "e55", "e56", "e300", "e-300"}).Draw(t, "power")
		}
		return text
	})
}

// nearNumber draws numbers that agree in the 17 digits of a prefix, or nearly.
func nearNumber() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		sign := rapid.SampledFrom([]string{"", "-"}).Draw(t, "sign")
		head := rapid.SampledFrom([]string{"12345678901234567", "12345678901234568", "99999999999999999", "10000000000000000"}).Draw(t, "head")
		tail := rapid.StringMatching(`[0159]{0,3}`).Draw(t, "tail")
		return sign + head[:1] + "." + head[1:] + tail + rapid.SampledFrom([]string{"", "", "e1", "e-1", "e55", "e56", "e-40", "e-41"}).Draw(t, "power")
	})
}

func anyText() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		return `"` + rapid.SampledFrom([]string{"", "aaaaaa"}).Draw(t, "head") + rapid.StringMatching(`(a|b|\\u0000|ÿ|\x{10ffff}|\\u00ff){0,5}`).Draw(t, "text") + `"`
	})
}

func anyValue() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom([]string{"null", "true", "false", "[]", `{"a":1}`, `""`}),
		anyNumber(), nearNumber(), nearNumber(), anyText(), anyText(),
	)
}

// anyEntity draws entities that often differ only behind the digits of head.
func anyEntity(head string) *rapid.Generator[string] {
	near := rapid.Custom(func(t *rapid.T) string { return head + rapid.StringMatching(`[0159]{0,3}`).Draw(t, "tail") })
	return rapid.Custom(func(t *rapid.T) string {
		var members []string
		for _, name := range []string{"a", "b", "c"} {
			if rapid.IntRange(0, 9).Draw(t, "has") > 0 {
				members = append(members, fmt.Sprintf("%q:%s", name, rapid.OneOf(near, near, anyValue()).Draw(t, name)))
			}
		}
		return "{" + strings.Join(members, ",") + "}"
	})
}

// TestSortKeyAgreesWithTheModel: since the model is a total order, so is that of the keys.
func TestSortKeyAgreesWithTheModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		orders := rapid.SliceOfN(rapid.SampledFrom([]string{"asc", "desc"}), 1, 3).Draw(t, "orders")
		sorts := make([]string, len(orders))
		for i, o := range orders {
			sorts[i] = fmt.Sprintf(`{"field":%q,"order":%q}`, "abc"[i:i+1], o)
		}
		p := plan(t, view(`"sort":[`+strings.Join(sorts, ",")+`]`))
		entities := rapid.SliceOfN(anyEntity(rapid.SampledFrom([]string{"0.12345678901234567", "-1234567890.1234567"}).Draw(t, "head")), 2, 20).Draw(t, "entities")
		docs := make([]any, len(entities))
		for i, e := range entities {
			docs[i] = decode(t, []byte(e))
		}
		for i, a := range entities {
			for j, b := range entities {
				want := 0
				for k, o := range orders {
					x, _ := at(docs[i], "abc"[k:k+1])
					y, _ := at(docs[j], "abc"[k:k+1])
					if want = place(x, y); o == "desc" {
						want = -want
					}
					if want != 0 {
						break
					}
				}
				keyA, keyB := p.SortKey([]byte(a), 1), p.SortKey([]byte(b), 2)
				if got := keyA.Compare(keyB); sign(got) != want {
					t.Fatalf("%v: %s and %s: got %d, want %d\n%x\n%x", orders, a, b, got, want, keyA, keyB)
				}
			}
		}
	})
}

// TestSortKeyRest: what the package comment promises of the memory of a key.
func TestSortKeyRest(t *testing.T) {
	t.Parallel()
	for _, order := range []string{"asc", "desc"} {
		p := plan(t, view(`"sort":[{"field":"a","order":"`+order+`"}]`))
		for value, want := range map[string]bool{
			"null": true, "true": true, "[]": true, "0": true, "-0.0": true, "19.99": true, "0.30000000000000004": true, "9007199254740993": true,
			"1e-40": true, "-9.9999999999999999e55": true, "1893450000123": true, "12345678901234567000000": true, "123456789012345678": false,
			"1e56": false, "9e-41": false, `"seven b"`: true, `"eight by"`: false, `"\u0061\u0062\u0063"`: true,
		} {
			if rest := p.SortKey([]byte(`{"a":`+value+`}`), 1).Rest; (rest == "") != want {
				t.Errorf("%s %s: got a rest of %q, want none: %v", order, value, rest, want)
			}
		}
	}
}

func TestSortKeyAllocs(t *testing.T) {
	p := plan(t, view(`"sort":[{"field":"bid.amount","order":"desc"}]`))
	data := []byte(lot)
	if n := testing.AllocsPerRun(100, func() { p.SortKey(data, 1) }); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func BenchmarkSortKey(b *testing.B) {
	for _, c := range []struct{ name, sort string }{
		{"number", `{"field":"bid.amount","order":"desc"}`},
		{"string", `{"field":"title"}`},
		{"string-and-number", `{"field":"status"},{"field":"bid.amount","order":"desc"}`},
	} {
		b.Run("by="+c.name, func(b *testing.B) {
			p := plan(b, view(`"sort":[`+c.sort+`]`))
			data := []byte(lot)
			b.ReportAllocs()
			for b.Loop() {
				p.SortKey(data, 1)
			}
		})
	}
}

func sign(n int) int { return cmp.Compare(n, 0) }
