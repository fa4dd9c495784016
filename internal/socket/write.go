package socket

import (
	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/sendqueue"
)

// write writes segs at once if nothing waits, and queues what the socket does not take.
func (c *Conn) write(segs []bufpool.Segment, isReply bool) {
	c.mu.Lock()
	switch {
	case c.state > open:
		c.mu.Unlock()
		return
	case c.isTraced:
		c.noteLocked(segs)
	}
	switch {
	case c.state == corked || c.queue != nil || c.stream != nil:
	case len(segs) == 1:
		s := segs[0]
		n, ok := c.writeSocket(s.Buf.B[s.Start:s.End])
		if n == s.End-s.Start {
			c.mu.Unlock()
			return
		}
		if !ok {
			c.cutLocked(ReasonLost)
			c.mu.Unlock()
			return
		}
		c.queueRestLocked(s, n, isReply)
		segs = nil
	default:
		c.writeJoinedLocked(segs)
		segs = nil
	}
	isFull := len(segs) > 0 && c.enqueueLocked(segs, isReply)
	if !isFull && c.queue != nil {
		isFull = !isReply && !c.ep.DropWhenFull && c.queue.IsOver(c.ep.limits())
	}
	if isFull {
		c.closeSlowLocked()
	} else if c.queue != nil {
		c.pauseLocked()
	}
	c.mu.Unlock()
}

// writeJoinedLocked joins several segments for one system call: cheaper than a vector for
// the few kilobytes that a batch has.
func (c *Conn) writeJoinedLocked(segs []bufpool.Segment) {
	size, frames := 0, 0
	for _, s := range segs {
		size += s.End - s.Start
		frames += s.Frames
	}
	buf := bufpool.Get(size)
	for _, s := range segs {
		buf.B = append(buf.B, s.Bytes()...)
	}
	n, ok := c.writeSocket(buf.B)
	switch {
	case n == size:
	case !ok:
		c.cutLocked(ReasonLost)
	default:
		c.queueRestLocked(bufpool.Segment{Buf: buf, End: size, Frames: frames}, n, false)
	}
	buf.Release()
}

// queueRestLocked queues s, of which n bytes have been written, as the first of the queue.
// A connection that took a part of a segment is owed the rest, up to the limits.
func (c *Conn) queueRestLocked(s bufpool.Segment, n int, isReply bool) {
	c.queue = sendqueue.Get()
	if isReply {
		c.queue.Push(c.keep(s))
	} else {
		s.Buf.Retain()
		c.queue.Push(s)
	}
	if n > 0 {
		c.queue.Wrote(n)
		c.queue.Tighten()
	}
	if c.ep.DropWhenFull {
		c.eng.metrics.dropped.Add(float64(c.queue.Trim(c.ep.limits())))
	}
	c.queue.AllowFront(c.ep.limits())
	c.armWriteLocked()
}

// minShared is the size of replies from which on equal ones to several connections are kept
// once: lists of members, cached events, snapshots.
const minShared = 16 << 10

// keep is s, the whole of a buffer, with a reference of its own: to that buffer, or, of a large
// reply, to one of the same bytes that waits for other connections. What the hub writes is
// shared already.
func (c *Conn) keep(s bufpool.Segment) bufpool.Segment {
	if s.End < minShared || c.isClient {
		s.Buf.Retain()
		return s
	}
	s.Buf = c.eng.shelf.Share(s.Bytes())
	return s
}

// enqueueLocked queues segs behind what waits. It reports whether the queue is full in the
// sense that the connection must be closed.
func (c *Conn) enqueueLocked(segs []bufpool.Segment, isReply bool) (isFull bool) {
	if c.queue == nil {
		c.queue = sendqueue.Get()
	}
	for _, s := range segs {
		if isReply {
			isFull = isFull || !c.ep.DropWhenFull && c.queue.IsOver(c.ep.limits())
			c.enqueueReplyLocked(s)
			continue
		}
		frames, end := c.queue.Fits(s, c.ep.limits())
		if frames < s.Frames {
			if !c.ep.DropWhenFull {
				return true
			}
			c.eng.metrics.dropped.Add(float64(s.Frames - frames))
			s.Frames, s.End = frames, end
		}
		if s.Frames > 0 {
			isFirst := c.queue.IsEmpty()
			c.queue.Add(s)
			if isFirst {
				c.queue.AllowFront(c.ep.limits())
			}
		}
	}
	if c.state != corked && c.stream != nil {
		c.stream.wakeLocked(c)
	}
	return isFull
}

// enqueueReplyLocked queues a reply, whatever its size: as reading pauses while the queue is
// congested, those that come then are few.
func (c *Conn) enqueueReplyLocked(s bufpool.Segment) {
	if s.End < minShared {
		c.queue.Add(s)
	} else {
		c.queue.Push(c.keep(s))
	}
	c.queue.AllowReply(s.End, c.ep.limits())
}

// flush writes what waits; called when the socket can be written again.
func (c *Conn) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.queue == nil || c.state == corked || c.state >= cutting || c.stream != nil {
		return
	}
	c.flushLocked()
}

func (c *Conn) flushLocked() {
	for !c.queue.IsEmpty() {
		b := c.queue.Front().Bytes()
		n, ok := c.writeSocket(b)
		if !ok {
			c.cutLocked(ReasonLost)
			return
		}
		if n > 0 {
			c.queue.Wrote(n)
			c.resumeLocked()
		}
		if n < len(b) {
			c.armWriteLocked()
			return
		}
	}
	c.drainedLocked()
}

// drainedLocked ends the queue, which is empty, and goes on with what waited for that.
func (c *Conn) drainedLocked() {
	c.queue.Free()
	c.queue = nil
	c.tellDrainedLocked()
	if c.peerClosed {
		c.cutLocked(c.reason)
	}
}

// tellDrainedLocked lets the handler know that the queue is empty, if it waits for that.
func (c *Conn) tellDrainedLocked() {
	if c.tellDrained && c.state == open {
		c.tellDrained = false
		c.post(eventDrained)
	}
}
