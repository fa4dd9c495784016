package socket

import (
	"sync"
	"time"
)

const (
	// mostCongested is the most that waits of a connection from which more is read, unless its
	// endpoint says otherwise.
	mostCongested = 256 << 10
	// stallTimeout is how long a congested peer may take nothing, unless its endpoint says otherwise.
	stallTimeout = 30 * time.Second
	// stallCheck is how often that is looked at.
	stallCheck = time.Second
	// lateCheck is how late that is only when the process, or the machine, stood still.
	lateCheck = 5 * time.Second
)

// IsCongested reports whether more bytes should not be queued now because others wait
// already: more than Endpoint.CongestedBytes with them, or half of the frames allowed. It
// never is when nothing waits, nor when the connection is closing and takes nothing anyway.
// After true, Handler.Drained is called.
func (c *Conn) IsCongested(more int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.isCongestedLocked(more) {
		return false
	}
	c.tellDrained = true
	return true
}

func (c *Conn) isCongestedLocked(more int) bool {
	if c.state > open || c.queue == nil || c.queue.IsEmpty() {
		return false
	}
	return c.queue.Bytes()+more > c.ep.congestedBytes() || c.queue.Frames() >= (c.ep.MaxQueueFrames+1)/2
}

func (ep *Endpoint) congestedBytes() int {
	switch {
	case ep.CongestedBytes > 0:
		return ep.CongestedBytes
	case ep.MaxQueueBytes > 0:
		return min(ep.MaxQueueBytes/2, mostCongested)
	default:
		return mostCongested
	}
}

// pauseLocked stops reading from a peer for which too much waits: what it asked for and does
// not take is no reason to answer more.
func (c *Conn) pauseLocked() {
	if c.state != open || c.isPaused.Load() || !c.isCongestedLocked(0) {
		return
	}
	c.isPaused.Store(true)
	c.queue.Note = c.eng.present()
	c.eng.stalls.add(c)
}

// resumeLocked notes that the peer has taken something, and reads on if so little is left that
// reading need not pause again at once. A peer that takes what it gets is alive, though nothing
// is read that would show it.
func (c *Conn) resumeLocked() {
	if !c.isPaused.Load() {
		return
	}
	now := c.eng.present()
	c.queue.Note = now
	c.lastRead.Store(now)
	if c.queue.IsEmpty() || 2*c.queue.Bytes() <= c.ep.congestedBytes() && 4*c.queue.Frames() <= c.ep.MaxQueueFrames {
		c.readOnLocked()
	}
}

// readOnLocked ends a pause of reading.
func (c *Conn) readOnLocked() {
	if !c.isPaused.Load() {
		return
	}
	c.isPaused.Store(false)
	c.eng.stalls.remove(c)
	if c.stream != nil {
		c.stream.readOnLocked()
		return
	}
	c.post(eventRead | eventEnd) // the end may have come in between
}

// stalls are the connections from which reading pauses.
type stalls struct {
	mu    sync.Mutex
	conns map[*Conn]struct{} // guarded by mu
}

func (s *stalls) add(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == nil {
		s.conns = make(map[*Conn]struct{})
	}
	s.conns[c] = struct{}{}
}

func (s *stalls) remove(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if delete(s.conns, c); len(s.conns) == 0 {
		s.conns = nil // a map never shrinks
	}
}

// all appends the connections to buf.
func (s *stalls) all(buf []*Conn) []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		buf = append(buf, c)
	}
	return buf
}

// checkStalls disconnects those whose peers have taken nothing for too long. While the process
// stands still no peer can be seen to take anything: afterwards each has its time again.
func (e *Engine) checkStalls(now uint32, buf []*Conn) []*Conn {
	late := now - e.checked
	if late < uint32(stallCheck/tick) {
		return buf
	}
	e.checked, buf = now, e.stalls.all(buf[:0])
	for i, c := range buf {
		c.closeStalled(now, late >= uint32(lateCheck/tick))
		buf[i] = nil
	}
	return buf
}

// closeStalled disconnects c if its peer has taken nothing for too long, unless that is forgiven.
func (c *Conn) closeStalled(now uint32, isForgiven bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	limit := c.ep.StallTimeout
	if limit <= 0 {
		limit = stallTimeout
	}
	switch {
	case !c.isPaused.Load() || c.state != open:
	case isForgiven:
		c.queue.Note = now
	case int32(now-c.queue.Note) >= int32(limit/tick):
		c.closeSlowLocked()
	}
}
