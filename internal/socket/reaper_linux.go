package socket

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/websocket"
)

const (
	// reapBatch is how many ends are seen to before everybody else gets a chance: less than
	// a millisecond. Of a long list it is more, lest those at its end wait for half a minute.
	reapBatch = 4
	reapShare = 2048 // the part of the list that is a batch, if that is more
	// reapPause is that chance. Giving way to goroutines that can run would not do: the
	// runtime looks for arrived packets only when it has nothing to run. Kernels make about a
	// millisecond of it.
	reapPause = 200 * time.Microsecond
)

// reaper takes the turns of connections whose peers have gone, one after the other. When a
// balancer or a network drops thousands at once, a goroutine for each would fill the run
// queues, and what arrives for those who are still there would wait behind them all.
//
// It takes only turns in which the handler hears of nothing but the end; the others go to
// workers, because a handler may block. One that blocks at its end holds up the others for two
// ticks at most: then they go to workers, too.
type reaper struct {
	signal chan struct{} // one slot, filled when somebody waits

	mu      sync.Mutex
	waiting []*Conn // from head on; their turns are taken; guarded by mu, as all below
	head    int
	taken   uint64 // turns so far
	seen    uint64 // taken, when relief last looked
}

func newReaper() *reaper { return &reaper{signal: make(chan struct{}, 1)} }

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

// reap sees to all that wait.
func (r *reaper) reap() {
	buf := bufpool.Get(readBuffer)
	defer buf.Release()
	for n := 1; ; n++ {
		c, left := r.take()
		switch {
		case c == nil:
			return
		case c.endsNow():
			c.turn(buf.B[:cap(buf.B)])
		default:
			c.eng.dispatch(c)
		}
		if n >= max(reapBatch, left/reapShare) {
			time.Sleep(reapPause)
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

// maxRelief is how many go to workers in one tick.
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

// relieve gives the turns that wait behind one that blocks to workers.
func (p *poller) relieve() {
	for _, c := range p.reaper.relief() {
		p.eng.dispatch(c)
	}
}

// endsNow reports whether the end, or a close frame, is the next thing to be read. The turn is held.
func (c *Conn) endsNow() bool {
	c.mu.Lock() // Start may be under way
	hasEarly := c.state == corked || c.early != nil
	c.mu.Unlock()
	if hasEarly { // what came with the upgrade is for the handler
		return false
	}
	var b [1]byte
	n, _, err := unix.Recvfrom(int(c.fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	if err != nil {
		return err != unix.EAGAIN && err != unix.EINTR
	}
	return n == 0 || c.partial == nil && b[0] == finalBit|byte(websocket.OpClose)
}

// finalBit is the one of a frame that no other continues.
const finalBit = 0x80
