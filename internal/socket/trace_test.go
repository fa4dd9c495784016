package socket_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/socket"
	"github.com/millrace/millrace/internal/websocket"
)

// listener counts what a Tracer is told.
type listener struct {
	notes atomic.Int64
	ended chan struct{}
}

func newListener() *listener { return &listener{ended: make(chan struct{}, 1)} }

func (l *listener) Note(bool, socket.Opcode, []byte) { l.notes.Add(1) }

func (l *listener) Flush(isLast bool) {
	if isLast {
		l.ended <- struct{}{}
	}
}

// TestAsManyAreTracedAsMayBe also shows that whoever ends, or is ended, makes room.
func TestAsManyAreTracedAsMayBe(t *testing.T) {
	t.Parallel()
	conns := make(chan *socket.Conn, 1)
	s := startServer(t, serverOptions{handler: func() socket.Handler {
		h := newRecorder()
		h.onMessage = func(c *socket.Conn, _ socket.Opcode, _ []byte) { conns <- c }
		return h
	}})
	open := func() (*peer, *socket.Conn) {
		p := s.dial(t)
		p.send(websocket.OpText, "who are you?")
		return p, <-conns
	}
	peers, all := make([]*peer, socket.MaxTraced), make([]*socket.Conn, socket.MaxTraced)
	for i := range all {
		peers[i], all[i] = open()
	}
	last := newListener()
	for i, c := range all {
		l := newListener()
		if i == 0 {
			l = last
		}
		if err := c.Trace(l, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	_, other := open()
	if err := other.Trace(newListener(), time.Hour); !errors.Is(err, socket.ErrTooManyTraces) || other.IsTraced() {
		t.Fatalf("one more: %v, traced %v", err, other.IsTraced())
	}
	if err := all[1].Trace(newListener(), time.Hour); err != nil {
		t.Errorf("one that is traced already: %v", err)
	}
	peers[0].nc.Close()
	<-last.ended
	short := newListener()
	if err := other.Trace(short, time.Millisecond); err != nil {
		t.Fatalf("after one has ended: %v", err)
	}
	<-short.ended
	if other.IsTraced() {
		t.Error("traced when its time is over")
	}
	if err := other.Trace(newListener(), time.Hour); err != nil {
		t.Errorf("after the time of one was over: %v", err)
	}
	if err := all[0].Trace(newListener(), time.Hour); !errors.Is(err, socket.ErrNotOpen) {
		t.Errorf("one that has ended: %v", err)
	}
}
