package transcript

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/testkit"
)

// next is the next frame of c.
func (c *conn) next() (testkit.Frame, error) {
	if len(c.pending) > 0 {
		f := c.pending[0]
		c.pending = c.pending[1:]
		return f, nil
	}
	return c.peer.Next(waitLimit)
}

// receive reads "NAME [MIN..MAX] WHAT".
func (r *runner) receive(ctx context.Context, rest string) error {
	name, what := word(rest)
	c, err := r.conn(name)
	if err != nil {
		return err
	}
	switch what {
	case "(nothing)":
		return r.nothing(ctx, name, c)
	case "lost": // the close frame is answered first, as RFC 6455 7.1.1 wants it
		_ = c.peer.Send(testkit.Close, []byte{0x03, 0xE8})
		if f, err := c.next(); err == nil {
			return &mismatchError{why: "want the end", line: "< " + name + " " + r.describe(c, f)}
		}
		return nil
	}
	window, tail := word(what)
	least, most, timed := strings.Cut(window, "..")
	if timed = timed && !strings.HasPrefix(window, "{"); timed {
		what = tail
	}
	f, err := c.next()
	if err != nil {
		return fmt.Errorf("nothing more came: %w", err)
	}
	if timed {
		if err := within(time.Since(c.spoke), least, most); err != nil {
			return err
		}
	}
	if f.Opcode == testkit.Close {
		c.gone = true
	}
	if err := r.check(c, what, f); err != nil {
		return &mismatchError{why: err.Error(), line: "< " + name + " " + r.describe(c, f)}
	}
	return nil
}

// find reads "NAME WHAT": one of the next frames must be it, whatever comes before. There
// is no order between channels.
func (r *runner) find(rest string) error {
	name, what := word(rest)
	c, err := r.conn(name)
	if err != nil {
		return err
	}
	var passed []testkit.Frame
	for {
		f, err := c.next()
		if err != nil {
			return fmt.Errorf("it did not come: %w", err)
		}
		if r.check(c, what, f) == nil {
			c.pending = append(passed, c.pending...)
			return nil
		}
		passed = append(passed, f)
	}
}

func within(took time.Duration, least, most string) error {
	lo, err := time.ParseDuration(least)
	if err != nil {
		return err
	}
	hi, err := time.ParseDuration(most)
	if err != nil {
		return err
	}
	if took < lo || took > hi {
		return fmt.Errorf("came after %v, want %v to %v", took, lo, hi)
	}
	return nil
}

// check compares a frame with what a line wants.
func (r *runner) check(c *conn, what string, f testkit.Frame) error {
	what, err := r.expand(what)
	if err != nil {
		return err
	}
	verb, rest := word(what)
	switch verb {
	case "close":
		code, reason := word(rest)
		if f.Opcode != testkit.Close || strconv.Itoa(f.CloseCode()) != code {
			return fmt.Errorf("want close %s", code)
		}
		if reason != "" && f.CloseReason() != reason {
			return fmt.Errorf("want the reason %q", reason)
		}
		if n := len(f.CloseReason()); n > 123 {
			return fmt.Errorf("the close reason has %d bytes", n)
		}
		return nil
	case "wsping":
		if f.Opcode != testkit.Ping {
			return errors.New("want a WebSocket ping")
		}
		return nil
	case "wspong":
		if f.Opcode != testkit.Pong || string(f.Payload) != rest {
			return fmt.Errorf("want a WebSocket pong %q", rest)
		}
		return nil
	}
	if c.isViews {
		return checkViews(what, f)
	}
	text, err := c.hear(f)
	if err != nil {
		return err
	}
	if c.format != "" {
		return matchV2(what, text)
	}
	return matchJSON(incoming(what), text)
}

// settle returns when the server has handled all that connections have sent: messages of
// one connection are handled in order, so the answer to a ping comes after them.
func (r *runner) settle() error {
	for name, c := range r.conns {
		if !c.unsure || c.gone {
			continue
		}
		if err := c.ping(); err != nil {
			return err
		}
		for {
			f, err := c.peer.Next(waitLimit)
			if err != nil {
				return fmt.Errorf("settle %s: %w", name, err)
			}
			if c.isPong(f) {
				break
			}
			c.pending = append(c.pending, f)
		}
		c.unsure = false
	}
	return nil
}

// ping sends what is answered when all before it is handled. On views the message would
// count against a budget and has no answer; a WebSocket ping keeps the order as well.
func (c *conn) ping() error {
	if c.isViews {
		return c.peer.Send(testkit.Ping, []byte("settle"))
	}
	return c.say(frame(c.own("ping"), "", nil))
}

func (c *conn) isPong(f testkit.Frame) bool {
	if c.isViews {
		return f.Opcode == testkit.Pong && string(f.Payload) == "settle"
	}
	text, err := c.hear(f)
	return err == nil && (text == `{"event":"pusher:pong"}` || text == `{"event":"sockudo:pong"}`)
}

// fences is how many publications prove that nothing else is under way. Publications of one batch
// are delivered together but in no order of channels, so the first fence may overtake what
// was published before it; the second one is published when the first has arrived, hence
// after the batch that held both.
const fences = 2

// nothing proves that no frame is under way to c: once everything sent is handled, it
// publishes to a channel that only c is in.
func (r *runner) nothing(ctx context.Context, name string, c *conn) error {
	if err := r.settle(); err != nil {
		return err
	}
	r.fences++
	fence := fmt.Sprintf("fence-%d", r.fences)
	if c.isViews {
		return r.nothingOfViews(ctx, name, c, fence)
	}
	if err := c.say(c.subscribe(fence)); err != nil {
		return err
	}
	for published := 0; ; {
		f, err := c.next()
		if err != nil {
			return err
		}
		var head struct{ Event, Channel string }
		if text, err := c.hear(f); err != nil || json.Unmarshal([]byte(text), &head) != nil || head.Channel != fence {
			return &mismatchError{why: "want nothing", line: "< " + name + " " + r.describe(c, f)}
		}
		switch {
		case head.Event != "fence" && published > 0: // a count of the fence's subscribers
		case published < fences:
			published++
			if err := r.publish(ctx, fence+" fence -"); err != nil {
				return err
			}
		default:
			c.unsure = true
			return c.say(frame(c.own("unsubscribe"), "", map[string]string{"channel": fence}))
		}
	}
}

// request reads "METHOD TARGET [BODY]".
func (r *runner) request(ctx context.Context, verb, rest string) error {
	rest, err := r.expand(rest)
	if err != nil {
		return err
	}
	if err := r.settle(); err != nil {
		return err
	}
	method, rest := word(rest)
	target, body := word(rest)
	send := r.node.DoSigned
	if verb == "plain" {
		send = func(ctx context.Context, method, target, body string) (testkit.Response, error) {
			return r.node.Do(ctx, method, target, body, r.takeHeader())
		}
	}
	answer, err := send(ctx, method, target, unquote(body, ""))
	r.answer = &answer
	return err
}

// response reads "STATUS [[~] BODY]", "header NAME: VALUE" or "no header NAME".
func (r *runner) response(rest string) error {
	if r.answer == nil {
		return errors.New("there is no answer to look at")
	}
	rest, err := r.expand(rest)
	if err != nil {
		return err
	}
	status, body := word(rest)
	switch status {
	case "header":
		return r.responseHeader(body)
	case "no":
		_, name := word(body)
		if value := r.answer.Header.Get(name); value != "" {
			return &mismatchError{why: "want none", line: "= header " + name + ": " + value}
		}
		return nil
	}
	line := strings.TrimSpace(fmt.Sprintf("= %d %s", r.answer.Status, strings.TrimSpace(r.answer.Body)))
	if strconv.Itoa(r.answer.Status) != status {
		return &mismatchError{why: "want status " + status, line: line}
	}
	switch {
	case body == "":
		return nil
	case strings.HasPrefix(body, "~ "):
		err = matchSome(strings.TrimPrefix(body, "~ "), r.answer.Body)
	case strings.HasPrefix(body, "{"):
		err = matchJSON(body, r.answer.Body)
	default:
		err = matchString("body", body, strings.TrimSpace(r.answer.Body))
	}
	if err != nil {
		return &mismatchError{why: err.Error(), line: line}
	}
	return nil
}

func (r *runner) responseHeader(want string) error {
	name, value, _ := strings.Cut(want, ": ")
	got := r.answer.Header.Get(name)
	if err := matchString(name, value, got); err != nil {
		return &mismatchError{why: err.Error(), line: "= header " + name + ": " + got}
	}
	return nil
}

// publish reads "CHANNEL NAME TEXT" and publishes TEXT as the event's data.
func (r *runner) publish(ctx context.Context, rest string) error {
	rest, err := r.expand(rest)
	if err != nil {
		return err
	}
	if err := r.settle(); err != nil {
		return err
	}
	channel, rest := word(rest)
	name, data := word(rest)
	return r.node.Publish(ctx, channel, name, data)
}
