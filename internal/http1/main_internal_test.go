package http1

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// net/http waits half a second before it closes a connection whose client is still sending.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// waitLimit bounds every wait for something that must happen. Nothing in options ends a connection
// before it is over.
const waitLimit = 90 * time.Second

// options let nothing time out.
func options() Options {
	return Options{
		MaxHead: 8 << 10, HeaderTimeout: time.Hour, IdleTimeout: time.Hour, RequestTimeout: time.Hour,
		Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(nil),
	}
}

// node is a server that is being tested, on a listener in memory or on loopback.
type node struct {
	*Server
	l      net.Listener
	over   atomic.Int64 // connections that net/http has got
	served chan error
}

// start serves on l until the test ends.
func start(t testing.TB, l net.Listener, h http.Handler, o Options) *node {
	t.Helper()
	n := &node{l: l, served: make(chan error, 1)}
	next := &http.Server{
		Handler: h, MaxHeaderBytes: 16 << 10, ReadHeaderTimeout: time.Hour, ReadTimeout: o.RequestTimeout, WriteTimeout: o.RequestTimeout,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		ConnState: func(_ net.Conn, s http.ConnState) {
			if s == http.StateNew {
				n.over.Add(1)
			}
		},
	}
	n.Server = New(next, o)
	go func() { n.served <- n.Serve(l) }() // ends with Close
	t.Cleanup(func() {
		_ = n.Close()
		if err := <-n.served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	return n
}

func loopback(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// memory is a listener of pipes.
type memory struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func inMemory() *memory { return &memory{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

func (m *memory) Close() error {
	m.once.Do(func() { close(m.closed) })
	return nil
}

func (m *memory) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func (m *memory) dial() net.Conn {
	client, server := net.Pipe()
	m.conns <- server
	return client
}

// peer is a client that says bytes.
type peer struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

func dial(t testing.TB, l net.Listener) *peer {
	t.Helper()
	var nc net.Conn
	if m, ok := l.(*memory); ok {
		nc = m.dial()
	} else {
		var err error
		if nc, err = net.Dial("tcp", l.Addr().String()); err != nil {
			t.Fatal(err)
		}
		_ = nc.SetDeadline(time.Now().Add(waitLimit))
	}
	t.Cleanup(func() { _ = nc.Close() })
	return &peer{Conn: nc, t: t, r: bufio.NewReader(nc)}
}

func (p *peer) say(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p, text); err != nil {
		p.t.Fatal(err)
	}
}

// hears reads the next answer: its status, its header without what a clock or chance decides,
// and its body. How a connection was cut depends on what the client was still saying.
func (p *peer) hears() string {
	p.t.Helper()
	response, err := http.ReadResponse(p.r, nil)
	if err != nil {
		return "cut"
	}
	body, err := io.ReadAll(response.Body)
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", response.Proto, response.Status)
	if response.Header.Get("Date") == "" {
		b.WriteString("no date\n")
	}
	response.Header.Del("Date")
	for _, name := range slices.Sorted(maps.Keys(response.Header)) {
		fmt.Fprintf(&b, "%s: %s\n", name, strings.Join(response.Header[name], " | "))
	}
	fmt.Fprintf(&b, "close=%v length=%d %v\n%s", response.Close, response.ContentLength, response.TransferEncoding, body)
	if err != nil && (response.ContentLength >= 0 || !response.Close) { // else the end of the body is how it was cut
		b.WriteString("\ncut")
	}
	return b.String()
}

// isClosed reports whether the connection ends, after at most something unread.
func (p *peer) isClosed() bool {
	_, err := io.Copy(io.Discard, p.r)
	var timeout net.Error
	return !errors.As(err, &timeout) || !timeout.Timeout()
}

// echo tells what a handler sees, and does what the path asks for.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/nothing":
		w.WriteHeader(http.StatusNoContent)
		_, err := w.Write([]byte("no"))
		w.Header().Set("Too-Late", fmt.Sprint(err))
		return
	case "/empty":
		return
	case "/unread":
		w.Header().Set("X", "y")
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write([]byte(`{"short":1}`))
		return
	case "/page":
		_, _ = w.Write([]byte("<!doctype html><p>"))
		_, _ = w.Write([]byte("in pieces"))
		return
	case "/large":
		body := bytes.Repeat([]byte("0123456789"), 1<<15)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
		return
	case "/short":
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte("not a hundred"))
		return
	case "/long":
		w.Header().Set("Content-Length", "3")
		_, err := w.Write([]byte("more than three"))
		_, _ = w.Write([]byte("abc"))
		if !errors.Is(err, http.ErrContentLength) {
			panic(err)
		}
		return
	case "/split":
		w.Header()["X-Bad\r\nInjected"] = []string{"1"}
		w.Header()["X-Value"] = []string{"1\r\nInjected: 2", "3"}
		w.Header().Set("Connection", "close")
	case "/form":
		_ = r.ParseForm()
		_, _ = fmt.Fprint(w, r.Form)
		return
	case "/stream":
		if HandOver(w, r) {
			return
		}
		for i := range 3 {
			_, _ = fmt.Fprintf(w, "piece %d of %s", i, r.Method)
			if err := http.NewResponseController(w).Flush(); err != nil {
				panic(err)
			}
		}
		return
	case "/set":
		set(w, r.URL.RawQuery)
		return
	case "/part":
		part := make([]byte, 3)
		n, err := io.ReadFull(r.Body, part)
		_, _ = fmt.Fprintf(w, "%q %v", part[:n], err)
		return
	case "/hijack":
		nc, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\n\r\n")
		_, _ = io.Copy(nc, rw)
		_ = nc.Close()
		return
	case "/hurry", "/linger":
		allowed := map[string]time.Duration{"/hurry": 5 * time.Second, "/linger": time.Hour}[r.URL.Path]
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(allowed))
	case "/abort":
		panic(http.ErrAbortHandler)
	case "/panic":
		panic("as asked for")
	}
	body, err := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "text/plain")
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s host=%s length=%d close=%v te=%v path=%s query=%s\n",
		r.Method, r.RequestURI, r.Proto, r.Host, r.ContentLength, r.Close, r.TransferEncoding, r.URL.Path, r.URL.RawQuery)
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		fmt.Fprintf(&b, "%s=%q\n", name, r.Header[name])
	}
	fmt.Fprintf(&b, "body=%q err=%v trailer=%v", body, err, r.Trailer)
	if b.Len() > 1000 {
		w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	}
	_, _ = io.WriteString(w, b.String())
})

// set answers as a query says, whose parts are lines of the header ("Name:value", or "Name:" for
// none), statuses, and sizes of what is written ("+9").
func set(w http.ResponseWriter, query string) {
	for part := range strings.SplitSeq(query, "&") {
		name, value, isLine := strings.Cut(part, ":")
		n, err := strconv.Atoi(part)
		switch {
		case isLine && value == "":
			w.Header()[name] = nil
		case isLine:
			w.Header().Add(name, value)
		case err == nil && part[0] == '+':
			_, _ = w.Write(bytes.Repeat([]byte("x"), n))
		case err == nil:
			w.WriteHeader(n)
		}
	}
}

// shutdown shuts n down within the waitLimit of tests.
func (n *node) shutdown(t testing.TB) error {
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	return n.Shutdown(ctx)
}
