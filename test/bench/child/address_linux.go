package child

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Reservation keeps a loopback address for a child: it is bound, so that the kernel gives its
// port to no other process, and does not listen, so that the child can.
type Reservation struct {
	Address string
	fd      int
}

// Reserve binds a free port.
func Reserve() (*Reservation, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("reserve an address: %w", err)
	}
	r := &Reservation{fd: fd}
	if err := r.bind(); err != nil {
		r.Release()
		return nil, fmt.Errorf("reserve an address: %w", err)
	}
	return r, nil
}

func (r *Reservation) bind() error {
	// Without it on both sides the child could not listen.
	if err := unix.SetsockoptInt(r.fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return err
	}
	if err := unix.Bind(r.fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	sa, err := unix.Getsockname(r.fd)
	if err != nil {
		return err
	}
	at, ok := sa.(*unix.SockaddrInet4)
	if !ok {
		return errors.New("an address of another family")
	}
	r.Address = netip.AddrPortFrom(netip.AddrFrom4(at.Addr), uint16(at.Port)).String()
	return nil
}

// Release gives the address up.
func (r *Reservation) Release() { _ = unix.Close(r.fd) }
