package http1

import (
	"errors"
	"net"
	"sync"
	"syscall"
)

// handover is the listener of net/http: it accepts what it is given.
type handover struct {
	at     net.Addr
	conns  chan net.Conn
	closed chan struct{}
	close  sync.Once
}

func newHandover() *handover {
	return &handover{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// give reports false if net/http takes no more.
func (h *handover) give(nc net.Conn) bool {
	select {
	case h.conns <- nc:
		return true
	case <-h.closed:
		_ = nc.Close() // net/http has ended
		return false
	}
}

// Accept implements net.Listener.
func (h *handover) Accept() (net.Conn, error) {
	select {
	case nc := <-h.conns:
		return nc, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *handover) Close() error {
	h.close.Do(func() { close(h.closed) })
	return nil
}

// Addr implements net.Listener.
func (h *handover) Addr() net.Addr { return h.at }

// replay is a connection of which something may have been read before.
type replay struct {
	net.Conn
	awaited
	unread []byte
}

// cut implements waiter.
func (r *replay) cut() { _ = r.Close() }

var errUnread = errors.New("http1: the connection has bytes that its socket has not")

// Read implements net.Conn.
func (r *replay) Read(p []byte) (int, error) {
	if len(r.unread) == 0 {
		n, err := r.Conn.Read(p)
		if err := r.took(p[:n]); err != nil {
			return 0, err
		}
		return n, err
	}
	n := copy(p, r.unread)
	if err := r.took(p[:n]); err != nil {
		return 0, err
	}
	if r.unread = r.unread[n:]; len(r.unread) == 0 {
		r.unread = nil
	}
	return n, nil
}

// CloseWrite is what net/http ends a connection with whose client is still sending.
func (r *replay) CloseWrite() error {
	if half, ok := r.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// SyscallConn implements syscall.Conn, by which an upgraded connection leaves for a poller.
func (r *replay) SyscallConn() (syscall.RawConn, error) {
	sc, ok := r.Conn.(syscall.Conn)
	switch {
	case !ok:
		return nil, errors.ErrUnsupported
	case len(r.unread) > 0:
		return nil, errUnread
	}
	return sc.SyscallConn()
}
