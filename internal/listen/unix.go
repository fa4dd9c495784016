package listen

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"
)

// probeTimeout is how long a socket may take to answer a connection. A living one answers
// at once, or says that its queue is full.
const probeTimeout = time.Second

var errSocketTaken = errors.New("another server is listening there; stop it, or choose another path")

// listenUnix opens a socket at path, to which only users that mode admits can connect. It removes the
// socket of a server that was killed, and never the socket of a server that runs.
func listenUnix(ctx context.Context, path, mode string) (net.Listener, error) {
	permissions, err := strconv.ParseUint(mode, 8, 32)
	if err != nil {
		return nil, fmt.Errorf("mode of the socket: %w", err)
	}
	if err := removeStale(ctx, path); err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", path) // removes the socket when it is closed
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, fs.FileMode(permissions)); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// removeStale removes the socket at path if no process listens on it.
//
// Another server may take the path between the question and the removal. So the socket is
// moved aside first and asked under a name that no other process knows: one that answers is moved
// back.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode()&fs.ModeSocket == 0:
		return errors.New("there is a file that is no socket; remove it, or choose another path")
	case isAlive(ctx, path):
		return errSocketTaken
	}
	aside := path + "." + strconv.Itoa(os.Getpid()) + ".stale"
	if err := os.Rename(path, aside); err != nil {
		return err
	}
	if !isAlive(ctx, aside) {
		return os.Remove(aside)
	}
	if err := os.Link(aside, path); err != nil {
		return errors.Join(errSocketTaken, err)
	}
	return errors.Join(errSocketTaken, os.Remove(aside))
}

// isAlive reports whether a process listens on a socket. Only a refusal says that none does.
func isAlive(ctx context.Context, path string) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		_ = conn.Close() // nothing was said on it
		return true
	}
	return !errors.Is(err, syscall.ECONNREFUSED)
}
