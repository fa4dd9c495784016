package socket_test

import (
	"bytes"
	"io"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/socket"
	"github.com/millrace/millrace/internal/websocket"
)

// moreThanKernelsTake is the size of a reply that keeps a connection congested for as long as its
// peer reads nothing: a smaller one can be on its way, into the buffers of the two kernels, in the
// instant after the server paused.
const moreThanKernelsTake = 16 << 20

// congest asks for replies of size bytes, and reads none, until the server reads no more. What
// it asks for is enough; the server may take its time to answer.
func congest(t *testing.T, p *peer, c *socket.Conn, size int) (asked int) {
	t.Helper()
	const most = 2 * moreThanKernelsTake
	request := masked(websocket.OpText, strconv.Itoa(size))
	for deadline := time.Now().Add(waitLimit); !c.IsPaused(); {
		switch {
		case asked*size < most:
			asked++
			p.write(request)
		case time.Now().After(deadline):
			t.Fatal("the server goes on reading")
		default:
			runtime.Gosched()
		}
	}
	return asked
}

// sized answers a number by a message of so many bytes.
func sized(c *socket.Conn, _ socket.Opcode, payload []byte) {
	n, _ := strconv.Atoi(string(payload))
	c.Send(bytes.Repeat([]byte("x"), n))
}

// A peer that asks for more than it takes is not read from, so that what waits for it is
// bounded, and loses nothing: once it takes the answers, it gets those to all its questions.
func TestNothingIsReadFromACongestedPeer(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"small replies": 1000, "large replies": 50_000} {
		t.Run(name, func(t *testing.T) {
			onEveryTransport(t, func(t *testing.T, o serverOptions) {
				const congested = 64 << 10
				o.endpoint.MaxQueueFrames, o.endpoint.CongestedBytes = 1000, congested
				h := newRecorder()
				var handled atomic.Int64
				h.onMessage = func(c *socket.Conn, op socket.Opcode, payload []byte) {
					handled.Add(1)
					sized(c, op, payload)
				}
				o.handler = func() socket.Handler { return h }
				s := startServer(t, o)
				p := s.dial(t)
				c := await(t, s.conns)
				asked := congest(t, p, c, size)
				p.send(websocket.OpPing, "ping") // waits in the kernel, or set aside
				if waiting, limit := c.Waiting(), congested+size+websocket.MaxHeader; waiting > limit {
					t.Errorf("%d bytes wait, want at most %d", waiting, limit)
				}
				if held, limit := c.Held(), 2*(congested+size)+8<<10; held > limit {
					t.Errorf("%d bytes are kept, want at most %d", held, limit)
				}
				for range asked {
					p.want(websocket.OpText, strings.Repeat("x", size))
				}
				p.want(websocket.OpPong, "ping")
				if n := int(handled.Load()); n != asked {
					t.Errorf("%d messages were handled, want %d", n, asked)
				}
				p.write(masked(websocket.OpClose, "\x03\xe8"))
				p.wantClose(websocket.CloseNormal)
				p.wantEnd()
				h.wantClosed(t, socket.ReasonPeer)
			})
		})
	}
}

func TestPingsOfACongestedPeerWaitToo(t *testing.T) {
	t.Parallel()
	onEveryTransport(t, func(t *testing.T, o serverOptions) {
		o.endpoint.MaxQueueFrames = 4 // reading pauses and goes on all the time
		h := newRecorder()
		o.handler = func() socket.Handler { return h }
		s := startServer(t, o)
		p := s.dial(t)
		c := await(t, s.conns)
		const asked = 200_000 // more than kernels take of questions and answers
		payload := strings.Repeat("x", websocket.MaxControl)
		ping := masked(websocket.OpPing, payload)
		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() {
			_ = p.nc.SetWriteDeadline(time.Now().Add(waitLimit))
			if _, err := p.nc.Write(bytes.Repeat(ping, asked)); err != nil {
				t.Errorf("write: %v", err)
			}
		})
		for !c.IsPaused() {
			runtime.Gosched()
		}
		if held := c.Held(); held > 32<<10 {
			t.Errorf("the pongs that wait take %d bytes", held)
		}
		for range asked {
			p.want(websocket.OpPong, payload)
		}
	})
}

func TestAPeerThatTakesNothingIsToldAndCut(t *testing.T) {
	t.Parallel()
	onEveryTransport(t, func(t *testing.T, o serverOptions) {
		o.endpoint.SlowConsumer = socket.Disconnect{Message: []byte("too slow"), Code: 4100, Reason: "slow"}
		h := newRecorder()
		h.onMessage = sized
		o.handler = func() socket.Handler { return h }
		s := startServer(t, o)
		s.engine.LingerFor(waitLimit)
		p := s.dial(t)
		c := await(t, s.conns)
		c.StallFor(time.Hour) // nothing waits
		asked := congest(t, p, c, moreThanKernelsTake)
		c.StallFor(29 * time.Second)
		if !c.IsOpen() {
			t.Fatal("closed before 30 s")
		}
		c.StallFor(31 * time.Second)
		h.wantClosed(t, socket.ReasonSlowConsumer)
		for range asked {
			op, payload, err := p.read()
			if err != nil || op != websocket.OpText {
				t.Fatalf("the stream broke: %v", err)
			}
			if payload == "too slow" {
				p.wantClose(4100)
				p.send(websocket.OpClose, "\x10\x04")
				p.wantEnd()
				return
			}
		}
		t.Error("the peer was not told")
	})
}

// What a peer takes shows that it is alive, though nothing is read that would show it.
func TestTakingIsASignOfLifeWhileReadingPauses(t *testing.T) {
	t.Parallel()
	onEveryTransport(t, func(t *testing.T, o serverOptions) {
		o.endpoint.StallTimeout = time.Hour
		h := newRecorder()
		h.onMessage = sized
		o.handler = func() socket.Handler { return h }
		s := startServer(t, o)
		p := s.dial(t)
		c := await(t, s.conns)
		congest(t, p, c, moreThanKernelsTake)
		for c.IdleFor() < 300*time.Millisecond {
			<-time.After(50 * time.Millisecond)
		}
		heard := c.LastRead()
		_ = p.nc.SetReadDeadline(time.Now().Add(waitLimit))
		if _, err := io.CopyN(io.Discard, p.r, moreThanKernelsTake/2); err != nil { // so that it still pauses
			t.Fatal(err)
		}
		for deadline := time.Now().Add(waitLimit); c.LastRead() == heard; runtime.Gosched() {
			if time.Now().After(deadline) {
				t.Fatal("what the peer took shows no life")
			}
		}
	})
}

func TestEqualLargeRepliesAreKeptOnce(t *testing.T) {
	t.Parallel()
	onEveryTransport(t, func(t *testing.T, o serverOptions) {
		o.handler = func() socket.Handler { return newRecorder() }
		s := startServer(t, o)
		var conns []*socket.Conn
		for range 2 {
			s.dial(t)
			conns = append(conns, await(t, s.conns))
		}
		list := []byte(strings.Repeat("member ", 10_000))
		for _, c := range conns {
			for range 2000 {
				if c.Send(list); c.Waiting() > moreThanKernelsTake {
					break
				}
			}
		}
		if !conns[0].Shares(conns[1]) {
			t.Error("each connection has a copy of its own")
		}
	})
}

func TestAReplyIsNeverTooLargeForTheQueue(t *testing.T) {
	t.Parallel()
	onEveryTransport(t, func(t *testing.T, o serverOptions) {
		o.endpoint.MaxQueueBytes = 1 << 10
		h := newRecorder()
		o.handler = func() socket.Handler { return h }
		s := startServer(t, o)
		p := s.dial(t)
		c := await(t, s.conns)
		const size = moreThanKernelsTake
		c.Send(bytes.Repeat([]byte("x"), size))
		c.WriteSegments(segment("a broadcast"))
		if _, payload, err := p.read(); err != nil || len(payload) != size {
			t.Fatalf("got %d bytes (%v), want %d", len(payload), err, size)
		}
		p.want(websocket.OpText, "a broadcast")
	})
}
