package httpapi

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/millrace/millrace/internal/auth"
	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/coding"
	"github.com/millrace/millrace/internal/problem"
)

// The buffer lent for a body before any of it has come.
const (
	smallRead = 4 << 10  // for a body of unknown length
	firstRead = 64 << 10 // at most: announcing a length costs the sender nothing
)

// readBody reads the whole body, or fails as soon as it is too large, and compares it with what
// was signed of it. It comes after authenticate: a sender without a secret makes the server
// keep no body.
func (a *api) readBody(ctx context.Context, c *Request) *problem.Problem {
	r := c.HTTP
	if r.ContentLength != 0 && r.Body != nil {
		if p := a.takeBody(ctx, c); p != nil {
			return p
		}
	}
	if err := auth.VerifyBody(c.Body(), &c.Query); err != nil {
		return unauthorized(err)
	}
	return nil
}

// takeBody reads into c.body.
func (a *api) takeBody(ctx context.Context, c *Request) *problem.Problem {
	r := c.HTTP
	if name := coding.Of(r.Header); name != "" {
		return problem.New(problem.UnsupportedEncoding, coding.Advice(name))
	}
	if r.ContentLength > a.o.MaxBody {
		return a.tooLarge(r)
	}
	if err := auth.VerifyLength(r.ContentLength, &c.Query); err != nil {
		return unauthorized(err)
	}
	// One byte more than there is, to read the end without growing.
	size, room := smallRead, bufpool.Room(firstRead)
	if r.ContentLength > 0 {
		size = min(int(r.ContentLength+1), firstRead)
		room = bufpool.Room(int(r.ContentLength + 1))
	}
	if p := a.reserve(ctx, c, room); p != nil {
		return p
	}
	c.body = bufpool.Get(size)
	for {
		if len(c.body.B) == cap(c.body.B) {
			if cap(c.body.B) >= room { // its length was not announced
				room = bufpool.Room(int(a.o.MaxBody + 1))
				if p := a.reserve(ctx, c, room); p != nil {
					return p
				}
			}
			c.grow(room)
		}
		n, err := r.Body.Read(c.body.B[len(c.body.B):cap(c.body.B)])
		c.body.B = c.body.B[:len(c.body.B)+n]
		if int64(len(c.body.B)) > a.o.MaxBody {
			return a.tooLarge(r)
		}
		if err == io.EOF {
			a.keepReserved(c, cap(c.body.B))
			return nil
		}
		if err != nil {
			return problem.Invalid("The body could not be read")
		}
	}
}

// reserve takes room bytes for c from the budget of all bodies, and from the budget of large bodies
// if c has one. It waits for them as a publish waits for its deliveries.
func (a *api) reserve(ctx context.Context, c *Request, room int) *problem.Problem {
	more := int64(room) - c.reserved
	isLarge := room > bufpool.Room(firstRead)
	if !isLarge && a.o.Bodies.TryAcquire(more) {
		c.reserved += more
		return nil
	}
	waiting := WaitFor(ctx, a.o.MaxWait)
	defer waiting.Stop()
	full := problem.New(problem.Backpressure, "The server is reading too many bodies at this moment; try again").Because(causeBodies)
	if isLarge {
		most := int64(room) - c.large
		if !a.large.acquire(waiting, c.App.ID, most) { //nolint:contextcheck // waiting inherits from ctx
			return full
		}
		c.large += most
	}
	if !a.o.Bodies.Acquire(waiting, more) { //nolint:contextcheck // waiting inherits from ctx
		return full
	}
	c.reserved += more
	return nil
}

// keepReserved gives back what c has reserved beyond so many bytes.
func (a *api) keepReserved(c *Request, bytes int) {
	if excess := c.reserved - int64(bytes); excess > 0 {
		a.o.Bodies.Release(excess)
		c.reserved -= excess
	}
	if excess := c.large - int64(bytes); excess > 0 {
		a.large.release(c.App.ID, excess)
		c.large -= excess
	}
}

// freeBody lets go of the body and of what was reserved for it.
func (a *api) freeBody(c *Request) {
	if c.body != nil {
		c.body.Release()
		c.body = nil
	}
	a.keepReserved(c, 0)
}

// grow moves the body to a buffer of twice the size, or of most where that is less.
func (r *Request) grow(most int) {
	larger := bufpool.Get(min(2*cap(r.body.B), most))
	larger.B = append(larger.B, r.body.B...)
	r.body.Release()
	r.body = larger
}

// tooLarge lets the sender finish, within reason, because one that is still writing when
// its connection is closed never sees the answer.
func (a *api) tooLarge(r *http.Request) *problem.Problem {
	if r.Header.Get("Expect") == "" {
		_, _ = io.CopyN(io.Discard, r.Body, a.o.MaxBody)
	}
	return problem.New(problem.PayloadTooLarge, fmt.Sprintf("The body is larger than %d bytes", a.o.MaxBody))
}
