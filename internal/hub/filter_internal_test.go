package hub

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/protocol"
)

// newFiltered is newBench with one topic and one subscription each, of which connection i is
// for the events that names tells; nil: all.
func newFiltered(tb testing.TB, connections int, names func(i int) []string) (*Hub, []*sink) {
	tb.Helper()
	h, conns := newBench(tb, 1, connections, 1)
	for i, c := range conns {
		if err := c.subs[0].SetFilter(protocol.NewFilter(names(i))); err != nil {
			tb.Fatal(err)
		}
	}
	return h, conns
}

// newMixed is newBatch for one topic with events that take turns.
func newMixed(n int, events ...string) []*protocol.Publication {
	batch := newBatch(1, n)
	for i, p := range batch {
		p.Event = events[i%len(events)]
	}
	return batch
}

// filterCases are ways to filter a topic.
func filterCases() map[string]func(i int) []string {
	return map[string]func(i int) []string{
		"one for all": func(int) []string { return []string{"tick", "trade"} },
		"ten":         func(i int) []string { return []string{"tick", fmt.Sprint("other-", i%10)} },
		"one each":    func(i int) []string { return []string{"tick", fmt.Sprint("other-", i)} },
		"half none": func(i int) []string {
			if i%2 == 0 {
				return nil
			}
			return []string{"tick"}
		},
	}
}

func TestFilteredAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collection empties the pools
	for name, names := range filterCases() {
		for _, n := range []int{1, 32} {
			t.Run(fmt.Sprintf("%s, %d publications", name, n), func(t *testing.T) {
				h, conns := newFiltered(t, 1000, names)
				batch := newMixed(n, "tick", "news", "news")
				batch[0].Except = conns[1].ID()
				deliver := func() {
					for _, p := range batch {
						h.Receive(p)
					}
					flush(h)
				}
				deliver()
				deliver()
				if got := testing.AllocsPerRun(50, deliver); got != 0 {
					t.Errorf("%v allocations per batch, want none", got)
				}
				if conns[0].frames == 0 {
					t.Error("nothing was delivered")
				}
			})
		}
	}
}

// BenchmarkFiltered is BenchmarkBroadcast where one publication of three passes the filters.
func BenchmarkFiltered(b *testing.B) {
	for name, names := range filterCases() {
		for _, n := range []int{3, 33} {
			b.Run(fmt.Sprintf("subs=2000/batch=%d/filters=%s", n, strings.ReplaceAll(name, " ", "_")), func(b *testing.B) {
				h, conns := newFiltered(b, 2000, names)
				measure(b, h, conns, newMixed(n, "tick", "news", "news"))
			})
		}
	}
}

// TestFiltersAreSharedAndReleased counts what the shards keep.
func TestFiltersAreSharedAndReleased(t *testing.T) {
	t.Parallel()
	h := New(Options{Shards: 1})
	f := func(names ...string) *protocol.Filter { return protocol.NewFilter(names) }
	var conns []*sink
	for range 3 {
		c := &sink{subs: make([]Subscription, 2)}
		h.Attach(&c.Subscriber, c, protocol.NewSocketID(), protocol.VariantPusher)
		conns = append(conns, c)
	}
	expect := func(after string, want int) {
		t.Helper()
		filters, refs := 0, 0
		for i := range h.topics.stripes {
			for l := range h.topics.stripes[i].all() {
				for c := l.own.next(); c != nil; c = c.next() {
					filters++
					refs += int(c.filter().refs)
				}
			}
		}
		if filters != want || want == 0 && h.filterBytes.Load() != 0 {
			t.Errorf("after %s there are %d filters with %d references and %d bytes, want %d",
				after, filters, refs, h.filterBytes.Load(), want)
		}
	}
	open := func(c, s, topic int, f *protocol.Filter) {
		if err := conns[c].SubscribeFiltered(&conns[c].subs[s], new(benchTopic(topic)), f); err != nil {
			t.Fatal(err)
		}
	}
	set := func(c, s int, f *protocol.Filter) {
		if err := conns[c].subs[s].SetFilter(f); err != nil {
			t.Fatal(err)
		}
	}
	open(0, 0, 0, f("a", "b"))
	open(1, 0, 0, f("b", "a"))
	expect("two equal ones", 1)
	open(2, 0, 0, nil)
	expect("none", 1)
	open(2, 1, 1, f("a", "b"))
	expect("an equal one of another topic", 2)
	set(2, 0, f("c"))
	expect("a third", 3)
	set(2, 0, f("a", "b"))
	expect("a replacement", 2)
	set(2, 0, f("a", "b"))
	expect("a replacement by the same", 2)
	if err := conns[0].subs[0].Release(protocol.Position{}); err != nil {
		t.Fatal(err)
	}
	set(0, 0, nil)
	conns[1].subs[0].Close()
	expect("one user left", 2)
	conns[2].subs[0].Hold()
	expect("a new hold", 2)
	set(2, 0, nil)
	expect("a filter taken off while held", 1)
	conns[2].Detach()
	expect("the end of the connection", 0)
	set(2, 0, f("x"))
	expect("a filter for a closed subscription", 0)
	if conns[0].subs[0].hold != nil {
		t.Error("a subscription without filter keeps a hold")
	}
}

func TestFilterMemoryIsBounded(t *testing.T) {
	t.Parallel()
	a, b := protocol.NewFilter([]string{"a"}), protocol.NewFilter([]string{"b"})
	h := New(Options{Shards: 1, MaxFilters: int(filterSize(a))})
	c := &sink{subs: make([]Subscription, 3)}
	h.Attach(&c.Subscriber, c, protocol.NewSocketID(), protocol.VariantPusher)
	if err := c.SubscribeFiltered(&c.subs[0], new(benchTopic(0)), a); err != nil {
		t.Fatal(err)
	}
	if err := c.SubscribeFiltered(&c.subs[1], new(benchTopic(1)), a); !errors.Is(err, ErrFilterMemory) {
		t.Errorf("a second topic: got %v", err)
	}
	if c.subs[1].stateLocked() != closed || len(h.topics.listsOf(benchTopic(1))) != 0 {
		t.Error("what was refused has left something behind")
	}
	if err := c.subs[0].SetFilter(b); !errors.Is(err, ErrFilterMemory) {
		t.Errorf("another filter: got %v", err)
	}
	if c.subs[0].filteredLocked().filter().Key() != a.Key() {
		t.Error("the former filter is gone")
	}
	c.subs[0].Close()
	if err := c.SubscribeFiltered(&c.subs[2], new(benchTopic(2)), b); err != nil {
		t.Errorf("after the others are gone: %v", err)
	}
}

// TestOneConnectionCannotUseUpTheFiltersOfAll also shows that nothing is counted for ever.
func TestOneConnectionCannotUseUpTheFiltersOfAll(t *testing.T) {
	t.Parallel()
	h := New(Options{Shards: 1})
	c := new(sink)
	h.Attach(&c.Subscriber, c, protocol.NewSocketID(), protocol.VariantPusher)
	large := func(i int) *protocol.Filter {
		return protocol.NewFilter([]string{strings.Repeat("x", 1<<16) + strconv.Itoa(i)})
	}
	const most = 7
	subs := make([]Subscription, most+2)
	for i := range most {
		if err := c.SubscribeFiltered(&subs[i], new(benchTopic(i)), large(i)); err != nil {
			t.Fatal(err)
		}
	}
	held := h.filterBytes.Load()
	for i := range 10 { // replaced, not added
		if err := subs[0].SetFilter(large(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.SubscribeFiltered(&subs[most], new(benchTopic(most)), large(most)); !errors.Is(err, ErrFilterMemory) {
		t.Errorf("one more: %v", err)
	}
	if got := h.filterBytes.Load(); got != held {
		t.Errorf("%d bytes are held, want %d", got, held)
	}
	subs[1].Close()
	if err := c.SubscribeFiltered(&subs[most], new(benchTopic(most)), large(most)); err != nil {
		t.Errorf("after another was closed: %v", err)
	}
	if err := subs[2].SetFilter(nil); err != nil {
		t.Fatal(err)
	}
	if err := c.SubscribeFiltered(&subs[most+1], new(benchTopic(most+1)), large(most+1)); err != nil {
		t.Errorf("after another had no filter any more: %v", err)
	}
	c.Detach()
	if got := h.filterBytes.Load(); got != 0 || c.filters != 0 {
		t.Errorf("%d and %d bytes are held for nobody", got, c.filters)
	}
}
