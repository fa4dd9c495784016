package session

import (
	"time"

	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/view"
)

// Watching is the part of a session in live views, in either protocol: its subscriptions, and the pace at
// which snapshots are sent to it. Its methods are called one at a time per connection, as the methods of
// view.Connection are.
type Watching struct {
	view.Connection

	pace limit.Pace
}

// Spend counts a frame of a snapshot, which takes so long at the rate of snapshots.
func (w *Watching) Spend(now time.Time, takes time.Duration) { w.pace.Spend(now, takes) }

// Pause returns how long no more of a snapshot should be sent; zero: it may be sent now.
func (w *Watching) Pause(now time.Time) time.Duration { return w.pace.Wait(now) }

// Left returns how long snapshots that wait for their pace have still to wait; zero: none waits.
func (w *Watching) Left(now time.Time) time.Duration {
	if !w.IsWaiting() {
		return 0
	}
	return w.pace.Wait(now)
}

// Resume goes on with snapshots that waited for their pace, once that is over.
func (w *Watching) Resume(e *view.Engine, now time.Time) {
	if w.IsWaiting() && w.pace.Wait(now) == 0 {
		e.Resume(&w.Connection)
	}
}
