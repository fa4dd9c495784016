package bench

import (
	"context"
	"sync/atomic"
	"time"
)

// ticket says what to publish next.
type ticket struct {
	channel uint32
	slot    uint32 // of the window, or noSlot
	at      int64  // when it is due
}

// pace hands out tickets to publishers that are free. Safe for concurrent use. False
// means that the run is over.
type pace interface {
	next(ctx context.Context) (ticket, bool)
}

// rate issues tickets on a fixed schedule, whatever the server does: publication k is due
// at start + (k + 1/2) / perSecond. The half keeps a publication off the boundaries of a
// measurement that lasts whole intervals.
type rate struct {
	clock     clock
	start     int64
	perSecond float64
	channels  uint64
	issued    atomic.Uint64
}

func (r *rate) next(ctx context.Context) (ticket, bool) {
	n := r.issued.Add(1) - 1
	at := r.start + int64((float64(n)+0.5)/r.perSecond*1e9)
	return ticket{channel: uint32(n % r.channels), slot: noSlot, at: at}, r.clock.sleepUntil(ctx, at)
}

// burst issues a ticket whenever the window has room; it is due at once.
type burst struct {
	clock    clock
	window   *window
	channels uint64
	issued   atomic.Uint64
}

func (b *burst) next(ctx context.Context) (ticket, bool) {
	channel := uint32((b.issued.Add(1) - 1) % b.channels)
	slot, ok := b.window.acquire(ctx, channel)
	return ticket{channel: channel, slot: slot, at: b.clock.now()}, ok
}

// sleepMargin is what a timer may be late; the rest of a wait is slept precisely.
const sleepMargin = int64(2 * time.Millisecond)

// sleepUntil waits for a time of the clock. False means that ctx ended first.
func (c clock) sleepUntil(ctx context.Context, at int64) bool {
	if wait := at - c.now(); wait > sleepMargin && !Pause(ctx, time.Duration(wait-sleepMargin)) {
		return false
	}
	if wait := at - c.now(); wait > 0 {
		sleepPrecisely(time.Duration(wait))
	}
	return ctx.Err() == nil
}
