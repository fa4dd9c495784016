package httpapi

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/jsontext"
	"github.com/millrace/millrace/internal/room"
)

// publishEvent is POST /apps/{app_id}/events (pusher 5.3).
func (h *handler) publishEvent(ctx context.Context, c *call, now time.Time) *failure {
	v, f := parseObject(c.bytes())
	if f != nil {
		return f
	}
	p := &c.publish
	p.inputs = append(p.inputs, readInput(v))
	name, f := h.eventKey(c, p.inputs[0].key)
	if f == nil && name == "" {
		name, f = h.headerKey(c, "event")
	}
	switch {
	case f != nil:
		return f
	case name != "":
		return h.once(ctx, c, name, func() *failure { return h.publishInput(ctx, c, now) })
	}
	return h.publishInput(ctx, c, now)
}

// publishInput publishes the only input.
func (h *handler) publishInput(ctx context.Context, c *call, now time.Time) *failure {
	p := &c.publish
	if f := p.add(&p.inputs[0], &c.app.Limits); f != nil {
		return f
	}
	if f := h.send(ctx, c, now); f != nil {
		return f
	}
	e := p.entries[0]
	if !e.hasInfo {
		c.out = append(c.out, usualAnswer...)
		return nil
	}
	c.out = append(c.out, `{"channels":{`...)
	for i, ev := range p.events[e.first:e.end] {
		if i > 0 {
			c.out = append(c.out, ',')
		}
		c.out = jsontext.AppendString(c.out, ev.Channel)
		c.out = append(c.out, ':')
		c.out = h.appendAttributes(ctx, c.out, c.app, ev.Channel, e.info)
	}
	c.out = append(c.out, '}', '}')
	return nil
}

// publishBatch is POST /apps/{app_id}/batch_events (pusher 5.4).
func (h *handler) publishBatch(ctx context.Context, c *call, now time.Time) *failure {
	name, f := h.headerKey(c, "batch")
	switch {
	case f != nil:
		return f
	case name != "":
		return h.once(ctx, c, name, func() *failure { return h.publishInputs(ctx, c, now) })
	}
	return h.publishInputs(ctx, c, now)
}

// publishInputs publishes the events of a batch, without those that were published before.
func (h *handler) publishInputs(ctx context.Context, c *call, now time.Time) *failure {
	p, l := &c.publish, &c.app.Limits
	inputs, f := parseBatch(p.inputs, c.bytes(), l.MaxBatchSize)
	if f != nil {
		return f
	}
	p.inputs = inputs
	if l.MaxBatchSize > 0 && len(inputs) > l.MaxBatchSize {
		return fail(codeLimit, fmt.Sprintf("Batch too large: it holds more than %d events", l.MaxBatchSize))
	}
	var held claims
	defer held.release(ctx)
	if f := h.claimEvents(ctx, c, &held); f != nil {
		return f
	}
	for i := range inputs {
		if inputs[i].isRepeated {
			p.entries = append(p.entries, entry{first: len(p.events), end: len(p.events), hasInfo: given(inputs[i].info)})
			continue
		}
		if f := p.add(&inputs[i], l); f != nil {
			return f.at("batch[" + strconv.Itoa(i) + "]")
		}
	}
	if f := h.send(ctx, c, now); f != nil {
		return f
	}
	if len(held) > 0 {
		h.keep(ctx, c, &held, []byte(usualAnswer))
	}
	h.answerBatch(ctx, c)
	return nil
}

// answerBatch tells what was asked about the events of a batch.
func (h *handler) answerBatch(ctx context.Context, c *call) {
	p, asked := &c.publish, false
	for _, e := range p.entries {
		asked = asked || e.hasInfo
	}
	if !asked {
		c.out = append(c.out, usualAnswer...)
		return
	}
	c.out = append(c.out, `{"batch":[`...)
	for i, e := range p.entries {
		if i > 0 {
			c.out = append(c.out, ',')
		}
		if e.hasInfo && e.first < e.end {
			c.out = h.appendAttributes(ctx, c.out, c.app, p.events[e.first].Channel, e.info)
		} else {
			c.out = append(c.out, '{', '}')
		}
	}
	c.out = append(c.out, ']', '}')
}

// send spends what the gathered events cost and publishes them. Nothing before it has had
// any effect.
func (h *handler) send(ctx context.Context, c *call, now time.Time) *failure {
	events := c.publish.events
	if len(events) == 0 {
		return nil
	}
	if f := h.limits.spend(c.app, len(events), now); f != nil {
		return f
	}
	waiting := c.waitingFor(ctx, h.o.MaxWait)
	err := h.o.Channels.Publish(waiting, c.app, events) //nolint:contextcheck // waiting inherits from ctx
	c.wait = waiting.end()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, bus.ErrUncertain):
		return fail(codeUncertain, "The events may or may not have been published; repeat the request if they may come twice")
	case errors.Is(err, bus.ErrUnavailable):
		return fail(codeUnavailable, "The channels cannot be reached right now; try again").because(causeOwner)
	case errors.Is(err, bus.ErrBackpressure), errors.Is(err, hub.ErrBackpressure), errors.Is(err, context.DeadlineExceeded):
		return fail(codeBackpressure, "The server is behind with its deliveries; try again")
	case errors.Is(err, entity.ErrBackpressure): // of events that change entities
		return fail(codeBackpressure, "The server is behind with its mutations; try again")
	case errors.Is(err, entity.ErrNotStored): // of events that change entities
		return fail(codeUnavailable, "The event changes entities that cannot be stored right now; try again").because(causeUnstored)
	case errors.Is(err, bus.ErrClosed), errors.Is(err, entity.ErrClosed):
		return fail(codeUnavailable, "The server is shutting down; try again")
	case ctx.Err() != nil:
		return fail(codeBackpressure, "The server is behind with its deliveries; try again") // the client gave up waiting and reads no answer
	}
	h.o.Log.Error("publish failed", "app", c.app.ID, "err", err)
	return fail(codeInternal, "Internal error")
}

// appendAttributes appends the object of those attributes that apply to a channel. What cannot be
// read is left out: the event is published already.
func (h *handler) appendAttributes(ctx context.Context, dst []byte, a *app.App, name string, want attributes) []byte {
	dst = append(dst, '{')
	if kind := room.KindOf(name); !kind.IsUser() {
		want.users = want.users && kind.HasMembers()
		if want.users || want.subscriptions {
			if s, err := h.o.Channels.Channel(ctx, a, name); err == nil {
				dst = appendCounts(dst, &s, want)
			} else {
				h.o.Log.Warn("channel not read after a publish", "app", a.ID, "err", err)
			}
		}
	}
	return append(dst, '}')
}

// appendCounts appends the members of an object that say how many there are.
func appendCounts(dst []byte, s *channel.Status, want attributes) []byte {
	if want.subscriptions {
		dst = append(dst, `"subscription_count":`...)
		dst = strconv.AppendInt(dst, int64(s.Subscriptions), 10)
	}
	if want.users {
		if want.subscriptions {
			dst = append(dst, ',')
		}
		dst = append(dst, `"user_count":`...)
		dst = strconv.AppendInt(dst, int64(s.Users), 10)
	}
	return dst
}
