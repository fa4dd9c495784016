package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/internal/socket"
)

// crowdReady is the line by which a crowd says that it stands.
const crowdReady = "ready"

// RunCrowd is the process that [MakeStormReport] kills: it connects everybody, says so on
// out, and stays until in or ctx ends.
func RunCrowd(ctx context.Context, o Options, so StormOptions, in io.Reader, out io.Writer) error {
	o.fill()
	engine, err := socket.New(socket.Options{Inline: true})
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { _ = engine.Run(running) }) // ends with stop
	defer wg.Wait()
	defer stop()
	if err := joinAll(ctx, engine, &o, so); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, crowdReady); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, in) // ends with whoever started it
	return nil
}

// joinAll opens every connection, a bounded number at a time.
func joinAll(ctx context.Context, engine *socket.Engine, o *Options, so StormOptions) error {
	var next atomic.Int64
	failed := make(chan error, o.ConnectConcurrency)
	ep, url := stormEndpoint(so), o.socketURL()
	var workers sync.WaitGroup
	for range o.ConnectConcurrency {
		workers.Go(func() { // ends with the last connection
			for i := int(next.Add(1)) - 1; i < so.crowd(); i = int(next.Add(1)) - 1 {
				if err := stormJoiner(i, o, so).join(ctx, engine, url, ep); err != nil {
					failed <- fmt.Errorf("connection %d: %w", i, err)
					return
				}
			}
		})
	}
	workers.Wait()
	close(failed)
	var problems []error
	for err := range failed {
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

// stormJoiner is connection i of a crowd: members first.
func stormJoiner(i int, o *Options, so StormOptions) *joiner {
	j := &joiner{key: o.Key, secret: o.Secret}
	if i < so.Members {
		j.channel, j.user = stormPresence+strconv.Itoa(i/so.PerChannel), stormUser+strconv.Itoa(i)
		return j
	}
	j.channel = stormPublic + strconv.Itoa((i-so.Members)/so.PerChannel)
	if so.SignIn {
		j.signIn = stormUser + strconv.Itoa(i)
	}
	return j
}

// crowd is such a process, from outside.
type crowd struct {
	cmd    *exec.Cmd
	in     io.Closer
	ended  sync.Once
	errors bytes.Buffer // to be read after the end
}

// startCrowd starts executable as a crowd and waits until it stands.
func startCrowd(ctx context.Context, executable string, o *Options, so StormOptions) (*crowd, error) {
	c := &crowd{cmd: exec.CommandContext(ctx, executable, "bench", "crowd", "--url", o.URL, "--app", o.App, "--key", o.Key,
		"--secret", o.Secret, "--members", strconv.Itoa(so.Members), "--per-channel", strconv.Itoa(so.PerChannel),
		"--public", strconv.Itoa(so.Public), "--sign-in="+strconv.FormatBool(so.SignIn))}
	c.cmd.Stderr = &c.errors
	in, err1 := c.cmd.StdinPipe()
	out, err2 := c.cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	c.in = in
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start crowd: %w", err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if strings.TrimSpace(line) != crowdReady {
		c.stop()
		return nil, fmt.Errorf("crowd: %w: %s", err, bytes.TrimSpace(c.errors.Bytes()))
	}
	if err := giveWay(c.cmd.Process.Pid); err != nil {
		c.stop()
		return nil, fmt.Errorf("crowd: %w", err)
	}
	return c, nil
}

// kill ends the process without a chance to say goodbye. It does not wait for its end, in
// which the kernel closes the connections.
func (c *crowd) kill() { _ = c.cmd.Process.Kill() }

// stop ends the process and joins it.
func (c *crowd) stop() {
	c.ended.Do(func() {
		_ = c.in.Close()
		c.kill()
		_ = c.cmd.Wait() // it was killed
	})
}
