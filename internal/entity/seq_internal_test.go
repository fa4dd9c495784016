package entity

import "testing"

func TestASlotWithoutNumbersIsFollowedByTheNext(t *testing.T) {
	t.Parallel()
	for _, tag := range []uint64{1, MaxTag} {
		last := firstOf(1_893_450_000_000, tag)
		last.Index += maxNumbers - 2
		for _, want := range []Seq{
			{1_893_450_000_000, tag*maxNumbers + 999_999},
			{1_893_450_000_001, tag*maxNumbers + 1},
			{1_893_450_000_001, tag*maxNumbers + 2},
		} {
			if last = last.Next(tag, 0); last != want {
				t.Errorf("tag %d: got %v, want %v", tag, last, want)
			}
		}
	}
}
