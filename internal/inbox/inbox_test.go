package inbox_test

import (
	"slices"
	"testing"

	"github.com/millrace/millrace/internal/inbox"
	"github.com/millrace/millrace/internal/protocol"
)

// destination is where publications go.
type destination struct{ _ byte }

type box = inbox.Inbox[*destination]

func newBox() *box {
	in := new(box)
	in.Init()
	return in
}

func item(to *destination) inbox.Item[*destination] {
	return inbox.Item[*destination]{To: to, Publication: new(protocol.Publication)}
}

func isClosed(mark chan struct{}) bool {
	select {
	case <-mark:
		return true
	default:
		return false
	}
}

func TestAllThatWaitsIsTakenInOrder(t *testing.T) {
	t.Parallel()
	in := newBox()
	a, b := new(destination), new(destination)
	for _, to := range []*destination{a, b, a} {
		if !in.Put(item(to)) {
			t.Fatal("an open inbox takes nothing")
		}
	}
	in.Wait()
	items, _ := in.Take(nil, true, false)
	if len(items) != 3 || items[0].To != a || items[1].To != b || items[2].To != a || in.Len() != 0 {
		t.Errorf("%d items taken and %d left", len(items), in.Len())
	}
	in.Put(item(b))
	in.Wait()
	clear(items)
	if items, _ = in.Take(items[:0], true, true); len(items) != 1 || items[0].To != b {
		t.Errorf("%d items taken, want the last", len(items))
	}
	if in.Put(item(a)) {
		t.Error("an inbox that is closed takes more")
	}
	if !isClosed(in.Mark()) {
		t.Error("behind the end something is waited for")
	}
}

func TestMarksComeOneTakeAtATime(t *testing.T) {
	t.Parallel()
	in := newBox()
	first := in.Mark()
	in.Wait()
	_, marks := in.Take(nil, true, false)
	second := in.Mark()
	if !slices.Equal(marks, []chan struct{}{first}) {
		t.Errorf("%d marks, want the first", len(marks))
	}
	if _, marks = in.Take(nil, false, false); len(marks) != 0 {
		t.Errorf("%d marks, though they were not asked for", len(marks))
	}
	if _, marks = in.Take(nil, true, false); !slices.Equal(marks, []chan struct{}{second}) {
		t.Errorf("%d marks, want the second", len(marks))
	}
	if isClosed(first) || isClosed(second) {
		t.Error("the inbox closes marks by itself")
	}
}

func TestChainsKeepTheirOrder(t *testing.T) {
	t.Parallel()
	cs := inbox.NewChains()
	chains, want := make([]inbox.Chain, 3), make([][]int, 3)
	expect := func(step int) {
		t.Helper()
		for i, c := range chains {
			var got []int
			for e := c.First; e != 0; {
				p, next := cs.At(e)
				got = append(got, int(p.Count))
				e = next
			}
			if !slices.Equal(got, want[i]) || (c.First == 0) != (c.Last == 0) {
				t.Fatalf("after step %d chain %d has %v, want %v", step, i, got, want[i])
			}
		}
	}
	for step := range 500 {
		i := step * 7 % 3
		if step%5 < 3 || len(want[i]) == 0 {
			cs.Append(&chains[i], &protocol.Publication{Count: uint32(step)})
			want[i] = append(want[i], step)
		} else {
			first := chains[i].First
			if e, p := cs.Shift(&chains[i]); e != first || int(p.Count) != want[i][0] {
				t.Fatalf("step %d takes %d, want %d", step, p.Count, want[i][0])
			}
			want[i] = want[i][1:]
		}
		expect(step)
	}
}

func TestPutAllocs(t *testing.T) {
	in, it := newBox(), item(new(destination))
	spare := make([]inbox.Item[*destination], 0, 64)
	if n := testing.AllocsPerRun(100, func() {
		in.Put(it)
		in.Wait()
		items, _ := in.Take(spare, true, false)
		spare = items[:0]
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func BenchmarkPut(b *testing.B) {
	in, it := newBox(), item(new(destination))
	var spare []inbox.Item[*destination]
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		in.Put(it)
		if n++; n%64 == 0 {
			items, _ := in.Take(spare, true, false)
			spare = items[:0]
		}
	}
}
