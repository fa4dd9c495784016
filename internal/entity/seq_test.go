package entity_test

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/entity"
)

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

func TestSeqRises(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		now := time.UnixMilli(1_893_450_000_000)
		e := entity.New(entity.Options{Now: func() time.Time { return now }, Tag: func() uint64 { return 42 }})
		stop := run(t, e, idle{})
		step := func(text string) {
			t.Helper()
			seq, err := e.Apply(context.Background(), batch(upsert("a", `{}`), upsert("b", `{}`)))
			if err != nil {
				t.Fatal(err)
			}
			same(t, "seq", seq.String(), text)
			same(t, "M27 both mutations of a batch", []entity.Seq{get(e, "a").Seq, get(e, "b").Seq}, []entity.Seq{seq, seq})
		}
		step("1893450000000:000042000001")
		step("1893450000000:000042000002")
		now = now.Add(time.Millisecond)
		step("1893450000001:000042000001")
		now = now.Add(-time.Hour) // somebody sets the clock
		step("1893450000001:000042000002")
		now = now.Add(2 * time.Hour)
		step("1893453600001:000042000001")
		same(t, "number", get(e, "b").Number, 10)
		stop()
	})
}
