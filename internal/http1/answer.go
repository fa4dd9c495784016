package http1

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/bufpool"
)

const (
	joinedBody = 16 << 10 // up to which head and body are copied into one piece
	roomOfHead = 512
)

// answer is the http.ResponseWriter of a connection, for one request after the other. The head
// is written down by WriteHeader, but for the lines that the body decides.
type answer struct {
	c       *conn
	header  http.Header
	head    *bufpool.Buffer // nil before WriteHeader
	body    *bufpool.Buffer // nil while there is none
	length  int64           // as the handler has announced it; -1 if not
	written int64           // bytes of the body, of which those over length are lost
	isSent  bool

	status           int // 0 before WriteHeader
	hasType, hasDate bool
	closes           bool  // the connection, after this answer
	isTimed          bool  // the handler has said until when it is to be taken
	isLeft           bool  // to net/http, with the request
	err              error // of writing to the connection
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter. There are no informational answers.
func (a *answer) WriteHeader(status int) {
	if a.status != 0 || a.c.isHijacked || a.isLeft {
		return
	}
	if status < 100 || status > 999 {
		panic("http1: a handler answers with the status " + strconv.Itoa(status)) // as net/http
	}
	if status < http.StatusOK && status != http.StatusSwitchingProtocols {
		return
	}
	a.status, a.length = status, -1
	a.head = bufpool.Get(roomOfHead)
	b := append(a.head.B, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	if text := http.StatusText(status); text != "" {
		b = append(b, text...)
	} else {
		b = strconv.AppendInt(append(b, "status code "...), int64(status), 10)
	}
	b = append(b, "\r\n"...)
	for name, values := range a.header {
		if !isToken(name) || !a.takes(name, values) {
			continue
		}
		for _, value := range values {
			b = appendField(b, name, value)
		}
	}
	a.head.B = b
}

// takes reports whether a line of the header goes out as it is.
func (a *answer) takes(name string, values []string) bool {
	switch name {
	case "Content-Length":
		if len(values) > 0 {
			if n, err := strconv.ParseInt(values[0], 10, 64); err == nil && n >= 0 {
				a.length = n
			}
		}
		return false
	case "Connection":
		a.closes = a.closes || len(values) > 0 && strings.EqualFold(values[0], "close")
		return !a.closes
	case "Transfer-Encoding":
		return false
	case "Content-Type":
		a.hasType = true
		return a.status != http.StatusNotModified // RFC 9110 15.4.5: the client has the type
	case "Content-Encoding":
		a.hasType = true
	case "Date":
		a.hasDate = true
	}
	return true
}

func (a *answer) hasBody() bool {
	return a.status >= http.StatusOK && a.status != http.StatusNoContent && a.status != http.StatusNotModified
}

// Write implements io.Writer. A large body that comes whole leaves at once, and uncopied.
func (a *answer) Write(p []byte) (int, error) {
	if a.c.isHijacked {
		return 0, http.ErrHijacked
	}
	if a.isLeft {
		return 0, errLeft
	}
	a.WriteHeader(http.StatusOK)
	if !a.hasBody() {
		return 0, http.ErrBodyNotAllowed
	}
	isWhole := a.written == 0 && a.length == int64(len(p)) && len(p) > joinedBody
	a.written += int64(len(p))
	switch {
	case a.length >= 0 && a.written > a.length:
		return 0, http.ErrContentLength
	case isWhole:
		a.send(p)
		return len(p), a.err
	case a.body == nil:
		a.body = bufpool.Get(len(p))
	}
	a.body.B = append(a.body.B, p...)
	return len(p), nil
}

// finish sends what has not left. It reports whether the connection can go on.
func (a *answer) finish() bool {
	a.WriteHeader(http.StatusOK)
	if a.isSent {
		a.c.answered = time.Now() // the handler has gone on after it
	} else {
		var body []byte
		if a.body != nil {
			body = a.body.B
		}
		a.send(body)
		if a.length > int64(len(body)) && a.hasBody() {
			a.closes = true // so that the client sees that something is missing
		}
	}
	return !a.closes && a.err == nil
}

// reset makes the answer ready for the next request.
func (a *answer) reset() {
	clear(a.header)
	if a.head != nil {
		a.head.Release()
	}
	if a.body != nil {
		a.body.Release()
	}
	*a = answer{c: a.c, header: a.header}
}

// send writes the head and the body. It reads the clock once for all that an answer needs it for,
// and again only if the client was slow to take it.
func (a *answer) send(body []byte) {
	a.isSent = true
	now := time.Now()
	b := a.head.B
	if !a.hasDate {
		b = append(b, "Date: "...)
		b = append(b, a.c.server.date.at(now)...)
		b = append(b, "\r\n"...)
	}
	if a.hasBody() {
		if len(body) > 0 && !a.hasType {
			b = appendField(b, "Content-Type", http.DetectContentType(body))
		}
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, max(a.length, int64(len(body))), 10)
		b = append(b, "\r\n"...)
	}
	if a.closes {
		b = append(b, "Connection: close\r\n"...)
	}
	b = append(b, "\r\n"...)
	if !a.isTimed {
		a.c.willWrite(now)
	}
	hasWaited := true
	if len(body) <= joinedBody {
		b = append(b, body...)
		hasWaited, a.err = a.c.wire.write(b)
	} else {
		_, a.err = (&net.Buffers{b, body}).WriteTo(a.c.nc)
	}
	if hasWaited {
		now = time.Now()
	}
	a.head.B, a.c.answered = b, now
}

// appendField appends a line of the header. A value cannot end it.
func appendField(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	start := len(dst)
	dst = append(dst, value...)
	for i, b := range dst[start:] {
		if b == '\r' || b == '\n' {
			dst[start+i] = ' '
		}
	}
	return append(dst, "\r\n"...)
}

// Hijack implements http.Hijacker. The reader has what has been read already, and no more.
func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c := a.c
	if c.isHijacked || a.status != 0 || a.isLeft {
		return nil, nil, http.ErrHijacked
	}
	c.unwatch()
	rest := append([]byte(nil), c.buf.B[c.read:]...)
	in := io.Reader(c.nc)
	if len(rest) > 0 {
		in = io.MultiReader(strings.NewReader(string(rest)), c.nc)
	}
	reader := bufio.NewReaderSize(in, len(rest))
	if _, err := reader.Peek(len(rest)); err != nil {
		return nil, nil, err
	}
	c.server.forget(c)
	if err := c.nc.SetDeadline(time.Time{}); err != nil { // after drain's last word
		return nil, nil, err
	}
	c.isHijacked = true
	return c.nc, bufio.NewReadWriter(reader, bufio.NewWriterSize(c.nc, 1)), nil
}

// SetReadDeadline is for http.ResponseController.
func (a *answer) SetReadDeadline(t time.Time) error {
	a.c.readUntil = t
	return a.c.nc.SetReadDeadline(t)
}

// SetWriteDeadline is for http.ResponseController.
func (a *answer) SetWriteDeadline(t time.Time) error {
	a.isTimed, a.c.writeUntil = true, t
	return a.c.nc.SetWriteDeadline(t)
}
