package rawio

import "syscall"

// MaxWrite is how many bytes one system call passes to the kernel at most: copying more takes so
// long that other goroutines should have the processor in between.
const MaxWrite = 64 << 10

// Read reads once from fd into b, which must not be empty, and returns how many bytes came: 0 at
// the end of the stream. The number of the error is [syscall.EAGAIN] when nothing is there to be
// read, and 0 without an error.
//
//millrace:hot TestAllocs
func Read(fd int, b []byte) (int, syscall.Errno) {
	for {
		switch n, errno := read(fd, b); errno {
		case 0:
			return n, 0
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}

// Write writes what the socket takes of b and returns how many bytes that was. The number of the
// error is [syscall.EAGAIN] when the socket took less than all of them, and 0 without an error.
//
//millrace:hot TestAllocs
func Write(fd int, b []byte) (written int, errno syscall.Errno) {
	for written < len(b) {
		piece := b[written:min(len(b), written+MaxWrite)]
		switch n, errno := write(fd, piece); errno {
		case 0:
			written += n
		case syscall.EINTR:
		default:
			return written, errno
		}
	}
	return written, 0
}
