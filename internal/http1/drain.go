package http1

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// Retire makes clients go elsewhere with their next request: an answer behind which no other
// request waits ends its connection. Requests that have come are answered, and so are new clients.
func (s *Server) Retire() { s.isRetiring.Store(true) }

// Shutdown ends the server in this order, whichever of the two loops has a connection: the
// listener closes; connections that wait for a request, of which nothing has come, close at once;
// requests under way, or begun, are answered, and close theirs. It returns when the last
// connection has ended. When ctx ends before, it returns its error, and Close does the rest.
func (s *Server) Shutdown(ctx context.Context) error {
	var closing sync.WaitGroup
	for _, w := range s.drain(endWaiting) {
		closing.Go(func() { _ = w.Close() }) // ends within five seconds, which TLS has for its last word
	}
	defer closing.Wait()
	select {
	case <-s.isIdle:
		return unlessClosed(s.next.Shutdown(ctx)) // it has nothing to wait for
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close cuts every connection.
func (s *Server) Close() error {
	s.cancel()
	s.drain(func(c *conn) { _ = c.nc.Close() }) // cut, whatever it says
	return unlessClosed(s.next.Close())
}

// unlessClosed is err, but nil if that says that the listener has been closed: drain has done it.
func unlessClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// drain closes the listener and goes over the connections. It returns the connections of net/http
// that wait for a request, for the caller to close.
func (s *Server) drain(each func(*conn)) (silent []waiter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.isRetiring.Store(true)
	s.isDraining.Store(true)
	for c := range s.conns {
		each(c)
	}
	for w := range s.handed {
		if w.giveUpSilent() {
			silent = append(silent, w)
		}
	}
	if s.listener != nil {
		_ = s.listener.Close() // a second time, perhaps
	}
	s.settleLocked()
	return silent
}

// left notes that the goroutine of a connection ends.
func (s *Server) left() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serving--
	s.settleLocked()
}

// settleLocked closes isIdle when the server drains and has no connection left.
func (s *Server) settleLocked() {
	if s.isSettled || !s.isDraining.Load() || s.serving > 0 || len(s.handed) > 0 {
		return
	}
	s.isSettled = true
	close(s.isIdle)
}

// endWaiting ends a connection of which no request has begun.
func endWaiting(c *conn) {
	if c.isWaiting.Load() {
		_ = c.nc.SetReadDeadline(time.Unix(1, 0)) // fails with the connection
	}
}

// resume is for a connection whose request began while drain or Shed went over the connections.
func (s *Server) resume(c *conn) {
	s.mu.Lock() // until that is over
	defer s.mu.Unlock()
	c.readUntil = time.Time{} // endWaiting may have set another one
}
