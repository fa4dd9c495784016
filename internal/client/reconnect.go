package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/socket"
)

// Bounds of the wait before a reconnect.
const (
	firstDelay = time.Second
	lastDelay  = 30 * time.Second
)

// steady is how long a connection must have lasted for its end to count as a first failure.
const steady = 10 * time.Second

// codePongTimeout is the code of a peer that does not answer.
const codePongTimeout = 4201

// ErrRefused is in the chain of an error that trying again will not help.
var ErrRefused = errors.New("refused")

// closing is how a connection ended: the error the server gave for it, if any.
type closing struct {
	code    int
	message string
}

func (c closing) String() string {
	if c.code == 0 {
		return "connection lost"
	}
	return fmt.Sprintf("%d: %s", c.code, c.message)
}

// reaction to the end of a connection.
type reaction uint8

const (
	backOff reaction = iota
	atOnce
	giveUp
)

// react says what the range of a code means (pusher 1.8). A connection that ended
// without a code is opened again after a while.
func react(code int) reaction {
	switch {
	case code >= 4000 && code < 4100, code >= 4300:
		return giveUp
	case code >= 4200 && code < 4300:
		return atOnce
	default:
		return backOff
	}
}

// endedError is the end of a connection that had been opened.
type endedError struct{ closing closing }

func (e *endedError) Error() string { return e.closing.String() }

// delays grow from one failure to the next, with jitter, so that many clients do not come
// back together.
type delays struct{ failures int }

func (d *delays) reset() { d.failures = 0 }

// next is the wait after one more failure: none after the first one if the server wants the
// client back at once, else a growing time or up to half of it less.
func (d *delays) next(err error) time.Duration {
	var ended *endedError
	isFirst := d.failures == 0
	full := min(firstDelay<<min(d.failures, 10), lastDelay)
	d.failures++
	if isFirst && errors.As(err, &ended) && react(ended.closing.code) == atOnce {
		return 0
	}
	return full - rand.N(full/2)
}

// stay runs one connection after the other until ctx ends, whose error it returns, or one
// was refused.
func (c *Client) stay(ctx context.Context, connect func(*socket.Engine) error) error {
	engine, err := socket.New(socket.Options{Pollers: 1, Log: c.o.Log})
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	running, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { _ = engine.Run(running) }) // ends with stop; Run has no error to speak of
	defer func() {
		stop()
		wg.Wait()
	}()
	var d delays
	for {
		begun := time.Now()
		err := connect(engine)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Since(begun) >= steady {
			d.reset()
		}
		if errors.Is(err, ErrRefused) {
			return err
		}
		delay := d.next(err)
		c.o.Log.Warn("reconnecting", "err", err, "delay", delay)
		if err := c.wait(ctx, delay); err != nil {
			return err
		}
	}
}
