package socket

import (
	"time"

	"github.com/millrace/millrace/internal/bufpool"
)

// StallFor looks at c as the engine will if nothing happens for d.
func (c *Conn) StallFor(d time.Duration) { c.closeStalled(c.eng.now.Load() + uint32(d/tick)) }

// IsPaused reports whether nothing is read from c.
func (c *Conn) IsPaused() bool { return c.isPaused.Load() }

// Held is the bytes of the buffers that the queue of c keeps.
func (c *Conn) Held() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.queue == nil {
		return 0
	}
	return c.queue.held()
}

// Shares reports whether the last that waits for c and for d is kept once for both.
func (c *Conn) Shares(d *Conn) bool {
	last := c.lastQueued()
	return last != nil && last == d.lastQueued()
}

func (c *Conn) lastQueued() *bufpool.Buffer {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.queue == nil || len(c.queue.segs) == 0 {
		return nil
	}
	return c.queue.segs[len(c.queue.segs)-1].Buf
}

func (q *queue) held() (n int) {
	for _, s := range q.segs[q.head:] {
		n += cap(s.Buf.B)
	}
	return n
}
