//go:build !linux

package http1

import "net"

// wire reads and writes a connection.
type wire struct{ nc net.Conn }

func (w *wire) open(nc net.Conn) { w.nc = nc }

func (w *wire) read(b []byte) (int, error) { return w.nc.Read(b) }

// write writes all of b. It may have waited for the peer.
func (w *wire) write(b []byte) (hasWaited bool, err error) {
	_, err = w.nc.Write(b)
	return true, err
}
