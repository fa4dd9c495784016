package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"time"
)

const (
	// startTimeout bounds the start of a child.
	startTimeout = time.Minute
	// stopTimeout is how long a child may take to end by itself.
	stopTimeout = 10 * time.Second
)

// Child is a server that runs as a process of its own, so that what it uses can be told
// apart from what the generator uses.
type Child struct {
	URL        string
	MetricsURL string // empty if it has none

	cmd    *exec.Cmd
	cancel context.CancelFunc
	ended  chan struct{}
	output bytes.Buffer // to be read after the end
	dir    string
	kept   []*reservation
}

// StartFloor starts executable as the floor.
func StartFloor(ctx context.Context, executable string) (*Child, error) {
	return startFloor(ctx, executable)
}

// startSignedFloor starts executable as a floor that checks signatures.
func startSignedFloor(ctx context.Context, executable string) (*Child, error) {
	return startFloor(ctx, executable, "--secret", DevelopmentSecret)
}

// startBatchingFloor starts executable as a floor that writes once per subscriber and round of
// its poller.
func startBatchingFloor(ctx context.Context, executable string) (*Child, error) {
	return startFloor(ctx, executable, "--batches")
}

func startFloor(ctx context.Context, executable string, flags ...string) (*Child, error) {
	at, err := reserve()
	if err != nil {
		return nil, err
	}
	args := append([]string{"bench", "floor", "--listen", at.address}, flags...)
	c, err := startChild(ctx, at.address, "", nil, executable, args...)
	return c.keep(err, at)
}

// StartServer starts executable as a server with development defaults and data of its own.
func StartServer(ctx context.Context, executable string) (*Child, error) {
	return startServer(ctx, executable)
}

// StartViewServer is StartServer without the limits that keep one address from opening many
// connections to views. Its entities are in memory.
func StartViewServer(ctx context.Context, executable string) (*Child, error) {
	return startServer(ctx, executable, "MILLRACE_STORE_DRIVER=memory",
		"MILLRACE_VIEWS_RATE_LIMITING_ENABLED=false", "MILLRACE_VIEWS_READ_MAX_ROWS=10000000")
}

func startServer(ctx context.Context, executable string, settings ...string) (*Child, error) {
	return startServerWith(ctx, executable, nil, settings...)
}

// startServerWith is startServer with flags.
func startServerWith(ctx context.Context, executable string, flags []string, settings ...string) (*Child, error) {
	at, err := reserve()
	if err != nil {
		return nil, err
	}
	metrics, err := reserve()
	if err != nil {
		at.release()
		return nil, err
	}
	environ := append(settings, "MILLRACE_HTTP_LISTEN="+at.address, "MILLRACE_METRICS_LISTEN="+metrics.address)
	c, err := startChild(ctx, at.address, metrics.address, environ, executable, append([]string{"serve"}, flags...)...)
	return c.keep(err, at, metrics)
}

// keep holds the addresses of a child until it stops, and releases them if it did not start.
func (c *Child) keep(err error, addresses ...*reservation) (*Child, error) {
	if err != nil {
		for _, at := range addresses {
			at.release()
		}
		return nil, err
	}
	c.kept = addresses
	return c, nil
}

func startChild(ctx context.Context, address, metrics string, environ []string, executable string, args ...string) (_ *Child, err error) {
	c := &Child{URL: "http://" + address}
	if metrics != "" {
		c.MetricsURL = "http://" + metrics + "/metrics"
	}
	if c.dir, err = os.MkdirTemp("", "millrace-bench-"); err != nil {
		return nil, err
	}
	ctx, c.cancel = context.WithCancel(ctx)
	c.cmd = exec.CommandContext(ctx, executable, args...)
	c.cmd.Dir = c.dir
	c.cmd.Env = append(c.cmd.Environ(), environ...)
	c.cmd.Stdout, c.cmd.Stderr = &c.output, &c.output
	c.cmd.Cancel = func() error { return c.cmd.Process.Signal(os.Interrupt) }
	c.cmd.WaitDelay = stopTimeout
	if err := c.cmd.Start(); err != nil {
		c.cancel()
		return nil, errors.Join(fmt.Errorf("start %q: %w", args, err), os.RemoveAll(c.dir))
	}
	waiting, done := context.WithTimeout(ctx, startTimeout)
	defer done()
	c.ended = make(chan struct{})
	go func() { // ends with the process
		defer close(c.ended)
		defer done() // who has ended need not be waited for
		_ = c.cmd.Wait()
	}()
	if err := awaitListener(waiting, address); err != nil {
		return nil, errors.Join(fmt.Errorf("start %q: %w", args, err), c.Stop(),
			fmt.Errorf("its output: %s", bytes.TrimSpace(c.output.Bytes())))
	}
	return c, nil
}

// PID of the process.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Stop ends the process and removes its data.
func (c *Child) Stop() error {
	c.cancel()
	<-c.ended
	for _, at := range c.kept {
		at.release()
	}
	c.kept = nil
	return os.RemoveAll(c.dir)
}

// awaitListener waits until somebody accepts connections on address.
func awaitListener(ctx context.Context, address string) error {
	var d net.Dialer
	for {
		conn, err := d.DialContext(ctx, "tcp", address)
		if err == nil {
			return conn.Close()
		}
		if !pause(ctx, 20*time.Millisecond) {
			return err
		}
	}
}
