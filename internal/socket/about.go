package socket

import (
	"net"
	"net/netip"
	"time"
)

// IsOpen reports whether messages flow: the connection was started and is not being closed.
func (c *Conn) IsOpen() bool { return c.isOpen() }

// IsSpare reports whether the connection has one of the descriptors that are kept for others:
// it is to be told so and closed.
func (c *Conn) IsSpare() bool { return c.isSpare }

// Handler is what the connection was started with; nil before that, and after Handler.Closed.
func (c *Conn) Handler() Handler {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.handler
}

// Opened is when the connection was accepted, within 100 ms.
func (c *Conn) Opened() time.Time {
	return c.eng.started.Add(time.Duration(c.opened-1) * tick)
}

// Waiting is the number of bytes that wait to be written.
func (c *Conn) Waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.queue == nil {
		return 0
	}
	return c.queue.Bytes()
}

// PeerIP is the address at the other end, as the system knows it: a proxy's, if there is one
// before the client. It is not valid for a unix socket and once the connection is gone.
func (c *Conn) PeerIP() netip.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state >= cutting {
		return netip.Addr{}
	}
	if c.stream == nil {
		return c.peerLocked()
	}
	a, ok := c.stream.nc.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return a.AddrPort().Addr().Unmap().WithZone("")
}
