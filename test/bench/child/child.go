package child

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/millrace/millrace/internal/bench"
)

// The app that a server without configuration runs.
const (
	App    = "app-id"
	Key    = "app-key"
	Secret = "app-secret"
)

const (
	// startTimeout bounds the start of a child.
	startTimeout = time.Minute
	// StopTimeout is how long a child may take to end by itself.
	StopTimeout = 10 * time.Second
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
	kept   []*Reservation
}

// StartFloor starts the benchmark binary bench as a floor with these flags.
func StartFloor(ctx context.Context, bench string, flags ...string) (*Child, error) {
	at, err := Reserve()
	if err != nil {
		return nil, err
	}
	args := append([]string{"floor", "--listen", at.Address}, flags...)
	c, err := start(ctx, at.Address, "", nil, bench, args...)
	return c.keep(err, at)
}

// StartServer starts millrace with development defaults, data of its own and these settings of
// its environment.
func StartServer(ctx context.Context, millrace string, settings ...string) (*Child, error) {
	return StartServerWith(ctx, millrace, nil, settings...)
}

// StartServerWith is StartServer with flags.
func StartServerWith(ctx context.Context, millrace string, flags []string, settings ...string) (*Child, error) {
	at, err := Reserve()
	if err != nil {
		return nil, err
	}
	metrics, err := Reserve()
	if err != nil {
		at.Release()
		return nil, err
	}
	environ := append(settings, "MILLRACE_HTTP_LISTEN="+at.Address, "MILLRACE_METRICS_LISTEN="+metrics.Address)
	c, err := start(ctx, at.Address, metrics.Address, environ, millrace, append([]string{"serve"}, flags...)...)
	return c.keep(err, at, metrics)
}

// keep holds the addresses of a child until it stops, and releases them if it did not start.
func (c *Child) keep(err error, addresses ...*Reservation) (*Child, error) {
	if err != nil {
		for _, at := range addresses {
			at.Release()
		}
		return nil, err
	}
	c.kept = addresses
	return c, nil
}

func start(ctx context.Context, address, metrics string, environ []string, executable string, args ...string) (_ *Child, err error) {
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
	c.cmd.WaitDelay = StopTimeout
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
	if err := AwaitListener(waiting, address); err != nil {
		return nil, errors.Join(fmt.Errorf("start %q: %w", args, err), c.Stop(),
			fmt.Errorf("its output: %s", bytes.TrimSpace(c.output.Bytes())))
	}
	return c, nil
}

// PID of the process.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Terminate tells the process to end, by SIGTERM.
func (c *Child) Terminate() error { return c.cmd.Process.Signal(syscall.SIGTERM) }

// Ended is closed when the process has ended.
func (c *Child) Ended() <-chan struct{} { return c.ended }

// Options direct a load to the development app of the child.
func (c *Child) Options() bench.Options {
	return bench.Options{URL: c.URL, MetricsURL: c.MetricsURL, ServerPID: c.PID(), App: App, Key: Key, Secret: Secret}
}

// Stop ends the process and removes its data.
func (c *Child) Stop() error {
	c.cancel()
	<-c.ended
	for _, at := range c.kept {
		at.Release()
	}
	c.kept = nil
	return os.RemoveAll(c.dir)
}

// With runs f with a child that was just started, and stops it.
func With(c *Child, err error, f func(*Child) error) error {
	if err != nil {
		return err
	}
	return errors.Join(f(c), c.Stop())
}

// AwaitListener waits until a process accepts connections on address.
func AwaitListener(ctx context.Context, address string) error {
	var d net.Dialer
	for {
		conn, err := d.DialContext(ctx, "tcp", address)
		if err == nil {
			return conn.Close()
		}
		if !bench.Pause(ctx, 20*time.Millisecond) {
			return err
		}
	}
}
