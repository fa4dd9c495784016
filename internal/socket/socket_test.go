package socket_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/socket"
	"github.com/millrace/millrace/internal/websocket"
)

// onEveryTransport runs a test over a poller (where there is one) and over a stream.
func onEveryTransport(t *testing.T, f func(t *testing.T, o serverOptions)) {
	t.Helper()
	t.Run("plain", func(t *testing.T) { t.Parallel(); f(t, serverOptions{}) })
	t.Run("tls", func(t *testing.T) { t.Parallel(); f(t, serverOptions{tls: true}) })
}

func TestMessagesOfEveryShapeArriveWholeAndInOrder(t *testing.T) {
	t.Parallel()
	onEveryTransport(t, func(t *testing.T, o serverOptions) {
		h := newRecorder()
		h.onMessage = echo
		o.handler = func() socket.Handler { return h }
		p := startServer(t, o).dial(t)

		p.send(websocket.OpText, "hello")
		p.want(websocket.OpText, "hello")
		p.send(websocket.OpBinary, "binary")
		p.want(websocket.OpText, "binary")
		p.send(websocket.OpText, "")
		p.want(websocket.OpText, "")
		big := strings.Repeat("ä", 32<<10)
		p.send(websocket.OpText, big)
		p.want(websocket.OpText, big)

		// A message in three fragments, with a ping between them, in one write.
		var b []byte
		b = append(b, fragment(websocket.OpText, "one ", false)...)
		b = append(b, masked(websocket.OpPing, "between")...)
		b = append(b, fragment(websocket.OpContinuation, "two ", false)...)
		b = append(b, fragment(websocket.OpContinuation, "three", true)...)
		b = append(b, masked(websocket.OpText, "next")...)
		p.write(b)
		p.want(websocket.OpPong, "between")
		p.want(websocket.OpText, "one two three")
		p.want(websocket.OpText, "next")

		// The same bytes one by one.
		for i := range b {
			p.write(b[i : i+1])
		}
		p.want(websocket.OpPong, "between")
		p.want(websocket.OpText, "one two three")
		p.want(websocket.OpText, "next")

		p.write(masked(websocket.OpClose, "\x03\xe8bye"))
		p.wantClose(websocket.CloseNormal)
		p.wantEnd()
		h.wantClosed(t, socket.ReasonPeer)
	})
}

func fragment(op websocket.Opcode, payload string, fin bool) []byte {
	b := masked(op, payload)
	if !fin {
		b[0] &= 0x7f
	}
	return b
}

func TestViolationsCloseWithTheCodeOfTheRFC(t *testing.T) {
	t.Parallel()
	onEveryTransport(t, func(t *testing.T, o serverOptions) {
		o.endpoint.MaxMessage = 1000
		h := newRecorder()
		h.onMessage = func(c *socket.Conn, _ socket.Opcode, payload []byte) { t.Errorf("message %q got through", payload) }
		o.handler = func() socket.Handler { return h }
		s := startServer(t, o)
		for _, c := range []struct {
			name string
			in   []byte
			code int
		}{
			{"a frame that is not masked", websocket.AppendFrame(nil, websocket.OpText, []byte("x")), 1002},
			{"a reserved bit", []byte{0xC1, 0x80, 0, 0, 0, 0}, 1002},
			{"a reserved opcode", []byte{0x83, 0x80, 0, 0, 0, 0}, 1002},
			{"a fragmented ping", []byte{0x09, 0x80, 0, 0, 0, 0}, 1002},
			{"a continuation of nothing", fragment(websocket.OpContinuation, "x", true), 1002},
			{"a new message within a fragmented one", append(fragment(websocket.OpText, "x", false), masked(websocket.OpText, "y")...), 1002},
			{"text that is not UTF-8", masked(websocket.OpText, "\xff"), 1007},
			{
				"fragments that are not UTF-8 together",
				append(fragment(websocket.OpText, "\xc3", false), fragment(websocket.OpContinuation, "x", true)...), 1007,
			},
			{"a message over the limit", masked(websocket.OpText, strings.Repeat("x", 1001)), 1009},
			{
				"fragments over the limit together",
				append(fragment(websocket.OpText, strings.Repeat("x", 600), false), fragment(websocket.OpContinuation, strings.Repeat("x", 600), true)...), 1009,
			},
			{"a header that announces a huge message", []byte{0x81, 0xff, 0, 0, 0x10, 0, 0, 0, 0, 0, 1, 2, 3, 4}, 1009},
			{"a close frame of one byte", masked(websocket.OpClose, "x"), 1002},
			{"a close frame with a code that must not be sent", masked(websocket.OpClose, "\x03\xed"), 1002},
		} {
			p := s.dial(t)
			p.write(append(c.in, masked(websocket.OpText, "too late")...))
			op, payload, err := p.read()
			if err != nil || op != websocket.OpClose || len(payload) < 2 {
				t.Errorf("%s: got frame %d %q, %v", c.name, op, payload, err)
				continue
			}
			if code, _, err := websocket.ParseClose([]byte(payload)); err != nil || code != c.code {
				t.Errorf("%s: got close %d (%v), want %d", c.name, code, err, c.code)
			}
			h.wantClosed(t, socket.ReasonProtocol)
			_ = p.nc.Close()
		}
	})
}

func TestCorkedWritesComeWithTheUpgradeAndBeforeTheFirstReply(t *testing.T) {
	t.Parallel()
	onEveryTransport(t, func(t *testing.T, o serverOptions) {
		h := newRecorder()
		h.onMessage = echo
		o.handler = func() socket.Handler { return h }
		o.prepare = func(c *socket.Conn) { c.Send([]byte("established")) }
		p := startServer(t, o).dialRaw(t, string(masked(websocket.OpText, "early")))
		resp, err := http.ReadResponse(p.r, nil)
		if err != nil || resp.Header.Get("Sec-Websocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
			t.Fatalf("got %v, %v", resp, err)
		}
		p.want(websocket.OpText, "established")
		p.want(websocket.OpText, "early")
	})
}

// What comes right behind the upgrade request is more than net/http has read of it, and the rest
// stays behind it.
func TestWhatComesBehindTheUpgradeKeepsItsOrder(t *testing.T) {
	t.Parallel()
	onEveryTransport(t, func(t *testing.T, o serverOptions) {
		o.handler = func() socket.Handler {
			h := newRecorder()
			h.onMessage = echo
			return h
		}
		s := startServer(t, o)
		const messages = 300 // 24 KB
		payload := func(i int) string { return fmt.Sprintf("%080d", i) }
		var early []byte
		for i := range messages {
			early = append(early, masked(websocket.OpText, payload(i))...)
		}
		for range 20 {
			p := s.dialRaw(t, string(early))
			if _, err := http.ReadResponse(p.r, nil); err != nil {
				t.Fatal(err)
			}
			for i := range messages {
				p.want(websocket.OpText, payload(i))
			}
			_ = p.nc.Close()
		}
	})
}

func TestACorkedCloseSendsItsLastMessageAndNothingElse(t *testing.T) {
	t.Parallel()
	onEveryTransport(t, func(t *testing.T, o serverOptions) {
		h := newRecorder()
		o.handler = func() socket.Handler { return h }
		o.prepare = func(c *socket.Conn) {
			c.Close(socket.Disconnect{Message: []byte("no"), Code: 4001, Reason: "no app"})
			c.Send([]byte("after"))
		}
		p := startServer(t, o).dial(t)
		p.want(websocket.OpText, "no")
		p.wantClose(4001)
		p.write(masked(websocket.OpClose, "\x0f\xa1"))
		p.wantEnd()
		h.wantClosed(t, socket.ReasonServer)
	})
}

func TestARequestThatIsNoUpgradeIsAnswered(t *testing.T) {
	t.Parallel()
	s := startServer(t, serverOptions{handler: func() socket.Handler { return newRecorder() }})
	resp, err := http.Get(s.http.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusUpgradeRequired || resp.Header.Get("Upgrade") != "websocket" {
		t.Errorf("got %s with Upgrade %q", resp.Status, resp.Header.Get("Upgrade"))
	}
}

func TestClosedIsCalledOnceHoweverTheEndComes(t *testing.T) {
	t.Parallel()
	onEveryTransport(t, func(t *testing.T, o serverOptions) {
		h := newRecorder()
		o.handler = func() socket.Handler { return h }
		s := startServer(t, o)
		for _, c := range []struct {
			name string
			end  func(p *peer, c *socket.Conn)
			want socket.CloseReason
		}{
			{"the peer vanishes", func(p *peer, _ *socket.Conn) { _ = p.nc.Close() }, socket.ReasonLost},
			{"the peer speaks and vanishes in one go", func(p *peer, _ *socket.Conn) {
				p.send(websocket.OpText, "last words")
				_ = p.nc.Close()
			}, socket.ReasonLost},
			{"the server closes twice", func(_ *peer, c *socket.Conn) {
				c.Close(socket.Disconnect{Code: 4200})
				c.Close(socket.Disconnect{Code: 4201})
			}, socket.ReasonServer},
			{"both at once", func(p *peer, c *socket.Conn) {
				p.send(websocket.OpText, "x")
				c.Close(socket.Disconnect{Code: 4200})
				_ = p.nc.Close()
			}, socket.ReasonServer},
		} {
			p := s.dial(t)
			conn := await(t, s.conns)
			c.end(p, conn)
			h.wantClosed(t, c.want)
			select {
			case again := <-h.closed:
				t.Errorf("%s: closed again because of %q", c.name, again)
			default:
			}
		}
	})
}

func TestAPeerThatIgnoresTheCloseIsCutAfterTheLinger(t *testing.T) {
	t.Parallel()
	h := newRecorder()
	s := startServer(t, serverOptions{handler: func() socket.Handler { return h }})
	p := s.dial(t)
	await(t, s.conns).Close(socket.Disconnect{Code: 4200})
	h.wantClosed(t, socket.ReasonServer) // at once: not after the linger
	p.wantClose(4200)
	p.wantEnd()
}

func TestTimersFireOnceNotEarlyAndOnlyTheLast(t *testing.T) {
	t.Parallel()
	onEveryTransport(t, func(t *testing.T, o serverOptions) {
		h := newRecorder()
		fired := make(chan time.Time, 4)
		h.onTimeout = func(*socket.Conn) { fired <- time.Now() }
		o.handler = func() socket.Handler { return h }
		s := startServer(t, o)
		s.dial(t)
		c := await(t, s.conns)
		c.SetTimer(time.Hour)
		start := time.Now()
		c.SetTimer(150 * time.Millisecond)
		select {
		case at := <-fired:
			if d := at.Sub(start); d < 150*time.Millisecond {
				t.Errorf("fired after %v", d)
			}
		case <-time.After(waitLimit):
			t.Fatal("did not fire")
		}
		start = time.Now()
		c.SetTimer(100 * time.Millisecond)
		c.SetTimer(0)
		c.SetTimer(400 * time.Millisecond)
		inTime := time.Since(start) < 100*time.Millisecond // was the first one replaced
		if at := <-fired; inTime && at.Sub(start) < 400*time.Millisecond {
			t.Errorf("a replaced timer fired after %v", at.Sub(start))
		}
	})
}

func TestIdleForCountsFromTheLastBytesReceived(t *testing.T) {
	t.Parallel()
	h := newRecorder()
	h.onMessage = echo
	fired := make(chan time.Duration, 1)
	h.onTimeout = func(c *socket.Conn) { fired <- c.IdleFor() }
	s := startServer(t, serverOptions{handler: func() socket.Handler { return h }})
	p := s.dial(t)
	c := await(t, s.conns)
	c.SetTimer(time.Second)
	if idle := <-fired; idle < 900*time.Millisecond {
		t.Errorf("idle for %v after 1 s of silence", idle)
	}
	heard := c.LastRead()
	p.send(websocket.OpPong, "")
	p.send(websocket.OpText, "x")
	p.want(websocket.OpText, "x")
	if c.LastRead() == heard {
		t.Error("a message is no sign of life")
	}
}

// A process that stood still finds a timer that is due, and what came before it was.
func TestWhatHasArrivedIsHeardBeforeATimer(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("connections are streams here")
	}
	h := newRecorder()
	said := make(chan string, 2)
	h.onMessage = func(*socket.Conn, socket.Opcode, []byte) { said <- "message" }
	h.onTimeout = func(*socket.Conn) { said <- "timeout" }
	s := startServer(t, serverOptions{handler: func() socket.Handler { return h }, prepare: (*socket.Conn).TakeTurn})
	p := s.dial(t)
	c := await(t, s.conns)
	p.send(websocket.OpText, "x")
	for deadline := time.Now().Add(waitLimit); !c.HasArrived(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("the message did not arrive")
		}
	}
	c.Expire()
	if first, second := <-said, <-said; first != "message" || second != "timeout" {
		t.Errorf("heard of a %s, then of a %s", first, second)
	}
}

func TestIdleConnectionsOwnNoGoroutine(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("connections are streams here")
	}
	h := newRecorder()
	h.closed = make(chan socket.CloseReason, 1000)
	h.onMessage = echo
	s := startServer(t, serverOptions{handler: func() socket.Handler { return h }})
	dial := func(n int) {
		for range n {
			p := s.dial(t)
			p.send(websocket.OpText, "x")
			p.want(websocket.OpText, "x")
		}
	}
	dial(100) // the workers are there
	before := runtime.NumGoroutine()
	dial(300)
	deadline := time.Now().Add(waitLimit) // for what has served the last of them and is ending
	for after := runtime.NumGoroutine(); after > before+50; after = runtime.NumGoroutine() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines with 100 connections, %d with 400", before, after)
		}
		runtime.Gosched()
	}
}

func TestASlowConsumerIsToldAndCutWhileOthersGoOn(t *testing.T) {
	t.Parallel()
	onEveryTransport(t, func(t *testing.T, o serverOptions) {
		h := newRecorder()
		o.handler = func() socket.Handler { return h }
		o.endpoint.MaxQueueFrames = 50
		o.endpoint.SlowConsumer = socket.Disconnect{Message: []byte("too slow"), Code: 4100, Reason: "slow"}
		s := startServer(t, o)
		s.engine.LingerFor(waitLimit)
		slow := s.dial(t)
		slowConn := await(t, s.conns)
		quick := s.dial(t)
		quickConn := await(t, s.conns)

		frame := segment(strings.Repeat("x", 10_000))
		for sent := 0; len(h.closed) == 0; sent++ {
			if sent > 100_000 {
				t.Fatal("the slow consumer was never closed")
			}
			slowConn.WriteSegments(frame)
			quickConn.WriteSegments(frame)
			quick.want(websocket.OpText, strings.Repeat("x", 10_000))
		}
		h.wantClosed(t, socket.ReasonSlowConsumer)
		for { // whole frames, then the last message, then the close
			op, payload, err := slow.read()
			if err != nil {
				t.Fatalf("the stream broke: %v", err)
			}
			if op == websocket.OpText && payload == "too slow" {
				break
			}
			if op != websocket.OpText || len(payload) != 10_000 {
				t.Fatalf("got frame %d of %d bytes", op, len(payload))
			}
		}
		slow.wantClose(4100)
		slow.send(websocket.OpClose, "\x10\x04")
		slow.wantEnd()
	})
}

func TestDropModeKeepsTheConnectionAndItsReplies(t *testing.T) {
	t.Parallel()
	onEveryTransport(t, func(t *testing.T, o serverOptions) {
		h := newRecorder()
		h.onMessage = echo
		o.handler = func() socket.Handler { return h }
		o.endpoint.MaxQueueFrames = 20
		o.endpoint.DropWhenFull = true
		s := startServer(t, o)
		p := s.dial(t)
		c := await(t, s.conns)
		frame := segment(strings.Repeat("x", 10_000))
		const broadcasts = 3000 // 30 MB: more than the kernel takes
		for range broadcasts {
			c.WriteSegments(frame)
		}
		for range 100 { // more replies than the queue holds
			p.send(websocket.OpText, "reply")
		}
		got, replies := 0, 0
		for replies < 100 {
			op, payload, err := p.read()
			switch {
			case err != nil:
				t.Fatalf("the stream broke after %d frames: %v", got, err)
			case op == websocket.OpText && payload == "reply":
				replies++
			case op == websocket.OpText && len(payload) == 10_000:
				got++
			default:
				t.Fatalf("got frame %d of %d bytes", op, len(payload))
			}
		}
		if got == broadcasts {
			t.Errorf("all %d broadcasts arrived: nothing was dropped", got)
		}
		c.WriteSegments(segment("later"))
		p.want(websocket.OpText, "later")
	})
}

// segment makes frames that may be sent any number of times.
func segment(payloads ...string) []bufpool.Segment {
	buf := bufpool.Get(64)
	for _, p := range payloads {
		buf.B = websocket.AppendFrame(buf.B, websocket.OpText, []byte(p))
	}
	return []bufpool.Segment{{Buf: buf, End: len(buf.B), Frames: len(payloads)}}
}

func TestABlockedHandlerHoldsUpNobodyElseAndKeepsItsOrder(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	h := newRecorder()
	h.onMessage = func(c *socket.Conn, op socket.Opcode, payload []byte) {
		if string(payload) == "block" {
			<-release
		}
		c.Send(payload)
	}
	s := startServer(t, serverOptions{handler: func() socket.Handler { return h }})
	blocked, other := s.dial(t), s.dial(t)
	blocked.send(websocket.OpText, "block")
	blocked.send(websocket.OpText, "second")
	other.send(websocket.OpText, "x")
	other.want(websocket.OpText, "x")
	close(release)
	blocked.want(websocket.OpText, "block")
	blocked.want(websocket.OpText, "second")
}

// A million frames: some well formed with any content, some whose header or payload is
// random, in a different mix on each connection.
func TestAMillionRandomFramesChangeNothingForOthers(t *testing.T) {
	t.Parallel()
	const total, writes, frames = 1_000_000, 50, 100
	h := newRecorder()
	h.closed = make(chan socket.CloseReason, total)
	h.onMessage = func(c *socket.Conn, _ socket.Opcode, payload []byte) {
		if string(payload) == "still here" {
			c.Send(payload)
		}
	}
	s := startServer(t, serverOptions{handler: func() socket.Handler { return h }})
	good := s.dial(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	var b []byte
	conns := 0
	for sent := 0; sent < total; conns++ {
		p := s.dial(t)
		go func() { _, _ = io.Copy(io.Discard, p.r) }() // ends with the connection
		for range writes {
			b = b[:0]
			for range frames {
				b = append(b, randomFrame(rnd, conns%4)...)
			}
			if _, err := p.nc.Write(b); err != nil {
				break // it was closed for what it sent
			}
			sent += frames
		}
		_ = p.nc.Close()
		good.send(websocket.OpText, "still here")
		good.want(websocket.OpText, "still here")
	}
	for range conns {
		select {
		case <-h.closed:
		case <-time.After(waitLimit):
			t.Fatal("a connection did not end")
		}
	}
}

// randomFrame is well formed at level 0, as the header goes at level 1, rarely at level 2
// and not even masked at level 3.
func randomFrame(rnd *rand.Rand, level int) []byte {
	payload := make([]byte, rnd.IntN(40))
	for i := range payload {
		payload[i] = byte(rnd.Uint32())
	}
	ops := []websocket.Opcode{websocket.OpBinary, websocket.OpPing, websocket.OpPong}
	switch {
	case level == 3:
		return payload
	case level == 2 && rnd.IntN(1000) == 0:
		return masked(websocket.Opcode(rnd.IntN(16)), string(payload))
	case level == 1:
		return fragment(websocket.OpText, strings.ToValidUTF8(string(payload), "?"), rnd.IntN(2000) > 0)
	}
	return masked(ops[rnd.IntN(len(ops))], string(payload))
}

func TestShutdownEndsEveryConnection(t *testing.T) {
	t.Parallel()
	onEveryTransport(t, func(t *testing.T, o serverOptions) {
		h := newRecorder()
		o.handler = func() socket.Handler { return h }
		var s *server
		t.Run("open", func(inner *testing.T) { // its cleanup ends the engine
			s = startServer(inner, o)
			s.dial(t)
			await(t, s.conns)
		})
		h.wantClosed(t, socket.ReasonShutdown)
		if n := s.engine.Connections(); n != 0 {
			t.Errorf("%d connections left", n)
		}
	})
}
