package socket

import (
	"time"

	"github.com/millrace/millrace/internal/bufpool"
)

// StallFor looks at c as the engine will if nothing happens for d.
func (c *Conn) StallFor(d time.Duration) { c.closeStalled(c.eng.present()+uint32(d/tick), false) }

// LingerFor gives peers d to take what is sent to them at the end, before there are any.
func (e *Engine) LingerFor(d time.Duration) { e.linger, e.slowLinger = d, d }

// TakeTurn keeps the turn of c, which has not been started, from everybody else.
func (c *Conn) TakeTurn() { c.events.Store(turnTaken) }

// HasArrived reports whether the poller has said that there is something to read.
func (c *Conn) HasArrived() bool { return c.events.Load()&eventRead != 0 }

// Expire handles the timer before what else there is, and gives the turn back.
func (c *Conn) Expire() {
	buf := make([]byte, readBuffer)
	c.handle(eventTimer, buf)
	c.turn(buf)
}

// LastRead is the tick of the last sign of life.
func (c *Conn) LastRead() uint32 { return c.lastRead.Load() }

// IsPaused reports whether nothing is read from c.
func (c *Conn) IsPaused() bool { return c.isPaused.Load() }

// Held is the bytes of the buffers that the queue of c keeps.
func (c *Conn) Held() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.queue == nil {
		return 0
	}
	for s := range c.queue.All() {
		n += cap(s.Buf.B)
	}
	return n
}

// Shares reports whether the last that waits for c and for d is kept once for both.
func (c *Conn) Shares(d *Conn) bool {
	last := c.lastQueued()
	return last != nil && last == d.lastQueued()
}

func (c *Conn) lastQueued() (last *bufpool.Buffer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.queue == nil {
		return nil
	}
	for s := range c.queue.All() {
		last = s.Buf
	}
	return last
}
