package socket

import (
	"crypto/rand"
	"unicode/utf8"

	"github.com/millrace/millrace/internal/websocket"
)

// partial is what a connection keeps between reads while a frame or a fragmented message is
// incomplete. It grows with what was really received, never with what a header announces.
type partial struct {
	frame   []byte // bytes of an incomplete frame, from its header on
	message []byte // payload of the fragments so far
	unread  []byte // received, but not looked at: it came with the upgrade, or reading pauses
	op      Opcode // of the fragmented message; zero when there is none
}

func (p *partial) free() { *p = partial{} }

// consume takes the bytes received next and handles every frame that is complete. It
// changes b in place. The turn is held.
func (c *Conn) consume(b []byte) {
	c.lastRead.Store(c.eng.present())
	if c.isBroken || c.setAside(b) {
		return
	}
	if c.partial != nil && len(c.partial.frame) > 0 {
		var ok bool
		if b, ok = c.completeFrame(b); !ok {
			return
		}
	}
	for len(b) > 0 && !c.isBroken {
		if c.setAside(b) {
			return
		}
		h, n, ok := c.header(b)
		if !ok {
			return
		}
		if n == 0 || len(b)-n < h.Length {
			p := c.keepPartial()
			p.frame = append(p.frame, b...)
			return
		}
		c.unmasked(h, b[n:n+h.Length])
		b = b[n+h.Length:]
	}
	if p := c.partial; p != nil && p.op == 0 && len(p.frame) == 0 {
		c.partial = nil
	}
}

// setAside keeps b for later if reading pauses. It reports whether it does.
func (c *Conn) setAside(b []byte) bool {
	if !c.isPaused.Load() {
		return false
	}
	p := c.keepPartial()
	p.unread = append(p.unread, b...)
	return true
}

// consumeUnread goes on with what was set aside. The turn is held.
func (c *Conn) consumeUnread() {
	if c.hasUnread() {
		unread := c.partial.unread
		c.partial.unread = nil
		c.consume(unread)
	}
}

// hasUnread reports whether something is set aside. The turn is held.
func (c *Conn) hasUnread() bool { return c.partial != nil && len(c.partial.unread) > 0 }

// completeFrame adds from b to the incomplete frame what it lacks, and handles it when it
// is whole. rest is what of b belongs to later frames; ok is false when there is none or
// the connection failed.
func (c *Conn) completeFrame(b []byte) (rest []byte, ok bool) {
	p := c.partial
	for {
		h, n, ok := c.header(p.frame)
		if !ok {
			return nil, false
		}
		need := n + h.Length - len(p.frame)
		if n == 0 {
			need = 1 // the header ends somewhere ahead
		}
		if need > len(b) {
			p.frame = append(p.frame, b...)
			return nil, false
		}
		p.frame = append(p.frame, b[:need]...)
		b = b[need:]
		if n > 0 {
			frame := p.frame
			p.frame = nil
			c.unmasked(h, frame[n:])
			return b, true
		}
	}
}

// header reads the header at the front of b and checks what RFC 6455 and the limits say
// about it before any of its payload is kept. n is zero while it is incomplete; ok is false
// when the connection has failed.
func (c *Conn) header(b []byte) (h websocket.Header, n int, ok bool) {
	h, n, err := websocket.ParseHeader(b)
	switch {
	case err != nil:
		c.fail(websocket.CloseProtocol, err.Error())
		return h, 0, false
	case n == 0:
		return h, 0, true
	case h.Masked == c.isClient:
		c.fail(websocket.CloseProtocol, "frames from a client, and only those, are masked")
		return h, 0, false
	}
	size := h.Length
	if h.Op == websocket.OpContinuation && c.partial != nil {
		size += len(c.partial.message)
	}
	if !h.Op.IsControl() && size > c.ep.MaxMessage {
		c.fail(websocket.CloseTooLarge, "message too large")
		return h, 0, false
	}
	return h, n, true
}

func (c *Conn) unmasked(h websocket.Header, payload []byte) {
	if h.Masked {
		websocket.Mask(h.Mask, payload)
	}
	c.frame(h, payload)
}

// dataFrame handles a frame of a message, which may have several (RFC 6455 5.4).
func (c *Conn) dataFrame(h websocket.Header, payload []byte) {
	isContinuation := h.Op == websocket.OpContinuation
	hasBegun := c.partial != nil && c.partial.op != 0
	switch {
	case isContinuation != hasBegun:
		c.fail(websocket.CloseProtocol, "continuation frames follow a fragment, and only they do")
	case h.Fin && !isContinuation:
		c.message(h.Op, payload)
	case h.Fin:
		p := c.partial
		op, message := p.op, append(p.message, payload...)
		p.op, p.message = 0, nil
		c.message(op, message)
	default:
		p := c.keepPartial()
		if !isContinuation {
			p.op = h.Op
		}
		p.message = append(p.message, payload...)
	}
}

func (c *Conn) message(op Opcode, payload []byte) {
	if !c.admits(op, payload) {
		return
	}
	if op == OpText && !utf8.Valid(payload) {
		c.fail(websocket.CloseInvalid, "text is not UTF-8")
		return
	}
	c.handler.Message(c, op, payload)
}

func (c *Conn) keepPartial() *partial {
	if c.partial == nil {
		c.partial = new(partial)
	}
	return c.partial
}

// maskKey draws a mask that the sender of a page's script cannot guess (RFC 6455 10.3).
func maskKey() (key [4]byte) {
	_, _ = rand.Read(key[:]) // never fails, see crypto/rand
	return key
}
