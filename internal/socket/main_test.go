package socket_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/socket"
	"github.com/millrace/millrace/internal/websocket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// waitLimit bounds every wait for something that must happen.
const waitLimit = time.Minute

// recorder is a Handler that tells a test what it sees. Each hook may be nil.
type recorder struct {
	onMessage func(c *socket.Conn, op socket.Opcode, payload []byte)
	onTimeout func(c *socket.Conn)
	onDrained func(c *socket.Conn)
	closed    chan socket.CloseReason
}

func newRecorder() *recorder { return &recorder{closed: make(chan socket.CloseReason, 2)} }

func (r *recorder) Message(c *socket.Conn, op socket.Opcode, payload []byte) {
	if r.onMessage != nil {
		r.onMessage(c, op, payload)
	}
}

func (r *recorder) Timeout(c *socket.Conn) {
	if r.onTimeout != nil {
		r.onTimeout(c)
	}
}

func (r *recorder) Drained(c *socket.Conn) {
	if r.onDrained != nil {
		r.onDrained(c)
	}
}

func (r *recorder) Closed(_ *socket.Conn, reason socket.CloseReason) { r.closed <- reason }

func (r *recorder) wantClosed(t *testing.T, want socket.CloseReason) {
	t.Helper()
	select {
	case got := <-r.closed:
		if got != want {
			t.Errorf("closed because of %q, want %q", got, want)
		}
	case <-time.After(waitLimit):
		t.Fatal("Closed was not called")
	}
}

// server is an engine behind a real listener. Every connection gets the handler that
// accept returns, after prepare has seen it corked.
type server struct {
	engine *socket.Engine
	http   *httptest.Server
	conns  chan *socket.Conn
}

type serverOptions struct {
	endpoint socket.Endpoint
	engine   socket.Options
	tls      bool
	prepare  func(c *socket.Conn)
	handler  func() socket.Handler
}

func startServer(t testing.TB, o serverOptions) *server {
	t.Helper()
	if o.endpoint.MaxMessage == 0 {
		o.endpoint.MaxMessage = 64 << 10
	}
	if o.endpoint.MaxQueueFrames == 0 {
		o.endpoint.MaxQueueFrames = 1000
	}
	engine := runEngine(t, o.engine)
	s := &server{engine: engine, conns: make(chan *socket.Conn, 1<<16)}
	s.http = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := engine.Upgrade(w, r, &o.endpoint)
		if err != nil {
			return
		}
		if o.prepare != nil {
			o.prepare(c)
		}
		c.Start(o.handler())
		s.conns <- c
	}))
	if o.tls {
		s.http.StartTLS()
	} else {
		s.http.Start()
	}
	t.Cleanup(s.http.Close)
	return s
}

func runEngine(t testing.TB, o socket.Options) *socket.Engine {
	t.Helper()
	engine, err := socket.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = engine.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	return engine
}

// peer is a client made of nothing but bytes.
type peer struct {
	t  testing.TB
	nc net.Conn
	r  *bufio.Reader
}

func (s *server) dial(t testing.TB) *peer {
	t.Helper()
	p := s.dialRaw(t, "")
	resp, err := http.ReadResponse(p.r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("upgrade: %v, %v", resp, err)
	}
	return p
}

// dialRaw sends the upgrade request and, in the same write, what else is given.
func (s *server) dialRaw(t testing.TB, behind string) *peer {
	t.Helper()
	addr := s.http.Listener.Addr().String()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if s.http.TLS != nil {
		nc = tls.Client(nc, &tls.Config{InsecureSkipVerify: true}) // a test's own certificate
	}
	t.Cleanup(func() { _ = nc.Close() })
	p := &peer{t: t, nc: nc, r: bufio.NewReaderSize(nc, 64<<10)}
	_ = nc.SetDeadline(time.Now().Add(waitLimit))
	_, err = io.WriteString(nc, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"+behind)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *peer) write(b []byte) {
	p.t.Helper()
	_ = p.nc.SetWriteDeadline(time.Now().Add(waitLimit))
	if _, err := p.nc.Write(b); err != nil {
		p.t.Fatalf("write: %v", err)
	}
}

func (p *peer) send(op websocket.Opcode, payload string) { p.t.Helper(); p.write(masked(op, payload)) }

func masked(op websocket.Opcode, payload string) []byte {
	return websocket.AppendMaskedFrame(nil, op, []byte(payload), [4]byte{7, 1, 200, 9})
}

// read reads one frame; an error is the end of the connection.
func (p *peer) read() (websocket.Opcode, string, error) {
	_ = p.nc.SetReadDeadline(time.Now().Add(waitLimit))
	head, err := p.r.Peek(2)
	if err != nil {
		return 0, "", err
	}
	size := 2
	switch head[1] {
	case 126:
		size = 4
	case 127:
		size = 10
	}
	head, err = p.r.Peek(size)
	if err != nil {
		return 0, "", err
	}
	h, n, err := websocket.ParseHeader(head)
	if err != nil || n != size || h.Masked || !h.Fin {
		return 0, "", errors.New("malformed frame from the server")
	}
	_, _ = p.r.Discard(n)
	payload := make([]byte, h.Length)
	_, err = io.ReadFull(p.r, payload)
	return h.Op, string(payload), err
}

func (p *peer) want(op websocket.Opcode, payload string) {
	p.t.Helper()
	gotOp, got, err := p.read()
	if err != nil || gotOp != op || got != payload {
		p.t.Fatalf("got frame %d %.200q (%v), want %d %.200q", gotOp, got, err, op, payload)
	}
}

func (p *peer) wantClose(code int) {
	p.t.Helper()
	op, payload, err := p.read()
	if err != nil || op != websocket.OpClose {
		p.t.Fatalf("got frame %d %.200q (%v), want close %d", op, payload, err, code)
	}
	if got, _, err := websocket.ParseClose([]byte(payload)); err != nil || got != code {
		p.t.Fatalf("got close %d (%v), want %d", got, err, code)
	}
}

func (p *peer) wantEnd() {
	p.t.Helper()
	if op, payload, err := p.read(); err == nil {
		p.t.Fatalf("got frame %d %.100q, want the end of the connection", op, payload)
	} else if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
		p.t.Fatal("the connection was not ended")
	}
}

// echo answers every message with itself.
func echo(c *socket.Conn, op socket.Opcode, payload []byte) {
	c.Send(payload)
}

func await(t testing.TB, conns <-chan *socket.Conn) *socket.Conn {
	t.Helper()
	select {
	case c := <-conns:
		return c
	case <-time.After(waitLimit):
		t.Fatal("no connection came")
		return nil
	}
}
