package http1

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/bufpool"
)

const (
	// maxUnread is how much of a body that its handler has not read is read for it, so that
	// the connection can go on; as net/http.
	maxUnread = 256 << 10
	// lingering is how long what is still coming is read before a connection is closed: a
	// client whose bytes are refused may not get to see the answer.
	lingering = 500 * time.Millisecond
	// slack is what a client may take longer than promised, twice at most: a deadline within it
	// is good enough, so that one request after the other sets none.
	slack = time.Second
	// maxBlanks is how many bytes between a body and the next request do not count; as net/http.
	maxBlanks = 4
)

// conn is one connection, as long as its requests are usual. Everything but isWaiting, isStuck
// and waitsSince belongs to its goroutine.
type conn struct {
	server *Server
	nc     net.Conn
	wire   wire // of nc

	remote     string
	buf        *bufpool.Buffer // what has come; B[read:] has not been used
	read       int
	last       string // the method of the request before; empty: none
	blanks     int    // bytes of line ends that may still come before the next request
	body       body
	head       head
	context    *requestContext
	blank      *http.Request // what every request begins as, with context; immutable
	request    *http.Request // the one under way, in a place that is used again
	answer     answer
	isHijacked bool

	answered              time.Time    // when the last answer left; before it, when the connection came
	readUntil, writeUntil time.Time    // the deadlines that are set
	isWaiting             atomic.Bool  // for the first bytes of a request
	isStuck               atomic.Bool  // in the head of a request, or in a body that is passed over
	waitsSince            atomic.Int64 // Unix nanoseconds
}

// body is the body of the request under way.
type body struct {
	c    *conn
	left int64 // bytes that the handler has not read
	err  error
}

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{server: s, nc: nc}
	c.body.c, c.answer.c = c, c
	c.wire.open(nc)
	c.head.header, c.answer.header = http.Header{}, http.Header{}
	c.request = new(http.Request)
	c.renewContext()
	if at := nc.RemoteAddr(); at != nil { // some systems cannot tell when the client is gone already
		c.remote = at.String()
	}
	return c
}

// serve answers one request after the other.
func (c *conn) serve() {
	defer c.server.left()
	c.buf = bufpool.Get(maxHead)
	defer c.buf.Release()
	isDone := false
	defer func() {
		if !isDone {
			c.panicked(recover())
		}
	}()
	c.answered = time.Now()
	c.readBy(c.answered, c.server.o.HeaderTimeout)
	for {
		text, fate := c.readHead()
		if fate == goesOn && !c.head.parse(text) {
			fate = c.leave(leaveUnusual)
		}
		if fate == goesOn {
			fate = c.answerRequest(len(text))
		}
		isDone = fate != goesOn
		switch fate {
		case goesOn:
		case goesToNetHTTP:
			c.server.handOver(c, c.buf.B[c.read:])
			return
		case goesToHandler:
			return
		case ends:
			c.server.forget(c)
			_ = c.nc.Close()
			return
		}
	}
}

// fate is what becomes of a connection.
type fate uint8

const (
	goesOn fate = iota
	goesToNetHTTP
	goesToHandler // which has hijacked it
	ends
)

func (c *conn) leave(reason leaveReason) fate {
	c.server.o.Metrics.left.WithLabelValues(string(reason)).Inc()
	return goesToNetHTTP
}

var endOfHead = []byte("\r\n\r\n")

// readHead reads until a head is there.
func (c *conn) readHead() (string, fate) {
	for c.skipBlanks(); c.read == len(c.buf.B); c.skipBlanks() {
		c.buf.B, c.read = c.buf.B[:0], 0
		if !c.await() {
			return "", ends
		}
	}
	isPartial, sheds := false, uint32(0)
	defer func() {
		if isPartial {
			c.endStuck(sheds)
		}
	}()
	for {
		unread := c.buf.B[c.read:]
		if i := bytes.Index(unread, endOfHead); i >= 0 && i+len(endOfHead) <= c.server.o.MaxHead {
			return string(unread[:i+len(endOfHead)]), goesOn
		}
		if !canBeUsual(unread) {
			return "", c.leave(leaveUnusual)
		}
		if len(unread) >= c.server.o.MaxHead {
			return "", c.leave(leaveLargeHead)
		}
		if c.read > 0 {
			c.buf.B, c.read = append(c.buf.B[:0], unread...), 0
		}
		if !isPartial {
			isPartial = true
			c.readBy(time.Now(), c.server.o.HeaderTimeout)
			sheds = c.beginStuck()
		}
		if !c.fill() {
			return "", ends
		}
	}
}

// skipBlanks passes over what old clients send after a body without counting it, as net/http
// does (RFC 9112 section 2.2).
func (c *conn) skipBlanks() {
	for ; c.blanks > 0 && c.read < len(c.buf.B); c.blanks-- {
		if b := c.buf.B[c.read]; b != '\r' && b != '\n' {
			return
		}
		c.read++
	}
}

// await waits for the first bytes of a request. Until they come, Shutdown may end the connection,
// which keeps nothing of the request before.
func (c *conn) await() bool {
	c.head.forget()
	*c.request = http.Request{}
	if c.last != "" { // not the first, which is due already
		c.readBy(c.answered, c.server.o.IdleTimeout)
	}
	sheds := c.server.sheds.Load()
	c.waitsSince.Store(c.answered.UnixNano())
	c.isWaiting.Store(true)
	if c.server.isDraining.Load() {
		return false
	}
	ok := c.fill()
	c.isWaiting.Store(false)
	if c.server.isDraining.Load() || c.server.sheds.Load() != sheds {
		c.server.resume(c)
	}
	return ok
}

// beginStuck lets Shed end the connection, while the client owes bytes that are worth nothing by
// themselves.
func (c *conn) beginStuck() (sheds uint32) {
	sheds = c.server.sheds.Load()
	c.waitsSince.Store(time.Now().UnixNano())
	c.isStuck.Store(true)
	return sheds
}

func (c *conn) endStuck(sheds uint32) {
	c.isStuck.Store(false)
	if c.server.sheds.Load() != sheds {
		c.server.resume(c)
	}
}

func (c *conn) fill() bool {
	n, err := c.wire.read(c.buf.B[len(c.buf.B):cap(c.buf.B)])
	c.buf.B = c.buf.B[:len(c.buf.B)+n]
	return n > 0 || err == nil
}

// readBy lets the client send for d from now on.
func (c *conn) readBy(now time.Time, d time.Duration) {
	if until := now.Add(d); !isWithinSlack(c.readUntil, until) {
		c.readUntil = until.Add(slack)
		_ = c.nc.SetReadDeadline(c.readUntil) // fails with the connection
	}
}

// willWrite gives the client time to take an answer, from now on.
func (c *conn) willWrite(now time.Time) {
	if until := now.Add(c.server.o.RequestTimeout); !isWithinSlack(c.writeUntil, until) {
		c.writeUntil = until.Add(slack)
		_ = c.nc.SetWriteDeadline(c.writeUntil) // fails with the connection
	}
}

// isWithinSlack reports whether a deadline will do for what is promised until then.
func isWithinSlack(deadline, until time.Time) bool {
	late := deadline.Sub(until)
	return 0 <= late && late <= 2*slack
}

// answerRequest has the request in head, whose text is size bytes long, answered.
//
//millrace:hot BenchmarkRequest TestRequestAllocs
func (c *conn) answerRequest(size int) fate {
	c.read += size
	r, h := c.request, &c.head
	if !c.context.begin(h.length > 0) {
		c.renewContext()
		c.context.begin(h.length > 0)
	}
	*r = *c.blank // a handler may have left something, such as a parsed form
	r.RemoteAddr = c.remote
	r.Method, r.RequestURI, r.URL, r.Host, r.Header = h.method, h.target, h.url, h.host, h.header
	r.ContentLength, r.Body, r.Close = h.length, http.NoBody, h.isLast
	c.body.left, c.body.err = h.length, nil
	c.last, c.blanks = h.method, 0
	if h.method == http.MethodPost {
		c.blanks = maxBlanks
	}
	if h.length > 0 {
		r.Body = &c.body
		if h.length > int64(len(c.buf.B)-c.read) {
			c.readBy(time.Now(), c.server.o.RequestTimeout)
		}
	}
	c.answer.closes = h.isLast
	defer c.answer.reset()
	c.server.handler.ServeHTTP(&c.answer, r)
	c.unwatch()
	c.context.end()
	switch {
	case c.isHijacked:
		return goesToHandler
	case c.answer.isLeft:
		c.read -= size
		return c.leave(leaveHandler)
	}
	isLast := c.server.isRetiring.Load() && int64(len(c.buf.B)-c.read) <= c.body.left // no other request has come
	if c.body.left > maxUnread || c.body.err != nil || isLast {
		c.answer.closes = true
	}
	if !c.answer.finish() {
		if (c.body.left > 0 || isLast) && c.answer.err == nil {
			c.linger()
		}
		return ends
	}
	if c.body.left > 0 {
		sheds := c.beginStuck()
		_, err := io.Copy(io.Discard, &c.body)
		c.endStuck(sheds)
		if err != nil {
			return ends
		}
		c.answered = time.Now() // the rest of the body is in
	}
	return goesOn
}

// renewContext makes the context of the requests to come.
func (c *conn) renewContext() {
	c.context = newRequestContext(c.server.ctx, c.nc)
	c.blank = (&http.Request{Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}).WithContext(c.context)
}

// unwatch ends the watch over the client, if there is one, and keeps what has come in it.
func (c *conn) unwatch() {
	if early, hasWatched := c.context.halt(); hasWatched {
		c.buf.B = append(c.buf.B, early...)
		c.readUntil = time.Time{}
	}
}

// panicked ends the connection, and nothing else, after a panic of its handler or of this
// package. A nil err is a goroutine that ended without one.
func (c *conn) panicked(err any) {
	if err != http.ErrAbortHandler { //nolint:errorlint // as net/http
		c.server.o.Log.Error("request handler panicked", "err", err, "stack", string(debug.Stack()))
	}
	c.server.forget(c)
	_ = c.nc.Close() // though it be hijacked: nothing else will
	c.context.halt()
	c.context.end()
}

// linger reads what the client is still sending, for a while.
func (c *conn) linger() {
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	_ = c.nc.SetReadDeadline(time.Now().Add(lingering)) // fails with the connection
	_, _ = io.Copy(io.Discard, c.nc)                    // until then
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (n int, err error) {
	c := b.c
	switch {
	case b.err != nil:
		return 0, b.err
	case c.answer.isLeft:
		return 0, errLeft
	case b.left == 0:
		return 0, io.EOF
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	if c.read < len(c.buf.B) {
		n = copy(p, c.buf.B[c.read:])
		c.read += n
	} else if n, err = c.wire.read(p); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		b.err = err
	}
	if b.left -= int64(n); b.left == 0 {
		c.context.bodyRead()
		return n, io.EOF
	}
	return n, err
}

// Close implements io.Closer. What is not read is read after the handler.
func (b *body) Close() error { return nil }
