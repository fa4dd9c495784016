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
	// a millisecond.
	reapBatch = 4
	// reapPause is that chance. Giving way to goroutines that can run would not do: the
	// runtime looks for arrived packets only when it has nothing to run.
	reapPause = 200 * time.Microsecond
)

// reaper takes the turns of connections whose peers have gone, one after the other. When a
// balancer or a network drops thousands at once, a goroutine for each would fill the run
// queues, and what arrives for those who are still there would wait behind them all.
//
// It takes only turns in which the handler hears of nothing but the end; the others go to
// workers, because a handler may block.
type reaper struct {
	signal chan struct{} // one slot, filled when somebody waits

	mu      sync.Mutex
	waiting []*Conn // their turns are taken; guarded by mu
}

func newReaper() *reaper { return &reaper{signal: make(chan struct{}, 1)} }

// put takes over the turn of c.
func (r *reaper) put(c *Conn) {
	r.mu.Lock()
	r.waiting = append(r.waiting, c)
	isFirst := len(r.waiting) == 1
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
	for {
		r.mu.Lock()
		waiting := r.waiting
		r.waiting = nil
		r.mu.Unlock()
		if len(waiting) == 0 {
			return
		}
		for i, c := range waiting {
			if i > 0 && i%reapBatch == 0 {
				time.Sleep(reapPause)
			}
			waiting[i] = nil
			if c.endsNow() {
				c.turn(buf.B[:cap(buf.B)])
			} else {
				c.eng.dispatch(c)
			}
		}
	}
}

// endsNow reports whether the end, or a close frame, is the next thing to be read. The turn is held.
func (c *Conn) endsNow() bool {
	var b [1]byte
	n, _, err := unix.Recvfrom(int(c.fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	if err != nil {
		return err != unix.EAGAIN && err != unix.EINTR
	}
	return n == 0 || c.partial == nil && b[0] == finalBit|byte(websocket.OpClose)
}

// finalBit is the one of a frame that no other continues.
const finalBit = 0x80
