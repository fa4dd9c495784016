//go:build race

package rawio

import (
	"errors"
	"syscall"
)

// The race detector learns from the usual calls that what one end of a connection wrote came
// before what the other end read.

func read(fd int, b []byte) (int, syscall.Errno) { return errnoOf(syscall.Read(fd, b)) }

func write(fd int, b []byte) (int, syscall.Errno) { return errnoOf(syscall.Write(fd, b)) }

func errnoOf(n int, err error) (int, syscall.Errno) {
	if err == nil {
		return n, 0
	}
	errno, _ := errors.AsType[syscall.Errno](err)
	return n, errno
}
