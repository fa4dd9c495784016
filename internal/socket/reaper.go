package socket

import (
	"sync"
	"time"

	"github.com/millrace/millrace/internal/bufpool"
)

const (
	// minReap and maxReap bound how many ends are handled before open connections get a turn:
	// they take less than a millisecond. Of a long list it is more, lest those at its end wait for
	// half a minute.
	minReap   = 4
	maxReap   = 8
	reapShare = 2048 // the part of the list that is a batch, if that is more
	// reapPause is that chance. Giving way to goroutines that can run would not do: the
	// runtime looks for arrived packets only when it has nothing to run. Kernels make about a
	// millisecond of it.
	reapPause = 200 * time.Microsecond
	// promptPause is what a pause takes at most when the processors are idle.
	promptPause = 1500 * time.Microsecond
)

// reaper takes the turns of connections that end, one after the other, whichever side ends them. When
// a network drops thousands at once, or the server closes all connections of an app, a goroutine for
// each would fill the run queues, and what arrives for open connections would wait behind them all.
//
// It takes only turns in which the handler hears of nothing but the end; the others go to
// workers, because a handler may block, and come back if only the end is left. One that
// blocks at its end holds up the others for three ticks at most: then they get goroutines, some
// at first and twice as many in each tick that it goes on.
type reaper struct {
	eng    *Engine
	signal chan struct{} // one slot, filled when a connection waits

	mu      sync.Mutex
	waiting []*Conn // from head on; their turns are taken; guarded by mu, as all below
	head    int
	taken   uint64 // turns so far
	isAtOne bool   // the turn that was taken last may be under way

	seen  uint64 // taken, when relief last looked
	since uint32 // tick from which on it was the same, in a turn
	share int    // how many relief takes next
}

func newReaper(e *Engine) *reaper { return &reaper{eng: e, signal: make(chan struct{}, 1)} }

// reaperOf is the n-th, by any count; nil where handlers run on the poller.
func (e *Engine) reaperOf(n int) *reaper {
	if len(e.reapers) == 0 {
		return nil
	}
	return e.reapers[n%len(e.reapers)]
}

// reaper is always the same for a connection.
func (c *Conn) reaper() *reaper {
	if c.stream != nil {
		return c.stream.reaper
	}
	return c.eng.reaperOf(int(c.fd))
}

// put takes over the turn of c.
func (r *reaper) put(c *Conn) {
	r.mu.Lock()
	isFirst := len(r.waiting) == r.head
	r.waiting = append(r.waiting, c)
	r.mu.Unlock()
	if isFirst {
		select {
		case r.signal <- struct{}{}:
		default:
		}
	}
}

// run reaps until stop is closed. By then no connection may be left.
func (r *reaper) run(stop <-chan struct{}) {
	for {
		select {
		case <-r.signal:
			r.reap()
		case <-stop:
			return
		}
	}
}

// reap sees to all that wait: more at a time while others leave the processors to it, fewer as
// soon as they do not (make storm).
func (r *reaper) reap() {
	buf := bufpool.Get(readBuffer)
	defer buf.Release()
	batch := minReap
	for n := 1; ; n++ {
		c, left := r.take()
		switch {
		case c == nil:
			return
		case c.stream != nil && c.stream.isBusy():
			r.eng.lend(c)
		case c.endsNow():
			c.turn(buf.B[:cap(buf.B)])
		default:
			r.eng.dispatch(c)
		}
		if n >= max(batch, left/reapShare) && !r.eng.hasStopped() {
			r.rest()
			begun := time.Now()
			time.Sleep(reapPause)
			if time.Since(begun) <= promptPause {
				batch = min(batch+1, maxReap)
			} else {
				batch = max(batch/2, minReap)
			}
			n = 0
		}
	}
}

// take is the oldest that waits, nil when there is none, and how many are left.
func (r *reaper) take() (_ *Conn, left int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.takeLocked()
	r.isAtOne = c != nil
	return c, len(r.waiting) - r.head
}

// rest says that no turn is under way.
func (r *reaper) rest() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.isAtOne = false
}

func (r *reaper) takeLocked() *Conn {
	if r.head == len(r.waiting) {
		r.waiting, r.head = nil, 0
		return nil
	}
	c := r.waiting[r.head]
	r.waiting[r.head] = nil
	r.head++
	r.taken++
	if r.head >= maxReaped && r.head > len(r.waiting)/2 { // it is never quite empty: do not grow for ever
		r.waiting, r.head = append([]*Conn(nil), r.waiting[r.head:]...), 0
	}
	return c
}

// maxReaped is how many places of a list that is never empty may be spent.
const maxReaped = 1 << 12

// minRelief and maxRelief bound how many get a goroutine in one tick: few at first, as a machine
// that is busy with other things looks like a handler that blocks.
const (
	minRelief = 16
	maxRelief = 1 << 10
)

// relief takes some of those that wait, if the turn that was taken last is as long under way as a
// handler's only is when it blocks. The ticks of a busy machine may follow each other at once, so
// the time is what counts, not how often it is called.
func (r *reaper) relief(now uint32) (some []*Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.isAtOne || r.taken != r.seen {
		r.seen, r.since, r.share = r.taken, now, minRelief
		return nil
	}
	if now-r.since < 2 { // of which the first had begun
		return nil
	}
	for len(some) < r.share {
		c := r.takeLocked()
		if c == nil {
			break
		}
		some = append(some, c)
	}
	r.taken -= uint64(len(some)) // it still blocks
	r.since, r.share = now-1, min(2*r.share, maxRelief)
	return some
}

// relieve gives turns that wait behind one that blocks a goroutine each.
func (r *reaper) relieve(now uint32) {
	for _, c := range r.relief(now) {
		r.eng.lend(c)
	}
}

// isEnding reports whether the end is all that the handler has still to hear of, and is left
// to a reaper. The turn is held.
func (c *Conn) isEnding() bool {
	return c.events.Load()&(eventClosed|eventCut) != 0 && !c.toldClose && c.reaper() != nil
}

// endsNow reports whether the handler hears of nothing but the end in this turn: that is what
// it was taken for, or the next thing to be read. The turn is held.
func (c *Conn) endsNow() bool {
	c.mu.Lock() // Start may be under way
	state := c.state
	c.mu.Unlock()
	switch {
	case state > open: // every stream that comes here: its reader may be at what is asked below
		return true
	case state == corked, c.hasUnread(): // what came with the upgrade, or was set aside, is for the handler
		return false
	}
	return c.peekEnd()
}
