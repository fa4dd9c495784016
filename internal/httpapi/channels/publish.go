package channels

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/httpapi"
	"github.com/millrace/millrace/internal/idempotency"
	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/problem"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/room"
)

// UsualAnswer is the one that nearly all publishes get.
const UsualAnswer = `{}`

// forget empties p for the next publish.
func (h *handler) forget(p *publish) {
	p.reset()
	h.publishes.Put(p)
}

// publishEvent is POST /apps/{app_id}/events (pusher 5.3).
func (h *handler) publishEvent(ctx context.Context, r *httpapi.Request) *problem.Problem {
	v, bad := r.Object()
	if bad != nil {
		return bad
	}
	p := h.publishes.Get().(*publish)
	defer h.forget(p)
	p.inputs = append(p.inputs, readInput(v))
	key, bad := h.eventKey(r, p.inputs[0].key)
	if bad == nil && key.Name == "" {
		key, bad = h.headerKey(r, "event")
	}
	switch {
	case bad != nil:
		return bad
	case key.Name != "":
		return h.once(ctx, r, key, func() *problem.Problem { return h.publishInput(ctx, r, p) })
	}
	return h.publishInput(ctx, r, p)
}

// publishInput publishes the only input.
func (h *handler) publishInput(ctx context.Context, r *httpapi.Request, p *publish) *problem.Problem {
	if bad := p.add(&p.inputs[0], &r.App.Limits); bad != nil {
		return bad
	}
	if bad := h.send(ctx, r, p.events); bad != nil {
		return bad
	}
	e := p.entries[0]
	if !e.hasInfo {
		r.Out = append(r.Out, UsualAnswer...)
		return nil
	}
	r.Out = append(r.Out, `{"channels":{`...)
	for i, ev := range p.events[e.first:e.end] {
		if i > 0 {
			r.Out = append(r.Out, ',')
		}
		r.Out = jsonscan.AppendString(r.Out, ev.Channel)
		r.Out = append(r.Out, ':')
		r.Out = h.appendAttributes(ctx, r.Out, r.App, ev.Channel, e.info)
	}
	r.Out = append(r.Out, '}', '}')
	return nil
}

// publishBatch is POST /apps/{app_id}/batch_events (pusher 5.4).
func (h *handler) publishBatch(ctx context.Context, r *httpapi.Request) *problem.Problem {
	p := h.publishes.Get().(*publish)
	defer h.forget(p)
	key, bad := h.headerKey(r, "batch")
	switch {
	case bad != nil:
		return bad
	case key.Name != "":
		return h.once(ctx, r, key, func() *problem.Problem { return h.publishInputs(ctx, r, p) })
	}
	return h.publishInputs(ctx, r, p)
}

// publishInputs publishes the events of a batch, without those that were published before.
func (h *handler) publishInputs(ctx context.Context, r *httpapi.Request, p *publish) *problem.Problem {
	l := &r.App.Limits
	inputs, bad := parseBatch(p.inputs, r.Body(), l.MaxBatchSize)
	if bad != nil {
		return bad
	}
	p.inputs = inputs
	if l.MaxBatchSize > 0 && len(inputs) > l.MaxBatchSize {
		return problem.New(problem.LimitExceeded, fmt.Sprintf("Batch too large: it holds more than %d events", l.MaxBatchSize))
	}
	var held []idempotency.Key
	defer func() { h.release(ctx, held) }()
	if held, bad = h.claimEvents(ctx, r, inputs); bad != nil {
		return bad
	}
	for i := range inputs {
		if inputs[i].isRepeated {
			p.entries = append(p.entries, entry{first: len(p.events), end: len(p.events), hasInfo: inputs[i].info.IsGiven()})
			continue
		}
		if bad := p.add(&inputs[i], l); bad != nil {
			return bad.At("batch[" + strconv.Itoa(i) + "]")
		}
	}
	if bad := h.send(ctx, r, p.events); bad != nil {
		return bad
	}
	h.keep(ctx, r.App, held, []byte(UsualAnswer))
	held = nil
	h.answerBatch(ctx, r, p)
	return nil
}

// answerBatch tells what was asked about the events of a batch.
func (h *handler) answerBatch(ctx context.Context, r *httpapi.Request, p *publish) {
	asked := false
	for _, e := range p.entries {
		asked = asked || e.hasInfo
	}
	if !asked {
		r.Out = append(r.Out, UsualAnswer...)
		return
	}
	r.Out = append(r.Out, `{"batch":[`...)
	for i, e := range p.entries {
		if i > 0 {
			r.Out = append(r.Out, ',')
		}
		if e.hasInfo && e.first < e.end {
			r.Out = h.appendAttributes(ctx, r.Out, r.App, p.events[e.first].Channel, e.info)
		} else {
			r.Out = append(r.Out, '{', '}')
		}
	}
	r.Out = append(r.Out, ']', '}')
}

// send publishes the gathered events, without those that were published before under a key of their
// extras. Nothing before it has had any effect.
func (h *handler) send(ctx context.Context, r *httpapi.Request, events []channel.Event) *problem.Problem {
	if h.o.Idempotency.isFor(r.App) && slices.ContainsFunc(events, hasKey) {
		return h.sendOnce(ctx, r, events)
	}
	return h.spend(ctx, r, events)
}

// sendOnce is send for events some of which have keys.
func (h *handler) sendOnce(ctx context.Context, r *httpapi.Request, events []channel.Event) *problem.Problem {
	fresh, held, bad := h.claimExtras(ctx, r, events)
	defer func() { h.release(ctx, held) }()
	if bad != nil {
		return bad
	}
	if bad := h.spend(ctx, r, fresh); bad != nil {
		return bad
	}
	h.keep(ctx, r.App, held, []byte(UsualAnswer))
	held = nil
	return nil
}

// spend spends what events cost and publishes them.
func (h *handler) spend(ctx context.Context, r *httpapi.Request, events []channel.Event) *problem.Problem {
	if len(events) == 0 {
		return nil
	}
	if bad := r.Spend(len(events)); bad != nil {
		return bad
	}
	err := h.o.Publisher.Publish(r.Wait(ctx), r.App, events) //nolint:contextcheck // Wait inherits from ctx
	r.EndWait()
	if err != nil {
		return h.unpublished(ctx, r.App, err)
	}
	return nil
}

// appendAttributes appends the object of those attributes that apply to a channel. What cannot be
// read is left out: the event is published already.
func (h *handler) appendAttributes(ctx context.Context, dst []byte, a *app.App, name string, want attributes) []byte {
	dst = append(dst, '{')
	if _, isUser := protocol.UserOf(name); !isUser {
		want.users = want.users && room.KindOf(name).HasMembers()
		if want.users || want.subscriptions {
			if s, err := h.o.Reader.Channel(ctx, a, name); err == nil {
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
