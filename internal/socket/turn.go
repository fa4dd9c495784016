package socket

import (
	"github.com/millrace/millrace/internal/websocket"
)

// Events that a turn handles, and the bit that says that the turn is taken.
const (
	eventRead    uint32 = 1 << iota // there may be something to read
	eventEnd                        // with eventRead: the stream's end may be behind it
	eventTimer                      // the timer has fired
	eventDrained                    // the queue has emptied after IsCongested
	eventClosed                     // the connection is dead to the application
	eventCut                        // the descriptor is to be closed
	eventTrace                      // what its Tracer has noted is to be written
	turnTaken
)

// post adds an event and gives the connection a turn if it has none. It does not wait.
func (c *Conn) post(event uint32) {
	if c.raise(event) {
		c.eng.dispatch(c)
	}
}

// raise adds an event. It reports whether the caller has got the turn by that.
func (c *Conn) raise(event uint32) (taken bool) {
	for {
		old := c.events.Load()
		if c.events.CompareAndSwap(old, old|event|turnTaken) {
			return old&turnTaken == 0
		}
	}
}

// turn handles events until none is left. buf is the borrowed read buffer.
func (c *Conn) turn(buf []byte) {
	for !c.step(buf) {
	}
}

// work is turn until only the end is left, which goes to the reaper.
func (c *Conn) work(buf []byte) {
	for {
		if c.isEnding() {
			c.reaper().put(c)
			return
		}
		if c.step(buf) {
			return
		}
	}
}

// step handles the events that are there, and gives the turn back unless there are more.
func (c *Conn) step(buf []byte) (isDone bool) {
	c.handle(c.events.Swap(turnTaken), buf)
	return c.events.CompareAndSwap(turnTaken, 0)
}

func (c *Conn) handle(e uint32, buf []byte) {
	if c.stream != nil {
		c.stream.turn.Lock()
		defer c.stream.turn.Unlock()
	}
	// What has arrived counts before the time that was waited for it: a machine that stood still
	// finds both at once.
	if e&(eventRead|eventTimer) != 0 && c.stream == nil {
		c.read(buf, e&eventEnd != 0)
	}
	if e&eventTimer != 0 {
		c.expire()
	}
	if e&eventTrace != 0 {
		c.eng.traces.flush(c)
	}
	if e&eventDrained != 0 && c.isOpen() {
		c.handler.Drained(c)
	}
	if e&eventClosed != 0 && !c.toldClose {
		c.tellClosed()
	}
	if e&eventCut != 0 {
		c.finish()
	}
}

// expire handles the timer: the handler's while open, the end of the linger afterwards.
func (c *Conn) expire() {
	c.mu.Lock()
	isOpen := c.state == open
	if !isOpen {
		c.cutLocked(c.reason)
	}
	c.mu.Unlock()
	if isOpen {
		c.handler.Timeout(c)
	}
}

// tellClosed tells the handler, once.
func (c *Conn) tellClosed() {
	c.toldClose = true
	c.mu.Lock()
	reason := c.reason
	c.mu.Unlock()
	c.handler.Closed(c, reason)
	c.mu.Lock()
	c.handler = nil
	c.mu.Unlock()
}

// finish closes the descriptor and forgets the connection.
func (c *Conn) finish() {
	if !c.toldClose {
		c.tellClosed()
	}
	c.mu.Lock()
	if c.state == closed {
		c.mu.Unlock()
		return
	}
	c.state = closed
	wasTraced := c.isTraced
	c.wheel.Set(&c.timer, c, 0)
	if c.queue != nil && !c.streamWritingLocked() {
		c.queue.Free()
		c.queue = nil
	}
	c.closeDescriptorLocked()
	c.mu.Unlock()
	if wasTraced {
		c.eng.traces.end(c, nil)
	}
	if c.partial != nil {
		c.partial.free()
		c.partial = nil
	}
	if c.isSpare {
		c.eng.spare.Give()
	}
	c.eng.metrics.connections.Dec()
	c.eng.open.Done()
}

// isOpen reports whether messages still go to the handler. The turn is held.
func (c *Conn) isOpen() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state == open
}

// frame handles one whole frame, unmasked. The turn is held.
func (c *Conn) frame(h websocket.Header, payload []byte) {
	switch h.Op {
	case websocket.OpPing:
		c.reply(websocket.OpPong, payload)
	case websocket.OpPong:
	case websocket.OpClose:
		c.peerClosing(payload)
	default:
		c.dataFrame(h, payload)
	}
}
