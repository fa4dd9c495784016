//go:build unix

package listen

import (
	"errors"
	"log/slog"
	"net"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"
)

// A listener that was handed over probes its connections by default, which would be most of the
// traffic of idle ones.
func TestConnectionsOfASocketThatWasHandedOverAreNotProbed(t *testing.T) {
	t.Parallel()
	first, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	f, err := first.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	second, err := net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	l := Guard(second, Options{
		Log: slog.New(slog.DiscardHandler), Failed: prometheus.NewCounter(prometheus.CounterOpts{Name: "failed"}), IsInherited: true,
	})
	defer func() { _ = l.Close() }()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var isProbed int
	var failure error
	err = raw.Control(func(fd uintptr) {
		isProbed, failure = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_KEEPALIVE)
	})
	if err := errors.Join(err, failure); err != nil || isProbed != 0 {
		t.Errorf("keep-alive is %d, %v", isProbed, err)
	}

	// Who connects after the release waits for whoever has the socket then.
	l.Release()
	late, err := net.Dial("tcp", first.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	next, err := first.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = next.Close()
}

// To those who serve a released listener it looks as if nobody came until they close it.
func TestAReleasedListenerWaitsForItsClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inner := exhaustedUntilClosed{exhausted{err: net.ErrClosed}}
		l := Guard(inner, Options{
			Log: slog.New(slog.DiscardHandler), Failed: prometheus.NewCounter(prometheus.CounterOpts{Name: "failed"}),
		})
		l.Release()
		ended := make(chan error, 1)
		go func() { // ends with Close
			_, err := l.Accept()
			ended <- err
		}()
		synctest.Wait()
		select {
		case err := <-ended:
			t.Errorf("it ended with %v before it was closed", err)
		default:
		}
		for range 2 {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v", err)
		}
	})
}

// exhaustedUntilClosed can be closed.
type exhaustedUntilClosed struct{ exhausted }

func (exhaustedUntilClosed) Close() error { return nil }
