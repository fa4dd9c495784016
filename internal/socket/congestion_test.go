package socket_test

import (
	"encoding/binary"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/socket"
	"github.com/millrace/millrace/internal/websocket"
)

// A writer that stops at IsCongested and goes on at Drained never fills the queue, which
// would close the connection, and loses nothing, however slowly the peer reads.
func TestAWriterThatHeedsCongestionLosesNothing(t *testing.T) {
	t.Parallel()
	onEveryTransport(t, func(t *testing.T, o serverOptions) {
		const limit, largest, stops = 32 << 10, 16 << 10, 4
		o.endpoint.MaxQueueBytes, o.endpoint.CongestedBytes = limit, limit
		h := newRecorder()
		drained := make(chan struct{}, stops+1)
		h.onDrained = func(*socket.Conn) { drained <- struct{}{} }
		o.handler = func() socket.Handler { return h }
		s := startServer(t, o)
		p := s.dial(t)
		c := await(t, s.conns)

		sent := make(chan uint64, 1) // how many there are to read; the peer reads when told to
		go func() {                  // ends with the last stop
			defer close(sent)
			rnd := rand.New(rand.NewPCG(1, 2))
			payload := make([]byte, largest)
			for n := uint64(0); ; n++ {
				binary.BigEndian.PutUint64(payload, n)
				size := 8 + rnd.IntN(largest-8-websocket.MaxHeader)
				if c.IsCongested(size + websocket.MaxHeader) {
					_ = c.IsCongested(limit) // however often it is asked, Drained comes once
					sent <- n
					select {
					case <-drained:
					case <-time.After(waitLimit):
						t.Error("Drained was not called")
						return
					}
					if rnd.IntN(2) == 0 && c.IsCongested(1<<30) {
						t.Error("congested with nothing in the queue")
					}
					if n >= stops*100 {
						c.SendBinary(payload[:8])
						sent <- n + 1
						return
					}
				}
				c.SendBinary(payload[:size])
			}
		}()
		read := uint64(0)
		for total := range sent {
			for ; read < total; read++ {
				op, payload, err := p.read()
				if err != nil || op != websocket.OpBinary || len(payload) < 8 || binary.BigEndian.Uint64([]byte(payload)) != read {
					t.Fatalf("instead of message %d got frame %d of %d bytes (%v)", read, op, len(payload), err)
				}
			}
		}
		if len(drained) > 0 {
			t.Error("Drained was called more often than once after congestion")
		}
		if len(h.closed) > 0 {
			t.Errorf("closed because of %q", <-h.closed)
		}
	})
}

func TestDrainedComesAfterACorkedStart(t *testing.T) {
	t.Parallel()
	onEveryTransport(t, func(t *testing.T, o serverOptions) {
		o.endpoint.CongestedBytes = 100
		h := newRecorder()
		drained := make(chan struct{}, 2)
		h.onDrained = func(c *socket.Conn) {
			drained <- struct{}{}
			c.Send([]byte("drained"))
		}
		o.handler = func() socket.Handler { return h }
		o.prepare = func(c *socket.Conn) {
			if c.IsCongested(1000) {
				t.Error("congested before anything was sent")
			}
			c.Send([]byte("hello"))
			if !c.IsCongested(100) {
				t.Error("not congested by more than may wait")
			}
		}
		p := startServer(t, o).dial(t)
		p.want(websocket.OpText, "hello")
		p.want(websocket.OpText, "drained")
		p.send(websocket.OpPing, "x")
		p.want(websocket.OpPong, "x")
		if len(drained) != 1 {
			t.Errorf("Drained was called %d times, want once", len(drained))
		}
	})
}

func TestDrainedIsNotCalledOnceAConnectionCloses(t *testing.T) {
	t.Parallel()
	onEveryTransport(t, func(t *testing.T, o serverOptions) {
		o.endpoint.MaxQueueFrames = 1 << 20
		h := newRecorder()
		var calls atomic.Int32
		h.onDrained = func(*socket.Conn) { calls.Add(1) }
		o.handler = func() socket.Handler { return h }
		s := startServer(t, o)
		s.engine.LingerFor(waitLimit)
		p := s.dial(t)
		c := await(t, s.conns)
		frame := segment(string(make([]byte, 10_000)))
		for !c.IsCongested(frame[0].End) {
			c.WriteSegments(frame)
		}
		c.Close(socket.Disconnect{Code: 4200})
		if c.IsCongested(1 << 30) {
			t.Error("congested after Close")
		}
		for {
			op, _, err := p.read()
			if err != nil {
				t.Fatal(err)
			}
			if op == websocket.OpClose {
				break
			}
		}
		p.write(masked(websocket.OpClose, "\x10\x68"))
		p.wantEnd()
		h.wantClosed(t, socket.ReasonServer)
		if n := calls.Load(); n > 0 {
			t.Errorf("Drained was called %d times", n)
		}
	})
}
