package bench

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
	"strings"
)

// engineChild is an engine in a process of its own (see [RunEngine]), so that its memory and
// its time are not the generator's, nor those of another engine.
type engineChild struct {
	cmd    *exec.Cmd
	cancel context.CancelFunc
	in     io.WriteCloser
	out    *json.Decoder
	errors bytes.Buffer // to be read after the end
	dir    string
}

// startEngine starts executable as an engine and waits until it has its entities. It is
// stored if isStored says so, on the disk of temporary files.
func startEngine(ctx context.Context, executable string, entities, views int, isStored bool) (_ *engineChild, err error) {
	c := new(engineChild)
	if c.dir, err = os.MkdirTemp("", "millrace-bench-"); err != nil {
		return nil, err
	}
	args := []string{"bench", "engine", "--entities", strconv.Itoa(entities), "--views", strconv.Itoa(views)}
	if isStored {
		args = append(args, "--stored", c.dir)
	}
	ctx, c.cancel = context.WithCancel(ctx)
	c.cmd = exec.CommandContext(ctx, executable, args...)
	c.cmd.Stderr = &c.errors
	c.cmd.Cancel = func() error { return c.cmd.Process.Signal(os.Interrupt) }
	c.cmd.WaitDelay = stopTimeout
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
		return nil, errors.Join(fmt.Errorf("start %q: %w", args, err), c.stop())
	}
	return c, nil
}

// do gives one order and waits for its answer.
func (c *engineChild) do(o engineOrder) (engineAnswer, error) {
	line, err := json.Marshal(o)
	if err != nil {
		return engineAnswer{}, err
	}
	if _, err := c.in.Write(append(line, '\n')); err != nil {
		return engineAnswer{}, fmt.Errorf("engine: %s: %w", o.Do, err)
	}
	a, err := c.answer()
	if err != nil {
		err = fmt.Errorf("engine: %s: %w", o.Do, err)
	}
	return a, err
}

func (c *engineChild) answer() (a engineAnswer, err error) {
	if err = c.out.Decode(&a); err == nil && a.Error != "" {
		err = errors.New(a.Error)
	}
	return a, err
}

// stop ends the process and removes what it has stored.
func (c *engineChild) stop() error {
	_ = c.in.Close() // it ends with its orders
	err := c.cmd.Wait()
	c.cancel()
	if err != nil {
		err = fmt.Errorf("engine: %w: %s", err, bytes.TrimSpace(c.errors.Bytes()))
	}
	return errors.Join(err, os.RemoveAll(c.dir))
}

// withEngine runs f with a fresh engine.
func withEngine(ctx context.Context, executable string, entities, views int, isStored bool, f func(*engineChild) error) error {
	c, err := startEngine(ctx, executable, entities, views, isStored)
	if err != nil {
		return err
	}
	return errors.Join(f(c), c.stop())
}

// fileSystem is the type of the file system that a directory is on: a store in memory would
// look fast.
func fileSystem(dir, mounts string) string {
	name, longest := "unknown", 0
	for line := range strings.Lines(mounts) {
		f := strings.Fields(line)
		if len(f) < 3 || len(f[1]) < longest {
			continue
		}
		if dir == f[1] || strings.HasPrefix(dir, strings.TrimSuffix(f[1], "/")+"/") {
			name, longest = f[2], len(f[1])
		}
	}
	return name
}
