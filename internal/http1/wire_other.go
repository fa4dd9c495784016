//go:build !linux

package http1

import "net"

// wire reads and writes a connection.
type wire struct{ nc net.Conn }

func (w *wire) open(nc net.Conn) { w.nc = nc }

func (w *wire) read(b []byte) (int, error) { return w.nc.Read(b) }

func (w *wire) write(b []byte) error {
	_, err := w.nc.Write(b)
	return err
}
