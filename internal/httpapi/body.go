package httpapi

import (
	"fmt"
	"io"
	"net/http"

	"github.com/millrace/millrace/internal/auth"
	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/coding"
)

// The buffer lent for a body before any of it has come.
const (
	smallRead = 4 << 10  // for a body of unknown length
	firstRead = 64 << 10 // at most: announcing a length costs the sender nothing
)

// readBody reads the whole body, or fails as soon as it is too large, and compares it with what
// was signed of it. It comes after authenticate: a sender without a secret makes the server
// keep no body.
func (h *handler) readBody(c *call, r *http.Request) *failure {
	if r.ContentLength != 0 && r.Body != nil {
		if f := h.takeBody(c, r); f != nil {
			return f
		}
	}
	if err := auth.VerifyBody(c.bytes(), &c.query); err != nil {
		return unauthorized(err)
	}
	return nil
}

// takeBody reads into c.body.
func (h *handler) takeBody(c *call, r *http.Request) *failure {
	if name := coding.Of(r.Header); name != "" {
		return fail(codeEncoding, coding.Advice(name))
	}
	if r.ContentLength > h.o.MaxBody {
		return h.tooLarge(r)
	}
	if err := auth.VerifyLength(r.ContentLength, &c.query); err != nil {
		return unauthorized(err)
	}
	// One byte more than there is, to read the end without growing.
	size, room := smallRead, bufpool.Room(firstRead)
	if r.ContentLength > 0 {
		size = min(int(r.ContentLength+1), firstRead)
		room = bufpool.Room(int(r.ContentLength + 1))
	}
	if f := h.reserve(c, r, room); f != nil {
		return f
	}
	c.body = bufpool.Get(size)
	for {
		if len(c.body.B) == cap(c.body.B) {
			if cap(c.body.B) >= room { // its length was not announced
				room = bufpool.Room(int(h.o.MaxBody + 1))
				if f := h.reserve(c, r, room); f != nil {
					return f
				}
			}
			c.grow(room)
		}
		n, err := r.Body.Read(c.body.B[len(c.body.B):cap(c.body.B)])
		c.body.B = c.body.B[:len(c.body.B)+n]
		if int64(len(c.body.B)) > h.o.MaxBody {
			return h.tooLarge(r)
		}
		if err == io.EOF {
			h.keepReserved(c, cap(c.body.B))
			return nil
		}
		if err != nil {
			return invalid("The body could not be read")
		}
	}
}

// reserve takes room bytes for c from the budget of all bodies, and from the budget of large bodies
// if c has one. It waits for them as a publish waits for its deliveries.
func (h *handler) reserve(c *call, r *http.Request, room int) *failure {
	more := int64(room) - c.reserved
	isLarge := room > bufpool.Room(firstRead)
	if !isLarge && h.o.Bodies.TryAcquire(more) {
		c.reserved += more
		return nil
	}
	waiting := &waitContext{Context: r.Context(), limit: h.o.MaxWait}
	defer waiting.stop()
	full := fail(codeBackpressure, "The server is reading too many bodies at this moment; try again").because(causeBodies)
	if isLarge {
		most := int64(room) - c.large
		if !h.large.acquire(waiting, c.app.ID, most) { //nolint:contextcheck // waiting inherits from the request's
			return full
		}
		c.large += most
	}
	if !h.o.Bodies.Acquire(waiting, more) { //nolint:contextcheck // waiting inherits from the request's
		return full
	}
	c.reserved += more
	return nil
}

// keepReserved gives back what c has reserved beyond so many bytes.
func (h *handler) keepReserved(c *call, bytes int) {
	if excess := c.reserved - int64(bytes); excess > 0 {
		h.o.Bodies.Release(excess)
		c.reserved -= excess
	}
	if excess := c.large - int64(bytes); excess > 0 {
		h.large.release(c.app.ID, excess)
		c.large -= excess
	}
}

// freeBody lets go of the body and of what was reserved for it.
func (h *handler) freeBody(c *call) {
	if c.body != nil {
		c.body.Release()
		c.body = nil
	}
	h.keepReserved(c, 0)
}

// grow moves the body to a buffer of twice the size, or of most where that is less.
func (c *call) grow(most int) {
	larger := bufpool.Get(min(2*cap(c.body.B), most))
	larger.B = append(larger.B, c.body.B...)
	c.body.Release()
	c.body = larger
}

// tooLarge lets the sender finish, within reason, because one that is still writing when
// its connection is closed never sees the answer.
func (h *handler) tooLarge(r *http.Request) *failure {
	if r.Header.Get("Expect") == "" {
		_, _ = io.CopyN(io.Discard, r.Body, h.o.MaxBody)
	}
	return fail(codeTooLarge, fmt.Sprintf("The body is larger than %d bytes", h.o.MaxBody))
}

// bytes is the body, empty without one.
func (c *call) bytes() []byte {
	if c.body == nil {
		return nil
	}
	return c.body.B
}
