package http1

import (
	"io"
	"net"
	"syscall"

	"github.com/millrace/millrace/internal/rawio"
)

// wire reads and writes the socket of a connection with package rawio; deadlines and waiting are
// the work of the [net.Conn]. It belongs to the goroutine of its connection.
type wire struct {
	nc  net.Conn
	raw syscall.RawConn // nil: nc has no socket, and is used itself

	buf             []byte // of the call under way
	n               int    // bytes that it has read or written
	errno           syscall.Errno
	hasWaited       bool                  // of a write: the socket was full
	tryRead, tryPut func(fd uintptr) bool // made once, to allocate nothing later
}

func (w *wire) open(nc net.Conn) {
	w.nc = nc
	if sc, ok := nc.(syscall.Conn); ok {
		w.raw, _ = sc.SyscallConn() // an error leaves nil
	}
	w.tryRead, w.tryPut = w.readSocket, w.writeSocket
}

// read implements io.Reader for a non-empty b.
func (w *wire) read(b []byte) (int, error) {
	if w.raw == nil {
		return w.nc.Read(b)
	}
	w.buf, w.n, w.errno = b, 0, 0
	err := w.raw.Read(w.tryRead)
	w.buf = nil
	switch {
	case err != nil: // the deadline, or closed
		return 0, err
	case w.errno != 0:
		return 0, w.errno
	case w.n == 0:
		return 0, io.EOF
	}
	return w.n, nil
}

// readSocket reports whether the call is over: false waits for the socket.
func (w *wire) readSocket(fd uintptr) bool {
	w.n, w.errno = rawio.Read(int(fd), w.buf)
	return w.errno != syscall.EAGAIN
}

// write writes all of b, and reports whether it may have waited for the peer.
func (w *wire) write(b []byte) (hasWaited bool, err error) {
	if w.raw == nil {
		_, err = w.nc.Write(b)
		return true, err
	}
	w.buf, w.errno, w.hasWaited = b, 0, false
	err = w.raw.Write(w.tryPut)
	w.buf = nil
	if err == nil && w.errno != 0 {
		err = w.errno
	}
	return w.hasWaited, err
}

// writeSocket reports whether the call is over: false waits for the socket.
func (w *wire) writeSocket(fd uintptr) bool {
	w.n, w.errno = rawio.Write(int(fd), w.buf)
	w.buf = w.buf[w.n:]
	w.hasWaited = w.hasWaited || w.errno == syscall.EAGAIN
	return w.errno != syscall.EAGAIN
}
