package query_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestProject(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ fields, data, want string }{
		"F32 the listed member only":      {`"n"`, `{"n":1,"m":2}`, `{"n":1}`},
		"in the order of the source":      {`"status","title"`, lot, `{"title":"Lamp of brass, with shade","status":"open"}`},
		"_seq when it is listed":          {`"open","_seq"`, lot, `{"open":true,"_seq":"1893450000123:000000000007"}`},
		"a whole object":                  {`"bid"`, lot, `{"bid":{"amount":120.5,"by":"u-9"}}`},
		"a part of an object":             {`"bid.by"`, lot, `{"bid":{"by":"u-9"}}`},
		"an object and its part":          {`"bid.by","bid"`, lot, `{"bid":{"amount":120.5,"by":"u-9"}}`},
		"an object and its part, in turn": {`"bid","bid.by"`, lot, `{"bid":{"amount":120.5,"by":"u-9"}}`},
		"parts of several objects":        {`"seller.name","bid.amount","title"`, `{"bid":{"by":1,"amount":2},"seller":{"name":"Ada"},"title":[]}`, `{"bid":{"amount":2},"seller":{"name":"Ada"},"title":[]}`},
		"deep parts":                      {`"a.b.c","a.d"`, `{"a":{"d":1,"b":{"x":2,"c":{"y":3}},"e":4}}`, `{"a":{"d":1,"b":{"c":{"y":3}}}}`},
		"missing paths leave no trace":    {`"none","bid.none","title.none"`, lot, `{}`},
		"an empty object has no parts":    {`"a.b"`, `{"a":{}}`, `{}`},
		"null is there":                   {`"a","b.c"`, `{"a":null,"b":{"c":null}}`, `{"a":null,"b":{"c":null}}`},
		"nothing through arrays":          {`"a.b"`, `{"a":[{"b":1}]}`, `{}`},
		"names in escapes":                {`"\u0061"`, `{"\u0061":1,"b":2}`, `{"\u0061":1}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := plan(t, view(`"fields":[`+c.fields+`]`)).Project([]byte(c.data))
			if diff := cmp.Diff(c.want, string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestProjectOfEverythingIsTheDataItself(t *testing.T) {
	t.Parallel()
	data := []byte(strings.Clone(lot))
	if got := plan(t, view(`"limit":1`)).Project(data); &got[0] != &data[0] || len(got) != len(data) {
		t.Error("got a copy")
	}
}

func BenchmarkProject(b *testing.B) {
	p := plan(b, view(`"fields":["title","bid.amount"]`))
	data := []byte(lot)
	b.ReportAllocs()
	for b.Loop() {
		p.Project(data)
	}
}
