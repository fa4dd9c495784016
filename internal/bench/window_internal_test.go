package bench

import (
	"context"
	"testing"
	"testing/synctest"
)

func TestWindowWaitsForTheLastSubscriber(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// Channel 0 has two subscribers on reader 0 and one on reader 1, channel 1 has none.
		w := newWindow(1, [][]uint32{{2, 0}, {1, 0}})
		first, second := w.tally(0), w.tally(1)
		slot, ok := w.acquire(t.Context(), 0)
		if !ok || slot != 0 {
			t.Fatalf("slot %d, %v", slot, ok)
		}
		acquired := make(chan uint32)
		go func() {
			slot, _ := w.acquire(t.Context(), 0)
			acquired <- slot
		}()
		waits := func(after string) {
			synctest.Wait()
			select {
			case <-acquired:
				t.Fatalf("the window was free after %s", after)
			default:
			}
		}
		waits("the publish")
		first.note(slot, 0)
		waits("the first of three deliveries")
		second.note(slot, 0)
		waits("the second of three deliveries")
		first.note(slot, 0)
		<-acquired
	})
}

func TestWindowWithoutSubscribersHoldsNothing(t *testing.T) {
	t.Parallel()
	w := newWindow(1, [][]uint32{{0}})
	for range 3 {
		if slot, ok := w.acquire(t.Context(), 0); slot != noSlot || !ok {
			t.Fatalf("slot %d, %v", slot, ok)
		}
	}
}

func TestWindowGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	w := newWindow(1, [][]uint32{{1}})
	ctx, cancel := context.WithCancel(t.Context())
	slot, _ := w.acquire(ctx, 0)
	cancel()
	if _, ok := w.acquire(ctx, 0); ok {
		t.Error("a full window gave a slot")
	}
	w.release(slot)
	if _, ok := w.acquire(t.Context(), 0); !ok {
		t.Error("a released slot did not come back")
	}
}

func TestTallyIgnoresSlotsOfNoWindow(t *testing.T) {
	t.Parallel()
	newWindow(1, [][]uint32{{1}}).tally(0).note(noSlot, 0)
}
