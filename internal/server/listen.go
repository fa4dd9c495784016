package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// listen opens the listener of http.listen: a socket at a path, with the permissions mode, or
// TCP.
func listen(ctx context.Context, addr, mode string) (net.Listener, error) {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		l, err := listenUnix(ctx, path, mode)
		if err != nil {
			return nil, fmt.Errorf("listen on %s: %w", addr, err)
		}
		return l, nil
	}
	return listenTCP(ctx, addr)
}

// listenTCP opens a TCP listener.
//
// Keep-alive probes are off: every connection has a deadline of its own (liveness of a
// session, IdleTimeout of net/http), and with many idle connections the probes would be
// most of the traffic. Multipath TCP is off because its sockets cost the kernel more.
func listenTCP(ctx context.Context, addr string) (net.Listener, error) {
	lc := net.ListenConfig{KeepAlive: -1}
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return l, nil
}

// choosingAnother adds to an error of listening on an address that is taken what to do.
func choosingAnother(key string, err error) error {
	if !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	return fmt.Errorf("%w: stop what uses it (\"ss -ltnp\" shows that), or choose another %s", err, key)
}

// guardedListener turns clients away while hardly any descriptor is left. It counts them, and
// what Accept fails with, and says so once per second at most. net/http waits after a failure
// and tries again by itself.
type guardedListener struct {
	net.Listener
	log     *slog.Logger
	failed  prometheus.Counter
	reserve reserve
	free    func(n int, silence time.Duration) (ended int) // ends some connections that say nothing
	isPlain bool                                           // clients do not speak TLS
	last    atomic.Int64                                   // Unix nanoseconds of the last word about it

	probes     bool // connections have keep-alive probes, unless Accept turns them off; see listenTCP
	isReleased atomic.Bool
	closed     chan struct{}
	close      func() // closes closed, once
}

func newGuardedListener(l net.Listener, log *slog.Logger, failed prometheus.Counter) *guardedListener {
	closed := make(chan struct{})
	return &guardedListener{
		Listener: l, log: log, failed: failed, closed: closed, close: sync.OnceFunc(func() { close(closed) }),
	}
}

// release leaves clients that connect from now on to the next process that has the same socket: they
// wait in its queue. To the servers of l it looks as if no client came.
func (l *guardedListener) release() {
	l.isReleased.Store(true)
	_ = l.Listener.Close() // it is closed at the end anyway
}

func (l *guardedListener) Close() error {
	l.close()
	if l.isReleased.Load() {
		return nil
	}
	return l.Listener.Close()
}

func (l *guardedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil && l.isReleased.Load() {
			<-l.closed
		}
		if tcp, ok := conn.(*net.TCPConn); ok && l.probes {
			_ = tcp.SetKeepAlive(false) // fails with the connection
		}
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil, err
		case err != nil:
			if l.count() {
				l.log.Warn("accept failed; trying again", "err", err)
			}
			return nil, err
		case l.reserve.admits(conn, l.free):
			return conn, nil
		}
		if l.count() {
			l.log.Warn("client turned away: hardly any descriptor is left; raise the limit of open files")
		}
		turnAway(conn, l.isPlain)
	}
}

// count counts a failure. It reports whether it is time to say so.
func (l *guardedListener) count() bool {
	l.failed.Inc()
	now, last := time.Now().UnixNano(), l.last.Load()
	return now-last >= int64(time.Second) && l.last.CompareAndSwap(last, now)
}
