package listen

import (
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options of Guard. Log and Failed are required.
type Options struct {
	Log    *slog.Logger
	Failed prometheus.Counter // of clients that could not be accepted, or were turned away

	Reserve Reserve // may be zero: clients are never turned away
	// Shed ends up to n connections that have said nothing for so long, and returns how many. Required
	// with Reserve.
	Shed        func(n int, silence time.Duration) (ended int)
	IsPlain     bool // clients do not speak TLS, so one that is turned away can be told
	IsInherited bool // another process has opened the listener: its connections have keep-alive probes, unless Accept turns them off; see OpenTCP
}

// Listener turns clients away while hardly any descriptor is left. It counts them, and what Accept fails
// with, and says so once per second at most. net/http waits after a failure and tries again by itself.
type Listener struct {
	net.Listener
	o    Options
	last atomic.Int64 // Unix nanoseconds of the last word about a failure

	isReleased atomic.Bool
	closed     chan struct{}
	close      func() // closes closed, once
}

// Guard makes a Listener of l.
func Guard(l net.Listener, o Options) *Listener {
	closed := make(chan struct{})
	return &Listener{Listener: l, o: o, closed: closed, close: sync.OnceFunc(func() { close(closed) })}
}

// Release leaves clients that connect from now on to the next process that has the same socket: they
// wait in its queue. To the servers of l it looks as if no client came.
func (l *Listener) Release() {
	l.isReleased.Store(true)
	_ = l.Listener.Close() // it is closed at the end anyway
}

// Close ends Accept. It also closes the socket, unless it was released.
func (l *Listener) Close() error {
	l.close()
	if l.isReleased.Load() {
		return nil
	}
	return l.Listener.Close()
}

// Accept waits for a client that may stay.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil && l.isReleased.Load() {
			<-l.closed
		}
		if tcp, ok := conn.(*net.TCPConn); ok && l.o.IsInherited {
			_ = tcp.SetKeepAlive(false) // fails with the connection
		}
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil, err
		case err != nil:
			if l.count() {
				l.o.Log.Warn("a client could not be accepted; the server tries again", "err", err)
			}
			return nil, err
		case l.o.Reserve.admits(conn, l.o.Shed):
			return conn, nil
		}
		if l.count() {
			l.o.Log.Warn("client turned away: the process has hardly any descriptor left; raise its limit of open files")
		}
		turnAway(conn, l.o.IsPlain)
	}
}

// count counts a failure. It reports whether it is time to say so.
func (l *Listener) count() bool {
	l.o.Failed.Inc()
	now, last := time.Now().UnixNano(), l.last.Load()
	return now-last >= int64(time.Second) && l.last.CompareAndSwap(last, now)
}
