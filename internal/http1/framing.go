package http1

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// A request with both Content-Length and Transfer-Encoding is read by the latter, and its
// connection must be closed after the answer (RFC 9112 section 6.1): a proxy that stands before the
// server may have read it by the former, and then what follows is not what it seems. net/http
// drops the length before a handler can see it. So the connections that it serves look at the
// lines that they read, and a handler before all others asks for the end of the connection.

const (
	lengthField = "content-length:"
	codingField = "transfer-encoding:"
)

// lines looks for heads that have both fields. It takes lines of bodies for lines of heads, too:
// those can end a connection that could have gone on, and hide nothing.
type lines struct {
	start                [len(codingField)]byte // of the line, in lower case
	length               int                    // bytes of start
	hasLength, hasCoding bool                   // since the last empty line
	isDouble             atomic.Bool            // both have been seen in one head
	hasHead              bool                   // an empty line has been seen
	size                 atomic.Int64           // bytes of the head, up to that line
}

// see takes what has been read next. Calls do not overlap.
func (l *lines) see(p []byte) {
	whole := len(p)
	for len(p) > 0 {
		if l.length == len(l.start) {
			end := bytes.IndexByte(p, '\n')
			if end < 0 {
				break
			}
			p = p[end:]
		}
		b := p[0]
		p = p[1:]
		switch b {
		case '\n':
			if l.length == 0 && !l.hasHead {
				l.size.Add(int64(whole - len(p)))
			}
			l.endLine()
		case '\r': // before the line feed; anywhere else net/http refuses the head
		default:
			if 'A' <= b && b <= 'Z' {
				b |= 0x20
			}
			l.start[l.length] = b
			l.length++
			l.note()
		}
	}
	if !l.hasHead {
		l.size.Add(int64(whole))
	}
}

func (l *lines) endLine() {
	if l.length == 0 {
		l.hasLength, l.hasCoding, l.hasHead = false, false, true
	}
	l.length = 0
}

func (l *lines) note() {
	switch string(l.start[:l.length]) {
	case lengthField:
		l.hasLength = true
	case codingField:
		l.hasCoding = true
	default:
		return
	}
	if l.hasLength && l.hasCoding {
		l.isDouble.Store(true)
	}
}

// headSize is how many bytes the head of the request under way has, as far as they came after the
// answer before it.
func (l *lines) headSize() int { return int(l.size.Load()) }

func (l *lines) isFramedTwice() bool { return l.isDouble.Load() }

// twiceKey is the key of the connection in the contexts of its requests: there is no other way
// from a request of net/http to its connection.
type twiceKey struct{}

// guard makes h end connections with such a request, if their net.Conn looks for it.
func guard(h *http.Server) {
	next := h.Handler
	h.ConnContext = func(ctx context.Context, nc net.Conn) context.Context {
		return context.WithValue(ctx, twiceKey{}, nc)
	}
	h.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if nc, ok := r.Context().Value(twiceKey{}).(interface{ isFramedTwice() bool }); ok && nc.isFramedTwice() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// ServeByNetHTTP serves l with h alone, over TLS if h has a configuration for it. h gets another
// handler before its own, so it is called once.
func ServeByNetHTTP(h *http.Server, l net.Listener) error {
	return serveByNetHTTP(h, l, func(waiter) bool { return true })
}

// serveByNetHTTP is ServeByNetHTTP that shows each connection to keep, before anything is read, and
// closes those that it does not want.
func serveByNetHTTP(h *http.Server, l net.Listener, keep func(waiter) bool) error {
	guard(h)
	return h.Serve(&guarded{Listener: l, server: h, config: h.TLSConfig, keep: keep}) // Serve itself may give h another one
}

// guarded is a listener whose connections look at what they read.
type guarded struct {
	net.Listener
	server *http.Server
	config *tls.Config // nil: without TLS
	keep   func(waiter) bool
}

// Accept implements net.Listener.
func (g *guarded) Accept() (net.Conn, error) {
	for {
		nc, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		var w waiter
		if g.config == nil {
			w = &replay{Conn: nc}
		} else {
			w = &encrypted{Conn: tls.Server(nc, g.config), server: g.server}
		}
		if g.keep(w) {
			return w, nil
		}
		w.cut() // as if it had come a moment later
	}
}

// encrypted is a connection over TLS.
type encrypted struct {
	*tls.Conn
	awaited
	server *http.Server
}

// Read implements net.Conn.
func (e *encrypted) Read(p []byte) (int, error) {
	n, err := e.Conn.Read(p)
	if err := e.took(p[:n]); err != nil {
		return 0, err
	}
	return n, err
}

// cut implements waiter.
func (e *encrypted) cut() { _ = e.NetConn().Close() }

// ConnectionState is asked by net/http before it reads, as it does not know the type: so here
// the handshake is made that it makes for a *tls.Conn.
func (e *encrypted) ConnectionState() tls.ConnectionState {
	if limit := e.server.ReadHeaderTimeout; limit > 0 {
		_ = e.SetDeadline(time.Now().Add(limit)) // fails with the connection
	}
	err := e.Handshake()
	_ = e.SetDeadline(time.Time{}) // fails with the connection
	switch {
	case !e.begin(): // shed: there is nothing to say, and its socket is closed
	case err != nil:
		e.fail(err)
	default:
		e.wait()
	}
	return e.Conn.ConnectionState()
}

// fail ends the connection, with a hint for those who speak HTTP without TLS.
func (e *encrypted) fail(err error) {
	if e.server.ErrorLog != nil {
		e.server.ErrorLog.Printf("TLS handshake error from %s: %v", e.RemoteAddr(), err)
	}
	if plain, ok := errors.AsType[tls.RecordHeaderError](err); ok && plain.Conn != nil && isHTTP(plain.RecordHeader) {
		_ = plain.Conn.SetWriteDeadline(time.Now().Add(lingering)) // fails with the connection
		_, _ = io.WriteString(plain.Conn, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"+
			"Connection: close\r\n\r\nThis server speaks TLS only; use https or wss\n")
		_ = plain.Conn.Close() // it is refused
	}
	_ = e.Close() // there is nothing to say over TLS
}

// isHTTP reports whether a connection begins as an HTTP request does.
func isHTTP(first [5]byte) bool {
	switch string(first[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "PATCH", "DELET", "OPTIO":
		return true
	}
	return false
}
