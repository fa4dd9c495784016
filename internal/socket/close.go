package socket

import (
	"time"

	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/sendqueue"
	"github.com/millrace/millrace/internal/websocket"
)

const (
	// lingerTimeout is how long the closing handshake may take before the connection is cut.
	lingerTimeout = 5 * time.Second
	// slowLinger is the same for a slow consumer, who has shown that it does not read
	// (pusher 7.7).
	slowLinger = time.Second
)

// Close sends what is queued, then f, and closes. It reports whether this call ended the connection:
// it does nothing if an earlier call, or the peer, has ended it.
func (c *Conn) Close(f Disconnect) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state > open {
		return false
	}
	c.disconnectLocked(f, ReasonServer, c.eng.linger)
	return true
}

// CloseCode is the code of the close frame that this side began the closing with; zero when
// the peer began it, or when it has not begun.
func (c *Conn) CloseCode() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int(c.closeCode)
}

// closeSlowLocked disconnects a slow consumer: the last message must not wait behind the
// backlog, so the backlog is dropped, save the rest of a frame that was begun.
func (c *Conn) closeSlowLocked() {
	if c.state > open {
		return
	}
	c.eng.metrics.slowConsumers.Inc()
	if c.queue != nil && c.state == open {
		inFlight := 0
		if c.stream != nil {
			inFlight = len(c.stream.inFlight)
		}
		c.queue.DropBehind(inFlight)
	}
	c.disconnectLocked(c.ep.SlowConsumer, ReasonSlowConsumer, c.eng.slowLinger)
}

// disconnectLocked makes f the last thing that is written, and the connection dead to the
// application.
func (c *Conn) disconnectLocked(f Disconnect, reason CloseReason, linger time.Duration) {
	buf := bufpool.Get(len(f.Message) + len(f.Reason) + 2*websocket.MaxHeader)
	frames := 1
	if len(f.Message) > 0 {
		op := OpText
		if f.IsBinary {
			op = OpBinary
		}
		buf.B = c.appendFrame(buf.B, op, f.Message)
		frames++
	}
	buf.B = c.appendFrame(buf.B, websocket.OpClose, websocket.AppendClosePayload(nil, f.Code, f.Reason))
	c.closeCode = uint16(f.Code)
	c.lastWriteLocked(buf, frames, reason, linger)
}

// lastWriteLocked queues buf, which it takes over, behind what waits, whatever the limits,
// and begins to close.
func (c *Conn) lastWriteLocked(buf *bufpool.Buffer, frames int, reason CloseReason, linger time.Duration) {
	wasCorked := c.state == corked
	c.reason = reason
	if c.queue == nil {
		c.queue = sendqueue.Get()
	}
	last := bufpool.Segment{Buf: buf, End: len(buf.B), Frames: frames}
	if c.isTraced {
		c.noteLocked([]bufpool.Segment{last})
	}
	c.queue.Push(last)
	c.state = closing
	c.readOnLocked() // for the peer's own close frame
	if wasCorked {
		return // Start goes on
	}
	c.setTimerLocked(linger)
	c.post(eventClosed)
	if c.stream != nil {
		c.stream.wakeLocked(c)
	} else {
		c.flushLocked()
	}
}

// peerClosing answers the peer's close frame. The turn is held.
func (c *Conn) peerClosing(payload []byte) {
	code, _, err := websocket.ParseClose(payload)
	reason := ReasonPeer
	if err != nil {
		code, reason = websocket.CloseProtocol, ReasonProtocol
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.peerClosed = true
	switch {
	case c.state == closing && c.queue == nil:
		c.cutLocked(c.reason) // the answer to our own close frame: the handshake is done
	case c.state == open:
		buf := bufpool.Get(websocket.MaxControl + websocket.MaxHeader)
		buf.B = c.appendFrame(buf.B, websocket.OpClose, websocket.AppendClosePayload(nil, code, ""))
		c.lastWriteLocked(buf, 1, reason, c.eng.linger)
	}
}

// fail closes the connection because the peer broke the protocol. The turn is held.
func (c *Conn) fail(code int, reason string) {
	c.isBroken = true
	c.partial = nil
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state > open {
		return
	}
	c.disconnectLocked(Disconnect{Code: code, Reason: reason}, ReasonProtocol, c.eng.slowLinger)
}

// cut ends the connection without a word.
func (c *Conn) cut(reason CloseReason) {
	c.mu.Lock()
	c.cutLocked(reason)
	c.mu.Unlock()
}

// cutLocked makes the next turn close the descriptor, and stops the peer at once in case
// the present turn takes long.
func (c *Conn) cutLocked(reason CloseReason) {
	if c.state == corked || c.state >= cutting {
		return // a corked connection is cut by Start at the latest, see engine.admit
	}
	c.shutdownLocked()
	c.beginCutLocked(reason)
}

func (c *Conn) beginCutLocked(reason CloseReason) {
	if c.state == open {
		c.reason = reason
	}
	c.state = cutting
	c.readOnLocked()
	c.post(eventClosed | eventCut)
}

// lost is cut after a read has shown that the peer is gone, so that it need not be stopped. The turn
// is held.
func (c *Conn) lost() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != corked && c.state < cutting {
		c.beginCutLocked(ReasonLost)
	}
}
