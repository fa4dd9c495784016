package entity

import (
	"testing"
	"time"
)

func TestASlotWithoutNumbersIsFollowedByTheNext(t *testing.T) {
	t.Parallel()
	for _, tag := range []uint64{1, maxTag} {
		c := clock{tag: tag, last: firstOf(1_893_450_000_000, tag)}
		c.last.Index += maxNumbers - 2
		for _, want := range []Seq{
			{1_893_450_000_000, tag*maxNumbers + 999_999},
			{1_893_450_000_001, tag*maxNumbers + 1},
			{1_893_450_000_001, tag*maxNumbers + 2},
		} {
			if got := c.next(time.UnixMilli(0)); got != want {
				t.Errorf("tag %d: got %v, want %v", tag, got, want)
			}
		}
	}
}
