package socket

import (
	"sync"
	"time"

	"github.com/millrace/millrace/internal/bufpool"
)

const (
	// minReap and maxReap bound how many ends are seen to before everybody else gets a chance:
	// they take less than a millisecond. Of a long list it is more, lest those at its end wait for
	// half a minute.
	minReap   = 4
	maxReap   = 8
	reapShare = 2048 // the part of the list that is a batch, if that is more
	// reapPause is that chance. Giving way to goroutines that can run would not do: the
	// runtime looks for arrived packets only when it has nothing to run. Kernels make about a
	// millisecond of it.
	reapPause = 200 * time.Microsecond
	// promptPause is what a pause takes at most when nobody else wants the processors.
	promptPause = 1500 * time.Microsecond
)

// reaper takes the turns of connections that end, one after the other, whoever ends them. When
// a network drops thousands at once, or the server closes those of an app, a goroutine for each
// would fill the run queues, and what arrives for those who are still there would wait behind
// them all.
//
// It takes only turns in which the handler hears of nothing but the end; the others go to
// workers, because a handler may block, and come back if the end is what is left. One that
// blocks at its end holds up the others for two ticks at most: then each gets a goroutine.
type reaper struct {
	eng    *Engine
	signal chan struct{} // one slot, filled when somebody waits

	mu      sync.Mutex
	waiting []*Conn // from head on; their turns are taken; guarded by mu, as all below
	head    int
	taken   uint64 // turns so far
	seen    uint64 // taken, when relief last looked
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
// soon as they do not (millrace bench storm).
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
	return c, len(r.waiting) - r.head
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

// maxRelief is how many get a goroutine in one tick.
const maxRelief = 1 << 10

// relief takes some of those that wait, if none was taken since it was last called: the one
// that was taken last blocks.
func (r *reaper) relief() (some []*Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.taken == r.seen {
		for c := r.takeLocked(); c != nil; c = r.takeLocked() {
			if some = append(some, c); len(some) == maxRelief {
				break
			}
		}
		r.taken -= uint64(len(some)) // it still blocks
	}
	r.seen = r.taken
	return some
}

// relieve gives the turns that wait behind one that blocks a goroutine each.
func (r *reaper) relieve() {
	for _, c := range r.relief() {
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
