package bench

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// A publisher that was held up gets the tickets it missed at once, each due when it should
// have been: the wait shows in the latency instead of disappearing.
func TestRateKeepsItsScheduleThroughAStall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := clock{time.Now()}
		r := &rate{clock: c, start: 0, perSecond: 10, channels: 2}
		time.Sleep(time.Second) // the stall
		for k := range 10 {
			ticket, ok := r.next(t.Context())
			if want := int64(50+100*k) * int64(time.Millisecond); !ok || ticket.at != want {
				t.Fatalf("ticket %d is due at %d, want %d", k, ticket.at, want)
			}
			if ticket.channel != uint32(k%2) || ticket.slot != noSlot {
				t.Errorf("ticket %d: %+v", k, ticket)
			}
			if now := c.now(); now != int64(time.Second) {
				t.Errorf("ticket %d was held back until %d", k, now)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, ok := r.next(ctx); ok {
			t.Error("a ticket after the end")
		}
	})
}

func TestHistogramHoldsToItsBounds(t *testing.T) {
	t.Parallel()
	h := NewHistogram()
	for _, d := range []int64{-5, 0, int64(time.Millisecond), int64(time.Hour)} {
		record(h, d)
	}
	l := NewLatency(h, "")
	if l.Count != 4 || l.P50 > 2 || l.Max < 119e6 {
		t.Errorf("%+v", l)
	}
}
