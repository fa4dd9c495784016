package view_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/millrace/millrace/internal/access"
	"github.com/millrace/millrace/internal/bus/local"
	"github.com/millrace/millrace/internal/definition"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/protocol/views"
	"github.com/millrace/millrace/internal/query"
	"github.com/millrace/millrace/internal/view"
)

// table is an engine that is told of changes directly, as the applier does.
type table struct {
	*view.Engine
	*definition.Catalog
	hub      *hub.Hub
	bus      *counter
	t        *entity.Type
	versions []*entity.Version
	number   uint64
	r        *rand.Rand
}

func newTable(t testing.TB, entities int, definitions ...string) *table {
	t.Helper()
	h := hub.New(hub.Options{Codecs: [protocol.NumVariants]protocol.Codec{protocol.VariantViews: views.Codec{}}})
	all, b := entity.NewState(nil), &counter{Bus: local.NewOrder(h)}
	tab := &table{
		Engine: view.New(all, h, b, view.Options{}), hub: h, bus: b,
		t: all.Declare(app, "T"), versions: make([]*entity.Version, entities), r: rand.New(rand.NewPCG(1, 2)),
	}
	tab.Catalog = definition.NewCatalog(tab.Engine, definition.Options{})
	for _, text := range definitions {
		d, err := query.Parse([]byte(text))
		if err == nil {
			err = tab.Define(t.Context(), app, d, false)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range entities {
		tab.change(i)
	}
	return tab
}

// next makes the change of one entity: another amount.
func (t *table) next(i int) entity.Change {
	t.number++
	v := &entity.Version{
		Key: "lot-000000", Number: t.number, Seq: entity.Seq{Slot: 1, Index: t.number},
		Data: fmt.Appendf(nil, `{"title":"A lamp of brass","status":"open","bid":{"amount":%d,"by":"u1"},"_seq":"%s"}`, t.r.IntN(1_000_000), entity.Seq{Slot: 1, Index: t.number}),
	}
	if old := t.versions[i]; old != nil {
		v.Key = old.Key
	} else {
		v.Key = fmt.Sprintf("lot-%06d", i)
	}
	d := &entity.Decision{Op: entity.OpPatch, Key: v.Key, Data: v.Data, Patch: v.Data, Seq: v.Seq, Number: v.Number}
	ch := entity.Change{Decision: d, Old: t.versions[i], New: v}
	t.versions[i] = v
	return ch
}

// retitle makes the change of an entity whose place stays.
func (t *table) retitle(i int) entity.Change {
	ch, old := t.next(i), *t.versions[i]
	amount := gjson.GetBytes(ch.Old.Data, "bid.amount").Raw
	old.Data = fmt.Appendf(nil, `{"title":"Another lamp","status":"open","bid":{"amount":%s,"by":"u1"},"_seq":"%s"}`, amount, old.Seq)
	ch.Patch = fmt.Appendf(nil, `{"title":"Another lamp","_seq":"%s"}`, old.Seq)
	*ch.New = old
	return ch
}

// extremes are an entity of the first and one of the last rows.
func (t *table) extremes() (first, last int) {
	most, least := -1, math.MaxInt
	for i, v := range t.versions {
		n := int(gjson.GetBytes(v.Data, "bid.amount").Int())
		if n > most {
			most, first = n, i
		}
		if n < least {
			least, last = n, i
		}
	}
	return first, last
}

// watch subscribes a connection that takes everything.
func (t *table) watch(tb testing.TB, sub string) {
	tb.Helper()
	n := &node{t: tb, hub: t.hub, Engine: t.Engine, Catalog: t.Catalog}
	if issue := n.connect().subscribe(sub); issue != "" {
		tb.Fatal(issue)
	}
}

// counter is a bus that keeps what is published to itself.
type counter struct {
	view.Bus
	published []*protocol.Publication
}

func (c *counter) Publish(p *protocol.Publication) { c.published = append(c.published, p) }

func (t *table) change(i int) { t.changed([]entity.Change{t.next(i)}) }

func (t *table) changed(changes []entity.Change) {
	t.t.Lock()
	t.Changed(t.t, changes)
	t.t.Unlock()
}

// some makes n changes of random entities. Like the applier, which has just merged them, it
// has had the old data in its hands.
func (t *table) some(n int) []entity.Change {
	changes := make([]entity.Change, n)
	for k := range changes {
		changes[k] = t.next(t.r.IntN(len(t.versions)))
		if bytes.IndexByte(changes[k].Old.Data, 0) >= 0 {
			panic("not JSON")
		}
	}
	return changes
}

const sorted = `{"id":"T/top","source":"T/list","sort":[{"field":"bid.amount","order":"desc"}],"limit":100}`

// BenchmarkChanged is the cost of one change where nobody is subscribed, in groups of 100.
func BenchmarkChanged(b *testing.B) {
	for _, entities := range []int{1_000, 100_000, 1_000_000} {
		for _, v := range []struct{ name, definition string }{
			{"sorted", sorted},
			{"filtered", `{"id":"T/open","source":"T/list","filter":{"field":"status","op":"eq","value":"open"}}`},
			{"sum", `{"id":"T/sum","source":"T/list","aggregate":{"s":{"op":"sum","field":"bid.amount"}}}`},
		} {
			b.Run(fmt.Sprintf("entities=%d/view=%s", entities, v.name), func(b *testing.B) {
				if entities != 100_000 && v.name != "sorted" {
					b.Skip()
				}
				t := newTable(b, entities, v.definition)
				const group = 100
				runtime.GC()
				b.ReportAllocs()
				for b.Loop() {
					b.StopTimer()
					changes := t.some(group)
					b.StartTimer()
					t.changed(changes)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*group), "ns/change")
			})
		}
	}
}

// BenchmarkWindow is one change for a window of 100 of 100,000 entities that many watch, up to
// the hub.
func BenchmarkWindow(b *testing.B) {
	for _, subscribers := range []int{1, 1_000} {
		for _, where := range []string{"inside", "outside", "moving"} {
			b.Run(fmt.Sprintf("subscribers=%d/change=%s", subscribers, where), func(b *testing.B) {
				t := newTable(b, 100_000, sorted)
				for range subscribers {
					t.watch(b, "T/top")
				}
				inside, outside := t.extremes()
				b.ReportAllocs()
				t.bus.published = nil
				frames := 0
				for b.Loop() {
					b.StopTimer()
					var ch entity.Change
					switch where {
					case "inside":
						ch = t.retitle(inside)
					case "outside":
						ch = t.retitle(outside)
					default:
						ch = t.next(inside)
					}
					b.StartTimer()
					t.changed([]entity.Change{ch})
					frames += len(t.bus.published)
					t.bus.published = t.bus.published[:0]
				}
				b.ReportMetric(float64(frames)/float64(b.N), "publications/op")
			})
		}
	}
}

// D24: a change of a window is computed and published once, however many watch, and in few
// bytes.
func TestOneComputationForAll(t *testing.T) {
	t.Parallel()
	tab := newTable(t, 10_000, sorted)
	for range 100 {
		tab.watch(t, "T/top")
	}
	inside, outside := tab.extremes()
	tab.bus.published = nil
	tab.changed([]entity.Change{tab.retitle(outside)})
	if got := len(tab.bus.published); got != 0 {
		t.Errorf("D07: %d publications for a change outside, want none", got)
	}
	tab.changed([]entity.Change{tab.retitle(inside)})
	if got := len(tab.bus.published); got != 1 {
		t.Fatalf("D24: %d publications for one change inside, want 1", got)
	}
	size := len(views.Codec{}.AppendPublication(nil, tab.bus.published[0]))
	res, _ := tab.Read(app, request("T/top"), view.Limits{Clearance: access.Server})
	window := 0
	for _, row := range res.Rows {
		window += len(row.Data)
	}
	if size > window/50 {
		t.Errorf("%d bytes for one change, want at most 1/50 of the window's %d", size, window)
	}
}

// TestChangedAllocs does not run beside others: it counts allocations.
func TestChangedAllocs(t *testing.T) {
	tab := newTable(t, 10_000, sorted, `{"id":"T/low","source":"T/top","filter":{"field":"status","op":"eq","value":"open"}}`)
	tab.watch(t, "T/low skip=1000")
	var changes [][]entity.Change
	for range 1001 {
		changes = append(changes, tab.some(10))
	}
	i := 0
	allocs := testing.AllocsPerRun(1000, func() {
		tab.changed(changes[i])
		i++
	})
	if allocs >= 1 { // nodes of the trees, now and then
		t.Errorf("%v allocations for ten changes that nobody sees, want none", allocs)
	}
}

// BenchmarkMemory reports what a view costs for each entity that it holds.
func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		b.ReportMetric(memory(b, 1_000_000), "B/entity")
	}
}

// TestMemory does not run beside others: it reads the size of the heap.
func TestMemory(t *testing.T) {
	if got := memory(t, 200_000); got > 64 {
		t.Errorf("an entity costs %.1f bytes in a sorted view, want at most 64", got)
	}
}

func memory(t testing.TB, entities int) float64 {
	tab := newTable(t, entities, sorted)
	for range entities {
		tab.change(tab.r.IntN(entities))
	}
	with := heap()
	if err := tab.Remove(t.Context(), app, "T/top"); err != nil {
		t.Fatal(err)
	}
	without := heap()
	runtime.KeepAlive(tab)
	return float64(with-without) / float64(entities)
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
