package socket

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/descriptor"
	"github.com/millrace/millrace/internal/handshake"
	"github.com/millrace/millrace/internal/sendqueue"
)

// Upgrade takes an HTTP/1.1 request over to WebSocket. After an error the request has been
// answered (handshake.ErrNotUpgrade, ErrStopped), or its connection is gone.
//
// The connection is corked: Send, WriteSegments and Close only queue, and nothing is read,
// until Start, which the caller must call.
func (e *Engine) Upgrade(w http.ResponseWriter, r *http.Request, ep *Endpoint) (*Conn, error) {
	if err := handshake.Check(w, r); err != nil {
		return nil, err
	}
	if !e.admit() {
		http.Error(w, "The server is shutting down", http.StatusServiceUnavailable)
		return nil, ErrStopped
	}
	opened, err := handshake.Accept(w, r)
	if err != nil {
		e.retire()
		return nil, err
	}
	return e.newConn(ep, opened), nil
}

// Dial opens a client connection to a ws:// or wss:// address with d, which may be nil. The
// connection is corked as after Upgrade.
func (e *Engine) Dial(ctx context.Context, address string, ep *Endpoint, d *net.Dialer) (*Conn, error) {
	opened, err := handshake.Dial(ctx, address, d)
	if err != nil {
		return nil, err
	}
	if !e.admit() {
		_ = opened.Close()
		return nil, ErrStopped
	}
	c := e.newConn(ep, opened)
	c.isClient = true
	return c, nil
}

// newConn makes a corked connection, on a poller if there is one for it.
func (e *Engine) newConn(ep *Endpoint, opened handshake.Opened) *Conn {
	c, nc := &Conn{eng: e, ep: ep, upgradeHead: opened.Answer}, opened.Conn
	if len(opened.Early) > 0 {
		c.keepPartial().unread = opened.Early
	}
	_ = nc.SetDeadline(time.Time{}) // net/http may have set one
	fd, err := e.adopt(c, nc)
	if err != nil {
		n := int(e.next.Add(1))
		c.stream = &stream{nc: nc, reaper: e.reaperOf(n)}
		c.wheel = e.wheels[n%len(e.wheels)]
		fd = descriptor.Of(nc)
	}
	c.isSpare = e.spare.Take(fd, e.clock())
	c.opened = e.now.Load()
	c.lastRead.Store(c.opened)
	return c
}

// retire undoes admit for a connection that never was.
func (e *Engine) retire() {
	e.metrics.connections.Dec()
	e.open.Done()
}

// Start uncorks the connection: the answer to the upgrade and the messages queued since then go
// out in one write, reading begins, and h is called from now on.
func (c *Conn) Start(h Handler) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.handler = h
	wasClosed := c.state == closing
	if c.state = open; wasClosed {
		c.state = closing
	}
	if c.stream == nil {
		// Before the first write: a write that the socket refuses arms the poller.
		if err := c.poller.register(c); err != nil {
			c.eng.log.Error("connection not registered", "err", err)
			c.cutLocked(ReasonLost)
			return
		}
	}
	c.uncorkLocked()
	if c.stream != nil {
		c.eng.startStream(c)
		c.stream.wakeLocked(c)
	}
	if c.eng.hasStopped() { // Run may have looked for connections before this one was there
		c.cutLocked(ReasonShutdown)
		return
	}
	events := uint32(0)
	if wasClosed {
		linger := c.eng.linger
		if c.isSpare {
			linger = c.eng.slowLinger // others need the descriptor
		}
		c.setTimerLocked(linger)
		events = eventClosed
	}
	if c.stream == nil && c.hasUnread() { // a stream's reader begins with it
		events |= eventRead | eventEnd // the end may be behind it
	}
	if events != 0 {
		c.post(events)
	}
}

// uncorkLocked joins the response to the upgrade and the queued frames into one write.
func (c *Conn) uncorkLocked() {
	head := bufpool.Segment{Buf: bufpool.Get(len(c.upgradeHead) + 512)}
	head.Buf.B = append(head.Buf.B, c.upgradeHead...)
	c.upgradeHead = nil
	frames := 0
	if c.queue != nil {
		for s := range c.queue.All() {
			head.Buf.B = append(head.Buf.B, s.Bytes()...)
			frames += s.Frames
		}
		c.queue.Free()
		c.queue = nil
	}
	head.End, head.Frames = len(head.Buf.B), frames
	defer head.Buf.Release()
	if head.End == 0 {
		return
	}
	if c.stream == nil {
		// A fresh socket takes a few kilobytes whole. One that does not is of no use: the
		// response is no frame, so a rest of it could not be accounted for.
		if n, _ := c.writeSocket(head.Buf.B); n < head.End {
			c.cutLocked(ReasonLost)
		}
		c.tellDrainedLocked()
		return
	}
	head.Buf.Retain()
	c.queue = sendqueue.Get()
	c.queue.Push(head)
}
