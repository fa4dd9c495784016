package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
)

// notifier tells the service manager how the process is (sd_notify). Without a socket it does
// nothing.
type notifier struct {
	socket string // NOTIFY_SOCKET
	log    *slog.Logger
}

// send tells one state. The manager decides what its silence means, so a failure is logged
// and no more.
func (n notifier) send(state string) {
	if n.socket == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"}) // @name is abstract
	if err == nil {
		_, err = conn.Write([]byte(state))
		err = errors.Join(err, conn.Close())
	}
	if err != nil {
		first, _, _ := strings.Cut(state, "\n")
		n.log.Warn("the service manager could not be told of a state", "state", first, "err", err)
	}
}

// firstInherited is the descriptor of the first socket that a service manager has opened for
// the process (sd_listen_fds).
const firstInherited = 3

// inheritedListener is the socket that the service manager has opened for clients; nil if
// there is none.
func inheritedListener(env *Env) (net.Listener, error) {
	count := env.Variable("LISTEN_FDS")
	if count == "" || env.Variable("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	if count != "1" {
		return nil, fmt.Errorf("socket activation: the service manager passed %s sockets; configure one, for clients", count)
	}
	f := os.NewFile(firstInherited, "LISTEN_FD_3")
	l, err := net.FileListener(f)
	if err := errors.Join(err, f.Close()); err != nil { // l has a descriptor of its own
		return nil, fmt.Errorf("socket activation: %w", err)
	}
	return l, nil
}
