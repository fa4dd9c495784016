package socket

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/bufpool"
)

const (
	// writeTimeout bounds one write on a stream; a peer that takes nothing for so long is cut.
	writeTimeout = stallTimeout
	// maxPiece bounds the bytes of one write: one record of TLS.
	maxPiece = 16 << 10
)

// stream carries a Conn over a net.Conn that no poller can watch: TLS, and plain sockets
// where there is no epoll. One goroutine reads for as long as the connection lives; a
// second one is borrowed while something waits to be written.
type stream struct {
	nc     net.Conn
	reaper *reaper    // of its connection; nil where there are none
	turn   sync.Mutex // serialises the reader with turns that timers and closing take
	one    [1]byte    // the byte an idle connection waits for; owned by the reader

	// Guarded by Conn.mu.
	isWriting bool
	inFlight  []byte        // taken by the writer, still the front of the queue
	resumed   chan struct{} // closed when reading goes on; nil: the reader does not wait
}

// startStream begins to read. The connection is uncorked and its queue may hold bytes.
func (e *Engine) startStream(c *Conn) {
	e.mu.Lock()
	e.conns[c] = struct{}{}
	e.mu.Unlock()
	e.workers.Add(1)
	go c.stream.read(c) // ends when the connection is cut
}

func (s *stream) read(c *Conn) {
	defer c.eng.workers.Done()
	for {
		s.awaitResume(c)
		if _, err := s.nc.Read(s.one[:]); err != nil {
			break
		}
		buf := bufpool.Get(readBuffer)
		b := append(buf.B, s.one[0])
		// No frame is one byte long: more is there, or about to be.
		n, err := s.nc.Read(b[1:cap(b)])
		s.turn.Lock()
		c.consume(b[:1+n])
		s.turn.Unlock()
		buf.Release()
		if err != nil {
			break
		}
	}
	c.cut(ReasonLost)
}

// awaitResume waits until reading does not pause and all that was set aside is handled: the reader
// must not read on before that, though a pause may end while it handles it.
func (s *stream) awaitResume(c *Conn) {
	for {
		c.mu.Lock()
		var resumed chan struct{}
		if c.isPaused.Load() {
			if s.resumed == nil {
				s.resumed = make(chan struct{})
			}
			resumed = s.resumed
		}
		c.mu.Unlock()
		if resumed != nil {
			<-resumed
			continue
		}
		s.turn.Lock()
		c.consumeUnread()
		isDone := !c.hasUnread()
		s.turn.Unlock()
		if isDone {
			return
		}
	}
}

// readOnLocked lets the reader go on, if it waits.
func (s *stream) readOnLocked() {
	if s.resumed != nil {
		close(s.resumed)
		s.resumed = nil
	}
}

// isBusy reports whether the reader handles what came, and may be in a handler that blocks.
func (s *stream) isBusy() bool {
	if !s.turn.TryLock() {
		return true
	}
	s.turn.Unlock()
	return false
}

// wakeLocked borrows a writer unless there is one.
func (s *stream) wakeLocked(c *Conn) {
	if s.isWriting || c.queue == nil || c.queue.IsEmpty() {
		return
	}
	s.isWriting = true
	c.eng.workers.Add(1)
	go s.write(c) // ends when the queue is empty, or the connection cut
}

func (s *stream) write(c *Conn) {
	defer c.eng.workers.Done()
	for s.take(c) {
		_ = s.nc.SetWriteDeadline(time.Now().Add(writeTimeout))
		_, err := s.nc.Write(s.inFlight)
		if !s.settle(c, err) {
			return
		}
	}
}

// take makes the front of the queue the segment to write next.
func (s *stream) take(c *Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state >= cutting {
		s.endLocked(c)
		return false
	}
	s.inFlight = c.queue.Front().Bytes()
	s.inFlight = s.inFlight[:min(len(s.inFlight), maxPiece)]
	return true
}

// settle accounts for a finished write. It reports whether there is more to write.
func (s *stream) settle(c *Conn, err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.queue.Wrote(len(s.inFlight))
		c.resumeLocked()
	} else {
		c.lostWritingLocked(err)
	}
	s.inFlight = nil
	if c.state >= cutting {
		s.endLocked(c)
		return false
	}
	if c.queue.IsEmpty() {
		s.isWriting = false
		c.drainedLocked()
		return false
	}
	return true
}

// lostWritingLocked ends a connection that a write has failed on. A write that was not in time
// may have ended within a frame, or a record of TLS: the peer cannot be told.
func (c *Conn) lostWritingLocked(err error) {
	reason := ReasonLost
	if errors.Is(err, os.ErrDeadlineExceeded) && c.state == open {
		c.eng.metrics.slowConsumers.Inc()
		reason = ReasonSlowConsumer
	}
	c.cutLocked(reason)
}

// endLocked ends the writer of a connection that is cut.
func (s *stream) endLocked(c *Conn) {
	s.isWriting = false
	c.queue.Free()
	c.queue = nil
}

// streamWritingLocked reports whether a stream's writer still uses the queue.
func (c *Conn) streamWritingLocked() bool { return c.stream != nil && c.stream.isWriting }

// closeLocked ends reads and writes that block. For TLS this bypasses close_notify, which
// could block behind a peer that does not read; the close frame has said it already.
func (s *stream) closeLocked() {
	nc := s.nc
	if t, ok := nc.(interface{ NetConn() net.Conn }); ok {
		nc = t.NetConn()
	}
	_ = nc.Close()
}

func (s *stream) forget(c *Conn) {
	c.eng.mu.Lock()
	delete(c.eng.conns, c)
	c.eng.mu.Unlock()
}
