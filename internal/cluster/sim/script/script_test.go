package script_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/sim/script"
)

func TestScriptsAreReadAsTheyArePrinted(t *testing.T) {
	t.Parallel()
	s := &script.Run{Seed: 5, Note: "two\nlines"}
	r := rand.New(rand.NewPCG(5, 5))
	for range 500 {
		o := script.Draw(r, script.DefaultFaults(), []cluster.NodeID{"a", "b", "c"})
		o.Wait = time.Duration(r.IntN(1e9))
		s.Ops = append(s.Ops, o)
	}
	s.Ops = append(s.Ops, script.Op{Wait: time.Minute, Verb: "publish", Node: "a", Number: 7, Text: "a \"b\" text=\n#"})
	got, err := script.Parse(strings.NewReader(s.String()))
	if err != nil {
		t.Fatal(err)
	}
	if got.Seed != s.Seed || got.Note != s.Note || !slices.Equal(got.Ops, s.Ops) {
		t.Errorf("got\n%s\nwant\n%s", got, s)
	}
}

func TestAnOperationIsOneLine(t *testing.T) {
	t.Parallel()
	o := script.Op{Wait: 3 * time.Millisecond, Verb: "cut", Node: "b", Other: "c", For: 200 * time.Millisecond, Number: 7, Text: "a b"}
	if got, want := o.String(), `+3ms cut b c for=200ms number=7 text="a b"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestWrongLinesAreRefused(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"cut a b", "+3 cut a b", "+3ms", "+3ms cut a b c", "+3ms cut for=x", "+3ms cut number=-1", "+3ms cut to=b", `+3ms cut text="`,
		"seed x",
	} {
		if _, err := script.Parse(strings.NewReader(line)); err == nil {
			t.Errorf("%q is taken for an operation", line)
		}
	}
}

func TestShrinkKeepsWhatTheFailureNeeds(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 1))
	for range 100 {
		ops := make([]script.Op, 1+r.IntN(200))
		for i := range ops {
			ops[i] = script.Op{Wait: time.Duration(r.IntN(5)), Number: uint64(i)}
		}
		needed := []uint64{uint64(r.IntN(len(ops)))}
		for range r.IntN(4) {
			needed = append(needed, uint64(r.IntN(len(ops))))
		}
		slices.Sort(needed)
		needed = slices.Compact(needed)
		asked := 0
		got := script.Shrink(ops, func(ops []script.Op) bool {
			asked++
			for _, n := range needed {
				if !slices.ContainsFunc(ops, func(o script.Op) bool { return o.Number == n }) {
					return false
				}
			}
			return true
		})
		var numbers []uint64
		for _, o := range got {
			numbers = append(numbers, o.Number)
		}
		if !slices.Equal(numbers, needed) {
			t.Errorf("of %d operations %v are left, want %v", len(ops), numbers, needed)
		}
		if asked > 1000 {
			t.Errorf("asked %d times about %d operations", asked, len(ops))
		}
	}
}

func TestShrinkKeepsTheTimeIfItIsNeeded(t *testing.T) {
	t.Parallel()
	ops := []script.Op{{Wait: 1}, {Wait: 2, Verb: "x"}, {Wait: 3}, {Wait: 4, Verb: "y"}, {Wait: 5}}
	got := script.Shrink(ops, func(ops []script.Op) bool {
		var at, x, y time.Duration
		for _, o := range ops {
			at += o.Wait
			switch o.Verb {
			case "x":
				x = at
			case "y":
				y = at
			}
		}
		return x > 0 && y >= x+7
	})
	want := []script.Op{{Wait: 2, Verb: "x"}, {Wait: 7, Verb: "y"}}
	if !slices.Equal(got, want) && !slices.Equal(got, []script.Op{{Wait: 3, Verb: "x"}, {Wait: 7, Verb: "y"}}) {
		t.Errorf("got %v, want %v", got, want)
	}
}
