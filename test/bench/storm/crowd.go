package storm

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

	"github.com/millrace/millrace/internal/bench"
	"github.com/millrace/millrace/internal/socket"
)

// joiners is how many connections of a crowd are being opened at a time.
const joiners = 64

// crowdReady is the line by which a crowd says that it stands.
const crowdReady = "ready"

// RunCrowd is the process that [Measure] kills: it connects everybody, says so on
// out, and stays until in or ctx ends.
func RunCrowd(ctx context.Context, o bench.Options, so Options, in io.Reader, out io.Writer) error {
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
	_, _ = io.Copy(io.Discard, in) // ends with the process that has started this one
	return nil
}

// joinAll opens every connection, a bounded number at a time.
func joinAll(ctx context.Context, engine *socket.Engine, o *bench.Options, so Options) error {
	var next atomic.Int64
	failed := make(chan error, joiners)
	ep, url := endpoint(so), o.SocketURL()
	var workers sync.WaitGroup
	for range joiners {
		workers.Go(func() { // ends with the last connection
			for i := int(next.Add(1)) - 1; i < so.crowd(); i = int(next.Add(1)) - 1 {
				if err := joinerOf(i, o, so).join(ctx, engine, url, ep); err != nil {
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

// joinerOf is connection i of a crowd: members first.
func joinerOf(i int, o *bench.Options, so Options) *joiner {
	j := &joiner{key: o.Key, secret: o.Secret}
	if i < so.Members {
		j.channel, j.user = presencePrefix+strconv.Itoa(i/so.PerChannel), userPrefix+strconv.Itoa(i)
		return j
	}
	j.channel = publicPrefix + strconv.Itoa((i-so.Members)/so.PerChannel)
	if so.SignIn {
		j.signIn = userPrefix + strconv.Itoa(i)
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

// startCrowd starts the benchmark binary bin as a crowd and waits until it stands.
func startCrowd(ctx context.Context, bin string, o *bench.Options, so Options) (*crowd, error) {
	c := &crowd{cmd: exec.CommandContext(ctx, bin, "crowd", "--url", o.URL, "--app", o.App, "--key", o.Key,
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
