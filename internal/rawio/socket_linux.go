package rawio

import (
	"errors"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// Again is the error of a call for which there is nothing to read, or no room to write.
const Again = syscall.EAGAIN

// Take takes the descriptor of nc away from the Go runtime. nc is closed. Without success nc is as
// before.
func Take(nc net.Conn) (fd int, err error) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return -1, errors.ErrUnsupported
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return -1, err
	}
	var dupErr error
	if err := raw.Control(func(old uintptr) {
		fd, dupErr = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0)
	}); err != nil {
		return -1, err
	}
	if dupErr != nil {
		return -1, dupErr
	}
	_ = nc.Close() // the duplicate keeps the connection
	return fd, nil
}

// Peek is [Read] of one byte that stays there to be read.
func Peek(fd int) (b byte, n int, errno syscall.Errno) {
	var one [1]byte
	for {
		n, _, err := unix.Recvfrom(fd, one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		if err == nil {
			return one[0], n, 0
		}
		if errno, _ = errors.AsType[syscall.Errno](err); errno != syscall.EINTR {
			return 0, 0, errno
		}
	}
}

// Peer is the address that fd is connected to, not valid for a unix socket.
func Peer(fd int) netip.Addr {
	to, err := unix.Getpeername(fd)
	if err != nil {
		return netip.Addr{}
	}
	switch to := to.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(to.Addr)
	case *unix.SockaddrInet6:
		return netip.AddrFrom16(to.Addr).Unmap()
	default:
		return netip.Addr{}
	}
}

// Shutdown ends both directions of fd, so that reads and writes return.
func Shutdown(fd int) { _ = unix.Shutdown(fd, unix.SHUT_RDWR) }

// Close gives fd back, and takes it out of every Poll.
func Close(fd int) { _ = unix.Close(fd) }
