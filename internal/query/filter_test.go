package query_test

import (
	"encoding/json"
	"testing"

	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/query"
)

// lot is an entity of the size that views hold.
const lot = `{"title":"Lamp of brass, with shade","status":"open","seller":{"id":"u-17","name":"Ada"},` +
	`"tags":["brass","light"],"bid":{"amount":120.5,"by":"u-9"},"open":true,"_seq":"1893450000123:000000000007"}`

func TestMatches(t *testing.T) {
	t.Parallel()
	const doc = `{"n":1,"f":2.50,"big":9007199254740993,"huge":1e400,"zero":-0.0,"s":"open","e":"a\u0000\"b","b":true,"null":null,` +
		`"o":{"x":{"y":[1,{"z":null}],"a":1.0}},"l":["a",1,{"k":2}],"a.b":1,"10":{"0":"t"}}`
	for name, c := range map[string]struct {
		filter string
		want   bool
	}{
		"eq is by value":                          {`{"field":"n","op":"eq","value":1.0}`, true},
		"eq takes any spelling of a number":       {`{"field":"n","op":"eq","value":10e-1}`, true},
		"eq with zeros at the end":                {`{"field":"f","op":"eq","value":2.5}`, true},
		"zero has no sign":                        {`{"field":"zero","op":"eq","value":0}`, true},
		"eq beyond 2^53 is exact":                 {`{"field":"big","op":"eq","value":9007199254740992}`, false},
		"eq finds big integers":                   {`{"field":"big","op":"eq","value":9007199254740993.0}`, true},
		"a number is not its text":                {`{"field":"n","op":"eq","value":"1"}`, false},
		"ne of another type":                      {`{"field":"n","op":"ne","value":"1"}`, true},
		"eq of text":                              {`{"field":"s","op":"eq","value":"open"}`, true},
		"text in escapes":                         {`{"field":"s","op":"eq","value":"\u006fpen"}`, true},
		"text with zero bytes and quotes":         {`{"field":"e","op":"eq","value":"\u0061\u0000\u0022b"}`, true},
		"eq of objects ignores order":             {`{"field":"o","op":"eq","value":{"x":{"a":1,"y":[1.0,{"z":null}]}}}`, true},
		"eq of objects wants every member":        {`{"field":"o","op":"eq","value":{"x":{"a":1}}}`, false},
		"null in an object is not absence":        {`{"field":"o.x.y","op":"eq","value":[1,{}]}`, false},
		"eq of arrays keeps order":                {`{"field":"l","op":"eq","value":[1,"a",{"k":2}]}`, false},
		"eq of arrays":                            {`{"field":"l","op":"eq","value":["a",1,{"k":2}]}`, true},
		"eq of a shorter array":                   {`{"field":"l","op":"eq","value":["a",1]}`, false},
		"eq of a longer array":                    {`{"field":"l","op":"eq","value":["a",1,{"k":2},null]}`, false},
		"powers that fit no integer":              {`{"field":"n","op":"lt","value":1e18446744073709551616}`, true},
		"missing is null":                         {`{"field":"none","op":"eq","value":null}`, true},
		"missing is not false":                    {`{"field":"none","op":"eq","value":false}`, false},
		"missing ne a value":                      {`{"field":"none","op":"ne","value":1}`, true},
		"null ne null":                            {`{"field":"null","op":"ne","value":null}`, false},
		"exists":                                  {`{"field":"o.x","op":"exists"}`, true},
		"null exists":                             {`{"field":"null","op":"exists"}`, true},
		"missing does not exist":                  {`{"field":"none","op":"exists"}`, false},
		"exists false":                            {`{"field":"none","op":"exists","value":false}`, true},
		"nothing exists in an array":              {`{"field":"l.0","op":"exists"}`, false},
		"a name of digits":                        {`{"field":"10.0","op":"eq","value":"t"}`, true},
		"a name with a dot cannot be written":     {`{"field":"a.b","op":"exists"}`, false},
		"gt of numbers":                           {`{"field":"n","op":"gt","value":0.99}`, true},
		"gt is strict":                            {`{"field":"n","op":"gt","value":1}`, false},
		"gte is not":                              {`{"field":"n","op":"gte","value":1}`, true},
		"lt beyond 2^53 is exact":                 {`{"field":"big","op":"lt","value":9007199254740993.000001}`, true},
		"lte beyond 2^53 is exact":                {`{"field":"big","op":"lte","value":9007199254740992.9}`, false},
		"gt beyond every float64":                 {`{"field":"huge","op":"gt","value":9e399}`, true},
		"powers beyond all memory":                {`{"field":"n","op":"gt","value":1e-99999999999999999999}`, true},
		"gt of text is bytewise":                  {`{"field":"s","op":"gt","value":"Z"}`, true},
		"the beginning of a text is less":         {`{"field":"s","op":"gt","value":"ope"}`, true},
		"false is less than true":                 {`{"field":"b","op":"gt","value":false}`, true},
		"gte of mismatched types is false [M]":    {`{"field":"s","op":"gte","value":1}`, false},
		"lte of mismatched types is false [M]":    {`{"field":"s","op":"lte","value":1}`, false},
		"lt of nothing is false [M]":              {`{"field":"none","op":"lt","value":1}`, false},
		"gte of null is false [M]":                {`{"field":"null","op":"gte","value":false}`, false},
		"not turns a mismatch round":              {`{"not":{"field":"s","op":"lt","value":1}}`, true},
		"in":                                      {`{"field":"s","op":"in","value":["shut","open"]}`, true},
		"in finds objects":                        {`{"field":"o.x.y","op":"in","value":[null,[1,{"z":null}]]}`, true},
		"in finds null where nothing is":          {`{"field":"none","op":"in","value":[1,null]}`, true},
		"in of nothing":                           {`{"field":"s","op":"in","value":[]}`, false},
		"and wants all":                           {`{"and":[{"field":"n","op":"eq","value":1},{"field":"s","op":"eq","value":"shut"}]}`, false},
		"or wants one":                            {`{"or":[{"field":"n","op":"eq","value":2},{"field":"s","op":"eq","value":"open"}]}`, true},
		"not of and":                              {`{"not":{"and":[{"field":"n","op":"eq","value":1},{"field":"b","op":"eq","value":true}]}}`, false},
		"nothing is below what is not an object":  {`{"field":"n.x","op":"exists"}`, false},
		"a comparison with the text of a literal": {`{"field":"null","op":"eq","value":"null"}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := plan(t, view(`"filter":`+c.filter))
			if got := p.Matches("k", []byte(doc)); got != c.want {
				t.Errorf("%s: got %v, want %v", c.filter, got, c.want)
			}
		})
	}
}

func TestMatchesKeys(t *testing.T) {
	t.Parallel()
	p := plan(t, view(`"keys":["a","b"],"filter":{"field":"n","op":"gt","value":1}`))
	for _, c := range []struct {
		key, data string
		want      bool
	}{{"a", `{"n":2}`, true}, {"a", `{"n":1}`, false}, {"c", `{"n":2}`, false}, {"", `{"n":2}`, false}} {
		if got := p.Matches(c.key, []byte(c.data)); got != c.want {
			t.Errorf("%s %s: got %v, want %v", c.key, c.data, got, c.want)
		}
	}
	if !plan(t, view(`"limit":1`)).Matches("any", []byte(`{}`)) {
		t.Error("a view without filter does not match")
	}
}

func FuzzMatches(f *testing.F) {
	for _, seed := range [][2]string{
		{`{"field":"bid.amount","op":"gte","value":120}`, lot},
		{`{"or":[{"not":{"field":"a","op":"in","value":[1,"x",null]}},{"and":[{"field":"a.b","op":"ne","value":{"c":[1.0]}}]}]}`, `{"a":{"b":{"c":[1]}}}`},
		{`{"field":"a","op":"lt","value":-12345678901234567890.125e-3}`, `{"a":-12345678901234567.890125}`},
		{`{"field":"a","op":"lte","value":"x\u0000"}`, `{"a":"x"}`},
		{`{"field":"a","op":"gt","value":false}`, `{"a":true}`},
		{`{"field":"a","op":"exists","value":false}`, `{"\u0061":null}`},
	} {
		f.Add([]byte(seed[0]), []byte(seed[1]))
	}
	f.Fuzz(func(t *testing.T, filter, text []byte) {
		doc, ok := jsonscan.Parse(text)
		if !ok || doc.Kind() != jsonscan.Object || !isPlain(doc) {
			return
		}
		if v, ok := jsonscan.Parse(filter); !ok || !isPlain(v) {
			return
		}
		d, err := query.Parse([]byte(view(`"filter":` + string(filter))))
		if err != nil || d.Filter == nil {
			return
		}
		p, err := query.Compile(d)
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid(text) {
			return // nested deeper than the model reads
		}
		if got, want := p.Matches("k", doc), matches(decode(t, filter), decode(t, doc)); got != want {
			t.Fatalf("%s of %s: got %v, want %v", filter, doc, got, want)
		}
	})
}

// twoComparisons is a usual filter.
const twoComparisons = `"filter":{"and":[{"field":"status","op":"eq","value":"open"},{"field":"bid.amount","op":"gte","value":100}]}`

func TestMatchesAllocs(t *testing.T) {
	p := plan(t, view(twoComparisons))
	data := []byte(lot)
	if n := testing.AllocsPerRun(100, func() {
		if !p.Matches("lot-9", data) {
			t.Fatal("does not match")
		}
	}); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func BenchmarkMatches(b *testing.B) {
	p := plan(b, view(twoComparisons))
	data := []byte(lot)
	b.ReportAllocs()
	for b.Loop() {
		p.Matches("lot-9", data)
	}
}
