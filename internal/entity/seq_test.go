package entity_test

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/entity"
)

func same[T any](tb testing.TB, what string, got, want T) {
	tb.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		tb.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestSeqText(t *testing.T) {
	t.Parallel()
	for text, seq := range map[string]entity.Seq{
		"7:000000000042":                            {Slot: 7, Index: 42},
		"1893450000456:000000000001":                {Slot: 1893450000456, Index: 1},
		"0:000000000000":                            {},
		"18446744073709551615:18446744073709551615": {Slot: math.MaxUint64, Index: math.MaxUint64},
		"10:999999999999":                           {Slot: 10, Index: 999999999999},
		"10:1000000000000":                          {Slot: 10, Index: 1000000000000},
	} {
		same(t, text, seq.String(), text)
		same(t, text, entity.ParseSeq(text), seq)
	}
	for text, seq := range map[string]entity.Seq{
		"":                         {},
		"garbage":                  {},
		"100":                      {Slot: 100},
		"12345:":                   {Slot: 12345},
		":5":                       {Index: 5},
		"x:5":                      {Index: 5},
		"7:x":                      {Slot: 7},
		"7:5:3":                    {Slot: 7},
		"-1:+2":                    {},
		"18446744073709551616:1":   {Index: 1},
		"000100:00000000000000001": {Slot: 100, Index: 1},
	} {
		same(t, text, entity.ParseSeq(text), seq)
	}
}

func TestSeqOrder(t *testing.T) {
	t.Parallel()
	order := []entity.Seq{{}, {0, 1}, {99, 7}, {100, 1}, {100, 2}, {101, 0}}
	for i, a := range order {
		for j, b := range order {
			if got := a.Compare(b); got > 0 != (i > j) || got < 0 != (i < j) {
				t.Errorf("%v compared to %v is %d", a, b, got)
			}
		}
	}
}

func FuzzParseSeq(f *testing.F) {
	f.Add("7:000000000042")
	f.Add("a:b:c")
	f.Fuzz(func(t *testing.T, text string) {
		seq := entity.ParseSeq(text)
		same(t, text, entity.ParseSeq(seq.String()), seq)
	})
}
