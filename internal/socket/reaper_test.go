package socket_test

import (
	"net"
	"sync/atomic"
	"testing"

	"github.com/millrace/millrace/internal/socket"
	"github.com/millrace/millrace/internal/websocket"
)

// TestEndsDoNotWaitForHandlersOfOthers lets handlers block whose peers have spoken and gone
// at once, and then others go.
func TestEndsDoNotWaitForHandlersOfOthers(t *testing.T) {
	t.Parallel()
	free := make(chan struct{})
	blocked := make(chan struct{}, 50)
	handlers := make(chan *recorder, 1)
	s := startServer(t, serverOptions{handler: func() socket.Handler {
		h := newRecorder()
		h.onMessage = func(*socket.Conn, socket.Opcode, []byte) {
			blocked <- struct{}{}
			<-free
		}
		handlers <- h
		return h
	}})
	open := func() (*peer, *recorder) { return s.dial(t), <-handlers }
	var speakers []*recorder
	for range cap(blocked) {
		p, h := open()
		speakers = append(speakers, h)
		p.write(masked(websocket.OpText, "something"))
		p.nc.Close()
	}
	for range 200 {
		p, h := open()
		p.nc.Close()
		h.wantClosed(t, socket.ReasonLost)
	}
	for range cap(blocked) { // each has heard what its peer said
		<-blocked
	}
	close(free)
	for _, h := range speakers {
		h.wantClosed(t, socket.ReasonLost)
	}
}

// TestOneEndThatBlocksDoesNotHoldUpOthers lets the handler of one connection block when it
// is told of the end, as one does that carries out the effects itself on a bus that is slow.
func TestOneEndThatBlocksDoesNotHoldUpOthers(t *testing.T) {
	t.Parallel()
	free, blocked := make(chan struct{}), make(chan struct{}, 8)
	handlers := make(chan *slowToEnd, 1)
	var isSlow atomic.Bool
	isSlow.Store(true)
	s := startServer(t, serverOptions{handler: func() socket.Handler {
		h := &slowToEnd{recorder: newRecorder()}
		if isSlow.Load() {
			h.blocked, h.free = blocked, free
		}
		handlers <- h
		return h
	}})
	open := func() (*peer, *slowToEnd) { return s.dial(t), <-handlers }
	var slow []*slowToEnd
	for range cap(blocked) {
		p, h := open()
		slow = append(slow, h)
		p.nc.Close()
	}
	for range cap(blocked) { // all have come that far, though each blocks
		<-blocked
	}
	isSlow.Store(false)
	var others []*slowToEnd
	for range 50 {
		p, h := open()
		others = append(others, h)
		p.nc.Close()
	}
	for _, h := range others {
		h.wantClosed(t, socket.ReasonLost)
	}
	close(free)
	for _, h := range slow {
		h.wantClosed(t, socket.ReasonLost)
	}
}

// slowToEnd is a recorder that, with channels, says that it was told of the end and waits.
type slowToEnd struct {
	*recorder
	blocked chan<- struct{}
	free    <-chan struct{}
}

func (s *slowToEnd) Closed(c *socket.Conn, reason socket.CloseReason) {
	if s.free != nil {
		s.blocked <- struct{}{}
		<-s.free
	}
	s.recorder.Closed(c, reason)
}

// TestWhatCameWithTheUpgradeIsHeardOfThoseWhoHaveGone fills the reaper, so that peers have
// gone before their connections are started.
func TestWhatCameWithTheUpgradeIsHeardOfThoseWhoHaveGone(t *testing.T) {
	t.Parallel()
	heard := make(chan string, 100)
	handlers := make(chan *recorder, cap(heard))
	s := startServer(t, serverOptions{handler: func() socket.Handler {
		h := newRecorder()
		h.onMessage = func(_ *socket.Conn, _ socket.Opcode, payload []byte) { heard <- string(payload) }
		handlers <- h
		return h
	}})
	for range cap(heard) {
		p := s.dialRaw(t, string(masked(websocket.OpText, "early")))
		if err := p.nc.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
	}
	for range cap(heard) {
		if got := <-heard; got != "early" {
			t.Errorf("heard %q", got)
		}
		(<-handlers).wantClosed(t, socket.ReasonLost)
	}
}

func TestManyEndsAtOnceAreAllTold(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, last string
		want       socket.CloseReason
	}{
		{"cut", "", socket.ReasonLost},
		{"with a close frame before", string(masked(websocket.OpClose, "\x03\xe8")), socket.ReasonPeer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			handlers := make(chan *recorder, 1)
			s := startServer(t, serverOptions{handler: func() socket.Handler {
				h := newRecorder()
				handlers <- h
				return h
			}})
			peers, all := make([]*peer, 300), make([]*recorder, 300)
			for i := range peers {
				peers[i] = s.dial(t)
				all[i] = <-handlers
			}
			for _, p := range peers {
				p.write([]byte(tt.last))
				p.nc.Close()
			}
			for _, h := range all {
				h.wantClosed(t, tt.want)
			}
		})
	}
}
