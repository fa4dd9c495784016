package socket_test

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/socket"
	"github.com/millrace/millrace/internal/websocket"
)

// crowd is how many connections end at once, and maxBorrowed how many goroutines all of
// their ends together may borrow.
const (
	crowd       = 2000
	maxBorrowed = 300
)

// watermark is a Handler of many connections that end: it remembers the most goroutines there were.
type watermark struct {
	recorder
	most   atomic.Int64
	closed chan socket.CloseReason
}

func (w *watermark) look() {
	n := int64(runtime.NumGoroutine())
	for most := w.most.Load(); n > most && !w.most.CompareAndSwap(most, n); most = w.most.Load() {
	}
}

func (w *watermark) Closed(_ *socket.Conn, reason socket.CloseReason) {
	w.look()
	w.closed <- reason
}

// TestEndsOfACrowdDoNotTakeAGoroutineEach is not parallel: it counts all goroutines there are.
func TestEndsOfACrowdDoNotTakeAGoroutineEach(t *testing.T) { //nolint:paralleltest // see above
	disconnect := socket.Disconnect{Message: []byte("the app is gone"), Code: 4003, Reason: "gone"}
	answer := masked(websocket.OpClose, "\x0f\xa3")
	for _, tt := range []struct {
		name string
		end  func(conns []*socket.Conn, peers []*peer)
		want socket.CloseReason
	}{
		{"the server closes them, and clients answer", func(conns []*socket.Conn, peers []*peer) {
			for _, c := range conns {
				c.Close(disconnect)
			}
			for _, p := range peers {
				_, _ = p.nc.Write(answer) // the last may come too late on a busy machine
			}
		}, socket.ReasonServer},
		{"clients break the protocol, and do not answer in time", func(_ []*socket.Conn, peers []*peer) {
			for _, p := range peers {
				p.write([]byte{0x81, 0})
			}
		}, socket.ReasonProtocol},
		{"clients say that they go, and stay until they are answered", func(_ []*socket.Conn, peers []*peer) {
			for _, p := range peers {
				p.write(answer)
			}
		}, socket.ReasonPeer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := &watermark{closed: make(chan socket.CloseReason, crowd)}
			s := startServer(t, serverOptions{handler: func() socket.Handler { return h }})
			peers, conns := make([]*peer, crowd), make([]*socket.Conn, crowd)
			for i := range peers {
				peers[i] = s.dial(t)
				conns[i] = await(t, s.conns)
			}
			before := runtime.NumGoroutine()
			tt.end(conns, peers)
			h.look()
			for range crowd {
				select {
				case got := <-h.closed:
					if got != tt.want {
						t.Fatalf("closed because of %q, want %q", got, tt.want)
					}
				case <-time.After(waitLimit):
					t.Fatal("not all were told")
				}
			}
			for deadline := time.After(waitLimit); s.engine.Connections() > 0; {
				h.look()
				select {
				case <-deadline:
					t.Fatalf("%d connections are left", s.engine.Connections())
				case <-time.After(time.Millisecond):
				}
			}
			t.Logf("%d goroutines before, %d at most", before, h.most.Load())
			if got := h.most.Load() - int64(before); got > maxBorrowed {
				t.Errorf("%d goroutines were borrowed, want at most %d", got, maxBorrowed)
			}
		})
	}
}

// TestAStreamWhoseHandlerBlocksDoesNotHoldUpTheEndsOfOthers closes a TLS connection while its
// handler has a message, and then others.
func TestAStreamWhoseHandlerBlocksDoesNotHoldUpTheEndsOfOthers(t *testing.T) {
	t.Parallel()
	free, blocked := make(chan struct{}), make(chan struct{})
	handlers := make(chan *recorder, 1)
	s := startServer(t, serverOptions{tls: true, engine: socket.Options{Pollers: 1}, handler: func() socket.Handler {
		h := newRecorder()
		h.onMessage = func(*socket.Conn, socket.Opcode, []byte) {
			close(blocked)
			<-free
		}
		handlers <- h
		return h
	}})
	open := func() (*peer, *recorder, *socket.Conn) { return s.dial(t), <-handlers, await(t, s.conns) }
	p, first, c := open()
	p.send(websocket.OpText, "something")
	<-blocked
	c.Close(socket.Disconnect{Code: 4003})
	for range 20 {
		_, h, c := open()
		c.Close(socket.Disconnect{Code: 4003})
		h.wantClosed(t, socket.ReasonServer)
	}
	close(free)
	first.wantClosed(t, socket.ReasonServer)
}
