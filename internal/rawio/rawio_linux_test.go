package rawio_test

import (
	"bytes"
	"syscall"
	"testing"

	"github.com/millrace/millrace/internal/rawio"
)

// pair is two connected sockets in non-blocking mode.
func pair(t *testing.T) (a, b int) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, fd := range fds {
			_ = syscall.Close(fd)
		}
	})
	return fds[0], fds[1]
}

func TestNothingToRead(t *testing.T) {
	t.Parallel()
	a, _ := pair(t)
	if n, errno := rawio.Read(a, make([]byte, 1)); n != 0 || errno != syscall.EAGAIN {
		t.Errorf("got %d, %v", n, errno)
	}
}

func TestTheEndOfTheStreamIsNoError(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	if err := syscall.Shutdown(b, syscall.SHUT_WR); err != nil {
		t.Fatal(err)
	}
	if n, errno := rawio.Read(a, make([]byte, 1)); n != 0 || errno != 0 {
		t.Errorf("got %d, %v", n, errno)
	}
}

// TestAWriteStopsWhereTheSocketIsFull writes more than a socket takes, in pieces, and reads all of
// it in order.
func TestAWriteStopsWhereTheSocketIsFull(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	sent := make([]byte, 3<<20)
	for i := range sent {
		sent[i] = byte(i >> 8)
	}
	var received []byte
	piece := make([]byte, 100_000)
	refusals := 0
	for rest := sent; len(received) < len(sent); {
		n, errno := rawio.Write(a, rest)
		rest = rest[n:]
		if (errno == 0) != (len(rest) == 0) || errno != 0 && errno != syscall.EAGAIN {
			t.Fatalf("wrote %d, %d are left: %v", n, len(rest), errno)
		}
		if errno != 0 {
			refusals++
		}
		for {
			n, errno := rawio.Read(b, piece)
			if errno != 0 {
				break
			}
			received = append(received, piece[:n]...)
		}
	}
	if !bytes.Equal(received, sent) || refusals == 0 {
		t.Errorf("%d bytes of %d arrived, equal %v, %d refusals", len(received), len(sent), bytes.Equal(received, sent), refusals)
	}
}

func TestAClosedPeer(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	if err := syscall.Shutdown(b, syscall.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
	if n, errno := rawio.Write(a, []byte("x")); n != 0 || errno != syscall.EPIPE {
		t.Errorf("got %d, %v", n, errno)
	}
}

func TestAllocs(t *testing.T) {
	a, b := pair(t)
	out, in := []byte("hello"), make([]byte, 16)
	if n := testing.AllocsPerRun(100, func() {
		_, _ = rawio.Write(a, out)
		_, _ = rawio.Read(b, in)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
