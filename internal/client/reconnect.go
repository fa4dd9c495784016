package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/handshake"
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

// ErrCredentials is in the chain of an ErrRefused where the server refuses who asks: other credentials
// may help.
var ErrCredentials = errors.New("the credentials are refused")

// credentialsError marks its error as ErrCredentials.
type credentialsError struct{ error }

func (e *credentialsError) Is(target error) bool { return target == ErrCredentials }
func (e *credentialsError) Unwrap() error        { return e.error }

// codeUnknownKey is the code by which a server refuses a key that no app has.
const codeUnknownKey = 4001

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

// unopenedError is a connection that could not be opened.
type unopenedError struct{ err error }

func (e *unopenedError) Error() string { return e.err.Error() }
func (e *unopenedError) Unwrap() error { return e.err }

// neverOpened says what is wrong when the first connection of all cannot be opened, nil if the server
// says that it may work later. A server that has never been there is more likely a wrong URL than a restart.
func (c *Client) neverOpened(err error) error {
	switch status := refusedStatus(err); {
	case status >= 500, status == http.StatusTooManyRequests:
		return nil
	case errors.Is(err, handshake.ErrRefused):
		return c.notServed(err)
	default:
		return unanswered(c.o.URL, err)
	}
}

// notServed says that the server answers and does not serve what was asked for.
func (c *Client) notServed(err error) error {
	return fmt.Errorf("%w: %w; see that %s is the address where a Millrace serves clients", ErrRefused, err, c.o.URL)
}

// refusedStatus is the status by which an upgrade was refused, zero if it was not. Only the error's text has it.
func refusedStatus(err error) int {
	if !errors.Is(err, handshake.ErrRefused) {
		return 0
	}
	rest := strings.TrimPrefix(err.Error(), handshake.ErrRefused.Error()+": ")
	status, _ := strconv.Atoi(rest[:min(3, len(rest))])
	return status
}

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
// was refused, or the first of all could not be opened.
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
	wasOpened := false
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
		if unopened, ok := errors.AsType[*unopenedError](err); !ok {
			wasOpened = true
		} else if !wasOpened {
			if final := c.neverOpened(unopened.err); final != nil {
				return final
			}
		}
		delay := d.next(err)
		c.o.Log.Warn("reconnecting", "err", err, "delay", delay)
		if err := c.wait(ctx, delay); err != nil {
			return err
		}
	}
}
