package query_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/internal/query"
)

const everyAggregate = `"aggregate":{"rows":{"op":"count"},"n":{"op":"count","field":"a.b"},"sum":{"op":"sum","field":"a.b"},` +
	`"min":{"op":"min","field":"a.b"},"max":{"op":"max","field":"a.b"},"avg":{"op":"avg","field":"a.b"}}`

func TestTotals(t *testing.T) {
	t.Parallel()
	type rows []string
	for name, c := range map[string]struct {
		add, remove rows
		want        string
	}{
		"no rows":                           {nil, nil, `{"rows":0,"n":0,"sum":0,"min":null,"max":null,"avg":null}`},
		"integers":                          {rows{"1", "2", "6"}, nil, `{"rows":3,"n":3,"sum":9,"min":1,"max":6,"avg":3}`},
		"decimals do not drift":             {rows{"0.1", "0.2", "0.30"}, rows{"0.3"}, `{"rows":2,"n":2,"sum":0.3,"min":0.1,"max":0.2,"avg":0.15}`},
		"removing everything leaves zero":   {rows{"0.1", "1e300", "-7e-300", "x"}, rows{"1e300", "0.1", "x", "-7e-300"}, `{"rows":0,"n":0,"sum":0,"min":null,"max":null,"avg":null}`},
		"null counts as a row only":         {rows{"null", "5"}, nil, `{"rows":2,"n":1,"sum":5,"min":5,"max":5,"avg":5}`},
		"missing counts as a row only":      {rows{"", "5"}, nil, `{"rows":2,"n":1,"sum":5,"min":5,"max":5,"avg":5}`},
		"booleans and objects are present":  {rows{"true", "{}", "[]"}, nil, `{"rows":3,"n":3,"sum":0,"min":null,"max":null,"avg":null}`},
		"text has no sum":                   {rows{`"b"`, `"a"`}, nil, `{"rows":2,"n":2,"sum":0,"min":"a","max":"b","avg":null}`},
		"numbers are below text":            {rows{`""`, "1e50", "-1"}, nil, `{"rows":3,"n":3,"sum":"99999999999999999999999999999999999999999999999999","min":-1,"max":"","avg":"49999999999999999999999999999999999999999999999999"}`},
		"equal values in other words":       {rows{"1.0", "1", "10e-1"}, rows{"1.00"}, `{"rows":2,"n":2,"sum":2,"min":1,"max":1,"avg":1}`},
		"text in escapes":                   {rows{`"\u0061\""`}, nil, `{"rows":1,"n":1,"sum":0,"min":"a\"","max":"a\"","avg":null}`},
		"F24 integers within 2^53":          {rows{"9007199254740991"}, nil, `{"rows":1,"n":1,"sum":9007199254740991,"min":9007199254740991,"max":9007199254740991,"avg":9007199254740991}`},
		"F25 integers beyond are text":      {rows{"9007199254740991", "1"}, rows{"1"}, `{"rows":1,"n":1,"sum":9007199254740991,"min":9007199254740991,"max":9007199254740991,"avg":9007199254740991}`},
		"F26 negative ones too":             {rows{"-9007199254740992"}, nil, `{"rows":1,"n":1,"sum":"-9007199254740992","min":"-9007199254740992","max":"-9007199254740992","avg":"-9007199254740992"}`},
		"F29 beyond 64 bits":                {rows{"36893488147419103232", "36893488147419103230"}, nil, `{"rows":2,"n":2,"sum":"73786976294838206462","min":"36893488147419103230","max":"36893488147419103232","avg":"36893488147419103231"}`},
		"the mean of thirds":                {rows{"1", "0", "0"}, nil, `{"rows":3,"n":3,"sum":1,"min":0,"max":1,"avg":0.3333333333333333}`},
		"small numbers":                     {rows{"0.0000001", "1e-9"}, nil, `{"rows":2,"n":2,"sum":0.000000101,"min":1e-9,"max":0.0000001,"avg":5.05e-8}`},
		"powers that do not take part":      {rows{"1e500", "2", "1e-401"}, nil, `{"rows":3,"n":3,"sum":2,"min":1e-401,"max":1e500,"avg":1}`},
		"digits beyond those of a word":     {rows{"0.12345678901234567890123", "-0.00000000000000000000123"}, nil, `{"rows":2,"n":2,"sum":0.1234567890123456789,"min":-1.23e-21,"max":0.12345678901234567890123,"avg":0.06172839450617284}`},
		"digits below those that take part": {rows{"1.2345678901234567890123e-390", "9e-401"}, nil, `{"rows":2,"n":2,"sum":1.2345678901e-390,"min":9e-401,"max":1.2345678901234567890123e-390,"avg":0}`},
		"a half of an odd number past 2^53": {rows{"9007199254740993", "0"}, nil, `{"rows":2,"n":2,"sum":"9007199254740993","min":0,"max":"9007199254740993","avg":4503599627370496}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			totals := plan(t, view(everyAggregate)).NewTotals()
			for _, v := range c.add {
				totals.Add(row(v))
			}
			for _, v := range c.remove {
				totals.Remove(row(v))
			}
			if diff := cmp.Diff(c.want, string(totals.AppendJSON(nil))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// row is an entity with a value at a.b; of no value without it.
func row(value string) []byte {
	if value == "" {
		return []byte(`{"a":{}}`)
	}
	return fmt.Appendf(nil, `{"a":{"b":%s}}`, value)
}

// TestTotalsAgreeWithARecount adds and removes at random.
func TestTotalsAgreeWithARecount(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		totals := plan(t, view(everyAggregate)).NewTotals()
		var rows []string
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				v := rapid.OneOf(anyValue(), rapid.SampledFrom([]string{"", "0.1", "-0.1", "1e-399", "1.5e-400", "3e399"})).Draw(t, "value")
				rows = append(rows, v)
				totals.Add(row(v))
			},
			"remove": func(t *rapid.T) {
				if len(rows) == 0 {
					t.Skip()
				}
				i := rapid.IntRange(0, len(rows)-1).Draw(t, "row")
				totals.Remove(row(rows[i]))
				rows = slices.Delete(rows, i, i+1)
			},
			"": func(t *rapid.T) { recount(t, rows, totals.AppendJSON(nil)) },
		})
		for _, v := range rows {
			totals.Remove(row(v))
		}
		recount(t, nil, totals.AppendJSON(nil))
	})
}

func recount(t *rapid.T, rows []string, got []byte) {
	t.Helper()
	present, numbers, sum := 0, 0, new(big.Rat)
	var least, most any
	for _, text := range rows {
		if text == "" || text == "null" {
			continue
		}
		present++
		v := decode(t, []byte(text))
		if n, ok := v.(json.Number); ok {
			numbers++
			sum.Add(sum, cut(rat(n)))
		}
		if class(v) < 3 {
			continue
		}
		if least == nil || place(v, least) < 0 {
			least = v
		}
		if most == nil || place(v, most) > 0 {
			most = v
		}
	}
	var shown map[string]json.RawMessage
	if err := json.Unmarshal(got, &shown); err != nil {
		t.Fatalf("%s: %v", got, err)
	}
	if string(shown["rows"]) != strconv.Itoa(len(rows)) || string(shown["n"]) != strconv.Itoa(present) {
		t.Fatalf("%q: got %s", rows, got)
	}
	sameNumber(t, rows, shown["sum"], sum)
	if numbers == 0 {
		if string(shown["avg"]) != "null" {
			t.Fatalf("%q: got a mean of %s, want null", rows, shown["avg"])
		}
	} else {
		mean := new(big.Rat).Quo(sum, big.NewRat(int64(numbers), 1))
		if whole := new(big.Int).Quo(mean.Num(), mean.Denom()); whole.BitLen() > 53 {
			mean.SetInt(whole)
		} else if f, _ := mean.Float64(); true {
			mean.SetString(fmt.Sprint(f))
		}
		sameNumber(t, rows, shown["avg"], mean)
	}
	sameValue(t, rows, shown["min"], least)
	sameValue(t, rows, shown["max"], most)
}

// cut is r without digits below 10^-400.
func cut(r *big.Rat) *big.Rat {
	unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(400), nil)
	n := new(big.Int).Mul(r.Num(), unit)
	return new(big.Rat).SetFrac(n.Quo(n, r.Denom()), unit)
}

func sameValue(t *rapid.T, rows []string, got json.RawMessage, want any) {
	t.Helper()
	if n, ok := want.(json.Number); ok {
		sameNumber(t, rows, got, rat(n))
		return
	}
	if !equal(decode(t, got), want) {
		t.Fatalf("%q: got %s, want %v", rows, got, want)
	}
}

// sameNumber also checks that exactly the integers beyond 2^53-1 are strings.
func sameNumber(t *rapid.T, rows []string, got json.RawMessage, want *big.Rat) {
	t.Helper()
	text := strings.Trim(string(got), `"`)
	isBig := want.IsInt() && new(big.Int).Abs(want.Num()).Cmp(big.NewInt(1<<53-1)) > 0
	if rat(json.Number(text)).Cmp(want) != 0 || strings.HasPrefix(string(got), `"`) != isBig {
		t.Fatalf("%q: got %s, want %s", rows, got, want.FloatString(30))
	}
}

func BenchmarkTotals(b *testing.B) {
	for _, op := range []string{query.Sum, query.Avg, query.Max} {
		b.Run("op="+op, func(b *testing.B) {
			totals := plan(b, view(fmt.Sprintf(`"aggregate":{"a":{"op":%q,"field":"bid.amount"}}`, op))).NewTotals()
			for i := range 100_000 {
				totals.Add(fmt.Appendf(nil, `{"bid":{"amount":%d.25}}`, i))
			}
			data := []byte(lot)
			b.ReportAllocs()
			for b.Loop() {
				totals.Add(data)
				totals.Remove(data)
			}
		})
	}
}
