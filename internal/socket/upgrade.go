package socket

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/sendqueue"
	"github.com/millrace/millrace/internal/websocket"
)

// ErrNotUpgrade is returned by Upgrade for a request that it has answered with an HTTP
// error because it is no WebSocket upgrade.
var ErrNotUpgrade = errors.New("socket: not a websocket upgrade request")

// Upgrade takes an HTTP/1.1 request over to WebSocket. After an error the request has been
// answered or its connection is gone.
//
// The connection is corked: Send, WriteSegments and Close only queue, and nothing is read,
// until Start, which the caller must call.
func (e *Engine) Upgrade(w http.ResponseWriter, r *http.Request, ep *Endpoint) (*Conn, error) {
	if status, hint := websocket.CheckUpgrade(r); status != 0 {
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Sec-WebSocket-Version", "13")
		http.Error(w, hint, status)
		return nil, ErrNotUpgrade
	}
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		http.Error(w, "WebSocket needs HTTP/1.1", http.StatusHTTPVersionNotSupported)
		return nil, ErrNotUpgrade
	}
	if !e.admit() {
		http.Error(w, "The server is shutting down", http.StatusServiceUnavailable)
		return nil, ErrStopped
	}
	nc, rw, err := hijacker.Hijack()
	if err != nil {
		e.retire()
		return nil, fmt.Errorf("socket: hijack: %w", err)
	}
	c := e.newConn(ep, nc)
	head := append(make([]byte, 0, 160), "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"+
		"Connection: Upgrade\r\nSec-WebSocket-Accept: "...)
	head = websocket.AppendAccept(head, r.Header.Get("Sec-Websocket-Key"))
	c.upgradeHead = append(head, "\r\n\r\n"...)
	if n := rw.Reader.Buffered(); n > 0 {
		early, _ := rw.Peek(n)
		c.keepPartial().unread = append([]byte(nil), early...)
	}
	return c, nil
}

// newConn makes a corked connection over nc, on a poller if there is one for it.
func (e *Engine) newConn(ep *Endpoint, nc net.Conn) *Conn {
	c := &Conn{eng: e, ep: ep}
	_ = nc.SetDeadline(time.Time{}) // net/http may have set one
	if err := e.adopt(c, nc); err != nil {
		n := int(e.next.Add(1))
		c.stream = &stream{nc: nc, reaper: e.reaperOf(n)}
		c.wheel = e.wheels[n%len(e.wheels)]
	}
	e.noteDescriptor(c, nc)
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
