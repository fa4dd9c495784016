package socket

import (
	"net"
	"sync/atomic"
	"time"
)

// spare is what the engine knows about the descriptors that are kept for others than its
// connections. The system gives the lowest descriptor that is free, so its number tells how
// many are taken.
type spare struct {
	first  int           // of the spare descriptors; zero: there are none
	most   int32         // connections that may have one at a time
	taken  atomic.Int32  // connections that have one
	seenAt atomic.Uint32 // tick at which a connection has last got one
}

// fullFor is how long descriptors count as taken after a connection got a spare one.
const fullFor = time.Second

// IsSpare reports whether the connection has one of the descriptors that are kept for others:
// it is to be told so and closed.
func (c *Conn) IsSpare() bool { return c.isSpare }

// IsFull reports whether a connection would get one of the descriptors that are kept for
// others, as far as is known.
func (e *Engine) IsFull() bool {
	seen := e.spare.seenAt.Load()
	return seen > 0 && e.now.Load()-seen < uint32(fullFor/tick)
}

// IsExhausted reports whether not even connections that are only told so should be accepted.
func (e *Engine) IsExhausted() bool { return e.IsFull() && e.spare.taken.Load() >= e.spare.most }

// noteDescriptor counts c in if its descriptor is a spare one.
func (e *Engine) noteDescriptor(c *Conn, nc net.Conn) {
	if e.spare.first <= 0 {
		return
	}
	fd := int(c.fd)
	if c.stream != nil {
		fd = Descriptor(nc)
	}
	if fd < e.spare.first {
		return
	}
	c.isSpare = true
	e.spare.taken.Add(1)
	e.spare.seenAt.Store(e.now.Load())
}
