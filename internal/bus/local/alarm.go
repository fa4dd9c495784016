package local

import (
	"context"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/room"
)

// alarms are the timers of rooms with a notice that has to wait; the nil room is the sweep's. Each
// exists only while it is armed. The lock is taken under the lock of a stripe.
type alarms struct {
	fire func(*room.Room) // immutable
	idle chan struct{}    // closed once closed and nothing is armed or running

	mu       sync.Mutex
	isClosed bool                  // guarded by mu, as all below
	timers   map[*room.Room]*alarm // armed
	pending  int                   // armed or running
}

// alarm is one timer. Its identity is known before there is the timer.
type alarm struct {
	timer *time.Timer // guarded by mu of alarms
}

func (a *alarms) init(fire func(*room.Room)) {
	a.fire = fire
	a.idle = make(chan struct{})
	a.timers = make(map[*room.Room]*alarm)
}

// arm fires for r once after wait, unless it is armed already or shut down.
func (a *alarms) arm(r *room.Room, wait time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.isClosed || a.timers[r] != nil {
		return
	}
	a.pending++
	t := new(alarm)
	a.timers[r] = t
	t.timer = time.AfterFunc(wait, func() {
		defer a.done()
		if a.begin(r, t) {
			a.fire(r)
		}
	})
}

// begin reports whether r still waits for t, which has fired.
func (a *alarms) begin(r *room.Room, t *alarm) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.isClosed || a.timers[r] != t {
		return false
	}
	delete(a.timers, r)
	return true
}

func (a *alarms) disarm(r *room.Room) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stopLocked(r)
}

func (a *alarms) stopLocked(r *room.Room) {
	if t := a.timers[r]; t != nil && t.timer.Stop() { // otherwise it is running
		a.pending--
	}
	delete(a.timers, r)
}

func (a *alarms) done() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pending--
	a.closeIdleLocked()
}

func (a *alarms) closeIdleLocked() {
	if a.isClosed && a.pending == 0 {
		close(a.idle)
	}
}

func (a *alarms) shutdown(ctx context.Context) error {
	a.mu.Lock()
	if !a.isClosed {
		a.isClosed = true
		for r := range a.timers {
			a.stopLocked(r)
		}
		a.closeIdleLocked()
	}
	a.mu.Unlock()
	select {
	case <-a.idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
