package socket_test

import (
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
