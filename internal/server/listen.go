package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// listen opens a TCP listener.
//
// Keep-alive probes are off: every connection has a deadline of its own (liveness of a
// session, IdleTimeout of net/http), and with many idle connections the probes would be
// most of the traffic. Multipath TCP is off because its sockets cost the kernel more.
func listen(ctx context.Context, addr string) (net.Listener, error) {
	lc := net.ListenConfig{KeepAlive: -1}
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return l, nil
}

// patientListener counts what Accept fails with, and says so once per second at most.
// net/http waits and tries again by itself, for instance when descriptors run out.
type patientListener struct {
	net.Listener
	log    *slog.Logger
	failed prometheus.Counter
	last   atomic.Int64 // Unix nanoseconds of the last word about it
}

func (l *patientListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil || errors.Is(err, net.ErrClosed) {
		return conn, err
	}
	l.failed.Inc()
	now, last := time.Now().UnixNano(), l.last.Load()
	if now-last >= int64(time.Second) && l.last.CompareAndSwap(last, now) {
		l.log.Warn("accept failed; trying again", "err", err)
	}
	return nil, err
}

// tlsConfig is what a certificate and its key make. Only HTTP/1.1 is offered: WebSocket is
// not spoken over HTTP/2 here.
func tlsConfig(certFile, keyFile string) (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("load TLS certificate: %w", err)
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{cert},
		NextProtos:   []string{"http/1.1"},
	}, nil
}
