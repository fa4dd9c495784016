package bench

import (
	"context"
	"sync/atomic"
)

// window bounds the publications that are outstanding. One is outstanding from before it
// is sent until the last of its subscribers has it; a duplicate delivery counts for
// nothing.
//
// Each reader counts its own deliveries of a slot ([window.share] of them) without a lock
// and reports to the window once.
type window struct {
	free   chan uint32    // slots to publish with; its capacity is the window
	open   []atomic.Int32 // by slot: readers that have not seen it all
	parts  []int32        // by channel: readers with subscribers of it
	shares [][]uint32     // by reader and channel: subscribers
}

// newWindow makes a window of size slots, given the number of subscribers by reader and
// channel.
func newWindow(size int, shares [][]uint32) *window {
	w := &window{free: make(chan uint32, size), open: make([]atomic.Int32, size), shares: shares}
	if len(shares) > 0 {
		w.parts = make([]int32, len(shares[0]))
	}
	for _, byChannel := range shares {
		for c, n := range byChannel {
			if n > 0 {
				w.parts[c]++
			}
		}
	}
	for slot := range size {
		w.free <- uint32(slot)
	}
	return w
}

// acquire waits for a free slot and opens it for a publication to channel.
func (w *window) acquire(ctx context.Context, channel uint32) (uint32, bool) {
	if w.parts[channel] == 0 { // no subscriber to wait for
		return noSlot, ctx.Err() == nil
	}
	select {
	case slot := <-w.free:
		w.open[slot].Store(w.parts[channel])
		return slot, true
	case <-ctx.Done():
		return 0, false
	}
}

// release takes back a slot whose publication was refused.
func (w *window) release(slot uint32) {
	if slot != noSlot {
		w.free <- slot
	}
}

// tally is one reader's count of deliveries by slot.
type tally struct {
	w    *window
	seen []uint32
	of   []uint32 // by channel: deliveries that make a publication complete
}

func (w *window) tally(reader int) *tally {
	return &tally{w: w, seen: make([]uint32, cap(w.free)), of: w.shares[reader]}
}

// note counts one delivery that was no duplicate.
func (t *tally) note(slot, channel uint32) {
	if slot >= uint32(len(t.seen)) {
		return
	}
	t.seen[slot]++
	if t.seen[slot] != t.of[channel] {
		return
	}
	t.seen[slot] = 0
	if t.w.open[slot].Add(-1) == 0 {
		t.w.free <- slot
	}
}
