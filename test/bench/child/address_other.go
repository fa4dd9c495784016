//go:build !linux

package child

import "net"

// Reservation is a loopback address that was free a moment ago.
type Reservation struct{ Address string }

// Reserve finds a free port.
func Reserve() (*Reservation, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &Reservation{l.Addr().String()}, l.Close()
}

// Release does nothing: nothing is held.
func (*Reservation) Release() {}
