package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"

	"github.com/millrace/millrace/test/bench/child"
)

// Child is an owner of entities in a process of its own (see [Run]), so that its memory and
// its time are told from the generator's, and from another engine's.
type Child struct {
	cmd    *exec.Cmd
	cancel context.CancelFunc
	in     io.WriteCloser
	out    *json.Decoder
	errors bytes.Buffer // to be read after the end
	dir    string
}

// Start starts the benchmark binary bench as an engine and waits until it has its entities. It is
// stored if isStored says so, on the disk of temporary files.
func Start(ctx context.Context, bench string, entities, views int, isStored bool) (_ *Child, err error) {
	c := new(Child)
	if c.dir, err = os.MkdirTemp("", "millrace-bench-"); err != nil {
		return nil, err
	}
	args := []string{"engine", "--entities", strconv.Itoa(entities), "--views", strconv.Itoa(views)}
	if isStored {
		args = append(args, "--stored", c.dir)
	}
	ctx, c.cancel = context.WithCancel(ctx)
	c.cmd = exec.CommandContext(ctx, bench, args...)
	c.cmd.Stderr = &c.errors
	c.cmd.Cancel = func() error { return c.cmd.Process.Signal(os.Interrupt) }
	c.cmd.WaitDelay = child.StopTimeout
	in, err1 := c.cmd.StdinPipe()
	out, err2 := c.cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		c.cancel()
		return nil, errors.Join(err, os.RemoveAll(c.dir))
	}
	c.in, c.out = in, json.NewDecoder(out)
	if err := c.cmd.Start(); err != nil {
		c.cancel()
		return nil, errors.Join(fmt.Errorf("start %q: %w", args, err), os.RemoveAll(c.dir))
	}
	if _, err := c.answer(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %q: %w", args, err), c.Stop())
	}
	return c, nil
}

// Do gives one order and waits for its answer.
func (c *Child) Do(o Order) (Answer, error) {
	line, err := json.Marshal(o)
	if err != nil {
		return Answer{}, err
	}
	if _, err := c.in.Write(append(line, '\n')); err != nil {
		return Answer{}, fmt.Errorf("engine: %s: %w", o.Do, err)
	}
	a, err := c.answer()
	if err != nil {
		err = fmt.Errorf("engine: %s: %w", o.Do, err)
	}
	return a, err
}

func (c *Child) answer() (a Answer, err error) {
	if err = c.out.Decode(&a); err == nil && a.Error != "" {
		err = errors.New(a.Error)
	}
	return a, err
}

// Stop ends the process and removes what it has stored.
func (c *Child) Stop() error {
	_ = c.in.Close() // it ends with its orders
	err := c.cmd.Wait()
	c.cancel()
	if err != nil {
		err = fmt.Errorf("engine: %w: %s", err, bytes.TrimSpace(c.errors.Bytes()))
	}
	return errors.Join(err, os.RemoveAll(c.dir))
}

// With runs f with a fresh owner of entities.
func With(ctx context.Context, bench string, entities, views int, isStored bool, f func(*Child) error) error {
	c, err := Start(ctx, bench, entities, views, isStored)
	if err != nil {
		return err
	}
	return errors.Join(f(c), c.Stop())
}

// Rounds gives the same order again and again.
func (c *Child) Rounds(o Order, n int) ([]Answer, error) {
	var answers []Answer
	for range n {
		a, err := c.Do(o)
		if err != nil {
			return nil, err
		}
		answers = append(answers, a)
	}
	return answers, nil
}
