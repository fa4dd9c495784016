package bench

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLedgerJudgesDeliveries(t *testing.T) {
	t.Parallel()
	type account struct{ Unique, Lost, Late, Duplicates uint64 }
	tests := []struct {
		name string
		seen [][2]uint32 // publisher, number
		sent []uint32
		want account
		says []verdict
	}{
		{
			"everything once and in order",
			[][2]uint32{{0, 0}, {1, 0}, {0, 1}, {0, 2}},
			[]uint32{3, 1},
			account{Unique: 4},
			[]verdict{inOrder, inOrder, inOrder, inOrder},
		},
		{
			"a loss in the middle",
			[][2]uint32{{0, 0}, {0, 3}},
			[]uint32{4, 0},
			account{Unique: 2, Lost: 2},
			[]verdict{inOrder, afterGap},
		},
		{
			"a loss at the end and of a whole publisher",
			[][2]uint32{{0, 0}},
			[]uint32{3, 2},
			account{Unique: 1, Lost: 4},
			[]verdict{inOrder},
		},
		{
			"two swapped: one is late, none is lost",
			[][2]uint32{{0, 1}, {0, 0}, {0, 2}},
			[]uint32{3, 0},
			account{Unique: 3, Late: 1},
			[]verdict{afterGap, late, inOrder},
		},
		{
			"one twice",
			[][2]uint32{{0, 0}, {0, 0}, {0, 1}},
			[]uint32{2, 0},
			account{Unique: 2, Duplicates: 1},
			[]verdict{inOrder, duplicate, inOrder},
		},
		{
			"a late one twice",
			[][2]uint32{{0, 1}, {0, 0}, {0, 0}},
			[]uint32{2, 0},
			account{Unique: 2, Late: 1, Duplicates: 1},
			[]verdict{afterGap, late, duplicate},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := ledger{next: make([]uint32, 2)}
			var says []verdict
			for _, d := range tt.seen {
				says = append(says, l.note(d[0], d[1]))
			}
			if diff := cmp.Diff(tt.says, says); diff != "" {
				t.Errorf("verdicts (-want +got):\n%s", diff)
			}
			got := account{Unique: l.unique, Lost: l.missed(tt.sent)}
			if l.trouble != nil {
				got.Late, got.Duplicates = l.trouble.late, l.trouble.duplicates
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("account (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLedgerChainTellsOrders(t *testing.T) {
	t.Parallel()
	chain := func(seen ...[2]uint32) uint64 {
		l := ledger{next: make([]uint32, 2)}
		for _, d := range seen {
			l.note(d[0], d[1])
		}
		if l.trouble != nil {
			t.Errorf("%v is in each publisher's order, got %+v", seen, l.trouble)
		}
		return l.chain
	}
	a := chain([2]uint32{0, 0}, [2]uint32{1, 0}, [2]uint32{1, 1})
	b := chain([2]uint32{1, 0}, [2]uint32{0, 0}, [2]uint32{1, 1})
	if a == b {
		t.Error("two interleavings of two publishers have one fingerprint")
	}
	if again := chain([2]uint32{0, 0}, [2]uint32{1, 0}, [2]uint32{1, 1}); a != again {
		t.Error("one interleaving has two fingerprints")
	}
}
