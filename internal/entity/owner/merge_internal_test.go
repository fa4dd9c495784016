package owner

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/entity"
)

func TestMergeAllocs(t *testing.T) {
	o := Options{}.withDefaults()
	p := preparer{o: &o}
	err := p.prepare(&entity.Batch{Mutations: []entity.Mutation{{
		Type: "T", Data: []byte(`{"bid":{"amount":7,"new":1},"history":[{"by":"u2"}],"more":true}`), Append: []string{"history"},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	body := []byte(`{"title":"A lamp","bid":{"amount":6},"history":[` + strings.Repeat(`{"by":"u1"},`, 9) + `{}],"tags":["x"]`)
	m := merger{maxArray: 5}
	allocs := testing.AllocsPerRun(1000, func() {
		clearMerged(p.fields)
		m.merge(body, &p.pending, &p.mutations[0])
	})
	if allocs > 0 {
		t.Errorf("%v allocations, want none", allocs)
	}
	want := `{"title":"A lamp","bid":{"amount":7,"new":1},"history":[{"by":"u1"},{"by":"u1"},{"by":"u1"},{},{"by":"u2"}],"tags":["x"],"more":true`
	if got := string(m.out); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func clearMerged(fields []field) {
	for i := range fields {
		fields[i].isMerged = false
	}
}

func BenchmarkMerge(b *testing.B) {
	o := Options{}.withDefaults()
	p := preparer{o: &o}
	if err := p.prepare(&entity.Batch{Mutations: []entity.Mutation{{Type: "T", Data: []byte(`{"bid":{"amount":7},"views":3}`)}}}); err != nil {
		b.Fatal(err)
	}
	body := []byte(`{"title":"A lamp of brass, number 0000007","status":"open","seller":"user-00005","bid":{"amount":1,"by":"user-17"},"tags":["lamp","brass"],"ends":1893450000,"views":17`)
	m := merger{maxArray: 100}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		clearMerged(p.fields)
		m.merge(body, &p.pending, &p.mutations[0])
	}
}

func BenchmarkPrepare(b *testing.B) {
	o := Options{}.withDefaults()
	p := preparer{o: &o}
	batch := &entity.Batch{Mutations: []entity.Mutation{{Type: "T", Key: "lot-0000007", Data: []byte(`{"bid":{"amount":7},"views":3}`)}}}
	b.ReportAllocs()
	for b.Loop() {
		if err := p.prepare(batch); err != nil {
			b.Fatal(err)
		}
		p.reset()
	}
}
