package socket

import (
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"

	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/rawio"
	"github.com/millrace/millrace/internal/websocket"
)

const (
	// maxReads is how often a turn reads before it looks at its other events: a peer that sends
	// faster than its bytes are handled must not keep a timer from ending its connection.
	maxReads   = 64
	tableChunk = 1 << 10 // descriptors in one piece of the table
)

// poller waits for the sockets of its connections.
type poller struct {
	eng  *Engine
	poll *rawio.Poll

	// table maps descriptors to connections, in pieces that are made when first needed. An
	// event for a descriptor that was closed and given to another connection only makes
	// that one look at its socket once too often.
	table [1 << 12]atomic.Pointer[[tableChunk]atomic.Pointer[Conn]]
}

func (e *Engine) openPollers(n int) error {
	for range n {
		poll, err := rawio.NewPoll()
		if err != nil {
			return fmt.Errorf("socket: %w", err)
		}
		e.pollers = append(e.pollers, &poller{eng: e, poll: poll})
	}
	return nil
}

// stop ends run. No connection may be left.
func (p *poller) stop() { p.poll.Stop() }

// run hands out turns until stop.
func (p *poller) run() {
	defer p.poll.Close()
	var buf []byte
	if p.eng.inline {
		b := bufpool.Get(inlineBuffer)
		defer b.Release()
		buf = b.B[:cap(b.B)]
	}
	for {
		events, ok := p.poll.Wait()
		if !ok {
			return
		}
		for i := range events {
			p.ready(&events[i], buf)
		}
	}
}

// ready handles one event. A non-nil buf means that turns are taken here.
func (p *poller) ready(ev *rawio.Event, buf []byte) {
	c := p.lookup(int(ev.Fd))
	if c == nil {
		return
	}
	if ev.Events&rawio.CanWrite != 0 {
		c.flush()
	}
	if ev.Events&^rawio.CanWrite == 0 {
		return
	}
	events := eventRead
	if ev.Events&rawio.HasEnded != 0 {
		events |= eventEnd
	}
	switch {
	case !c.raise(events):
	case buf != nil:
		c.turn(buf)
	case events&eventEnd != 0:
		c.reaper().put(c)
	default:
		p.eng.dispatch(c)
		p.eng.giveWay()
	}
}

func (p *poller) lookup(fd int) *Conn {
	if chunk := p.table[fd/tableChunk].Load(); chunk != nil {
		return chunk[fd%tableChunk].Load()
	}
	return nil
}

func (p *poller) each(f func(*Conn)) {
	for i := range p.table {
		chunk := p.table[i].Load()
		if chunk == nil {
			continue
		}
		for j := range chunk {
			if c := chunk[j].Load(); c != nil {
				f(c)
			}
		}
	}
}

// register enters c in the table before its first event can come.
func (p *poller) register(c *Conn) error {
	fd := int(c.fd)
	if fd >= len(p.table)*tableChunk {
		return fmt.Errorf("socket: descriptor %d is beyond the table", fd)
	}
	slot := &p.table[fd/tableChunk]
	if slot.Load() == nil {
		slot.CompareAndSwap(nil, new([tableChunk]atomic.Pointer[Conn]))
	}
	slot.Load()[fd%tableChunk].Store(c)
	return p.poll.Add(fd)
}

func (p *poller) forget(fd int) {
	if fd >= len(p.table)*tableChunk {
		return
	}
	if chunk := p.table[fd/tableChunk].Load(); chunk != nil {
		chunk[fd%tableChunk].Store(nil)
	}
}

// adopt takes the descriptor of nc away from the Go runtime. nc is closed. Without success
// nc is as before.
func (e *Engine) adopt(c *Conn, nc net.Conn) (fd int, err error) {
	if fd, err = rawio.Take(nc); err != nil {
		return -1, err
	}
	c.fd = int32(fd)
	c.poller = e.pollers[fd%len(e.pollers)]
	c.wheel = e.wheels[fd%len(e.wheels)]
	return fd, nil
}

// armWriteLocked makes the poller report when the socket can be written again.
func (c *Conn) armWriteLocked() {
	if c.writeArmed || c.state == corked || c.stream != nil {
		return
	}
	c.writeArmed = true // for good: the kernel reports only after a write has been refused
	if err := c.poller.poll.AddWrites(int(c.fd)); err != nil {
		c.cutLocked(ReasonLost)
	}
}

// writeSocket writes what the socket takes of b. ok is false when the connection is lost.
func (c *Conn) writeSocket(b []byte) (n int, ok bool) {
	n, errno := rawio.Write(int(c.fd), b)
	return n, errno == 0 || errno == rawio.Again
}

// read reads until the socket is dry and handles what comes. A short read means dry, as what
// comes from then on makes a new event; unless the stream has ended, which the same event
// has told with the last bytes. The turn is held.
func (c *Conn) read(buf []byte, toEnd bool) {
	for reads := 0; ; reads++ {
		if reads == maxReads {
			c.raise(eventRead | eventEnd) // the end may have come in between
			return
		}
		c.mu.Lock()
		stop := c.state == corked || c.state >= cutting || c.isPaused.Load()
		c.mu.Unlock()
		if stop {
			return
		}
		if c.hasUnread() {
			c.consumeUnread()
			toEnd = true // the bytes in the socket were announced long ago
			continue
		}
		n, errno := rawio.Read(int(c.fd), buf)
		switch {
		case errno == rawio.Again:
			return
		case errno != 0 || n == 0:
			c.lost()
			return
		}
		c.consume(buf[:n])
		if n < len(buf) && !toEnd {
			return
		}
	}
}

// finalBit is the one of a frame that no other continues.
const finalBit = 0x80

// peekEnd reports whether the end, or a close frame, is the next thing to be read. The turn is
// held.
func (c *Conn) peekEnd() bool {
	b, n, errno := rawio.Peek(int(c.fd))
	if errno != 0 {
		return errno != rawio.Again
	}
	return n == 0 || c.partial == nil && b == finalBit|byte(websocket.OpClose)
}

// peerLocked is the address that the descriptor is connected to.
func (c *Conn) peerLocked() netip.Addr { return rawio.Peer(int(c.fd)) }

func (c *Conn) shutdownLocked() {
	if c.stream != nil {
		c.stream.closeLocked()
		return
	}
	rawio.Shutdown(int(c.fd))
}

func (c *Conn) closeDescriptorLocked() {
	if c.stream != nil {
		c.stream.forget(c)
		return
	}
	c.poller.forget(int(c.fd))
	rawio.Close(int(c.fd))
}
