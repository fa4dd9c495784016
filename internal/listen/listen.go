// Package listen opens the listeners of a node and keeps them usable: sockets at a path that a killed
// server may have left, TLS certificates that are renewed while connections are open, the last descriptors
// of the process, and the hand-over of a socket to the next process.
//
// It must never know what is served on a connection, or the configuration. It starts no goroutine. A
// client that a Listener turns away is told so, unless it expects TLS, and counted.
package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
)

// Open opens a listener: for an address that begins with "unix:" a socket at a path, with the
// permissions mode, else TCP.
func Open(ctx context.Context, addr, mode string) (net.Listener, error) {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		l, err := listenUnix(ctx, path, mode)
		if err != nil {
			return nil, fmt.Errorf("listen on %s: %w", addr, err)
		}
		return l, nil
	}
	return OpenTCP(ctx, addr)
}

// OpenTCP opens a TCP listener.
//
// Keep-alive probes are off: every connection has a deadline of its own (liveness of a
// session, IdleTimeout of net/http), and with many idle connections the probes would be
// most of the traffic. Multipath TCP is off because its sockets cost the kernel more.
func OpenTCP(ctx context.Context, addr string) (net.Listener, error) {
	lc := net.ListenConfig{KeepAlive: -1}
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return l, nil
}

// Explain adds to an error of opening a listener what an operator can do about it. The address is the
// setting named by key.
func Explain(key string, err error) error {
	if !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	return fmt.Errorf("%w: stop what uses it (\"ss -ltnp\" shows that), or choose another %s", err, key)
}
