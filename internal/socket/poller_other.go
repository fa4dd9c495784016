//go:build !linux

package socket

import (
	"errors"
	"net"
	"net/netip"
)

// poller does not exist here: every connection is a stream.
type poller struct{}

func (e *Engine) openPollers(int) error { return nil }

func (*poller) run()                 {}
func (*poller) stop()                {}
func (*poller) each(func(*Conn))     {}
func (*poller) register(*Conn) error { return errors.ErrUnsupported }

func (e *Engine) adopt(*Conn, net.Conn) (int, error) { return -1, errors.ErrUnsupported }

func (c *Conn) armWriteLocked() {}

func (c *Conn) writeSocket([]byte) (int, bool) { return 0, false }

func (c *Conn) read([]byte, bool) {}

func (c *Conn) peekEnd() bool { return false }

func (c *Conn) peerLocked() netip.Addr { return netip.Addr{} }

func (c *Conn) shutdownLocked() { c.stream.closeLocked() }

func (c *Conn) closeDescriptorLocked() { c.stream.forget(c) }
