//go:build !linux

package bench

import "net"

// reservation is a loopback address that was free a moment ago.
type reservation struct{ address string }

func reserve() (*reservation, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &reservation{l.Addr().String()}, l.Close()
}

func (*reservation) release() {}
