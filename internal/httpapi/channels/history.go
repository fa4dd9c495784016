package channels

import (
	"context"
	"errors"
	"strings"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/httpapi"
	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/problem"
	"github.com/millrace/millrace/internal/protocol"
)

// History is what is kept of channels, as of all that was answered before.
type History interface {
	Page(ctx context.Context, t protocol.Topic, q log.Query) (log.Page, error)
	Stream(ctx context.Context, t protocol.Topic) (log.Stream, error)
	Reset(ctx context.Context, t protocol.Topic) (log.Removal, error)
	Purge(ctx context.Context, t protocol.Topic, p log.Purge) (log.Removal, error)
}

// kept is the topic of the channel in the path, which the app keeps.
func (h *handler) kept(r *httpapi.Request) (protocol.Topic, *problem.Problem) {
	if bad := checkName(r.Name, &r.App.Limits); bad != nil {
		return protocol.Topic{}, bad
	}
	if h.o.History == nil || !r.App.HasHistory(r.Name) {
		return protocol.Topic{}, problem.New(problem.FeatureDisabled, "The app keeps no history of this channel; its setting history turns that on")
	}
	return protocol.ChannelTopic(r.App.ID, r.Name), nil
}

// showHistory is GET /apps/{app_id}/channels/{channel}/history (v2 4.2).
func (h *handler) showHistory(ctx context.Context, r *httpapi.Request) *problem.Problem {
	topic, bad := h.kept(r)
	if bad != nil {
		return bad
	}
	q, bad := h.historyQuery(r)
	if bad != nil {
		return bad
	}
	page, err := h.o.History.Page(ctx, topic, q.query())
	if err != nil {
		return h.historyUnread(r.App, err)
	}
	if bad := q.cursor.check(&page.Stream); bad != nil {
		return bad
	}
	return r.Answer(q.answer(r, &page))
}

// showHistoryState is GET /apps/{app_id}/channels/{channel}/history/state.
func (h *handler) showHistoryState(ctx context.Context, r *httpapi.Request) *problem.Problem {
	topic, bad := h.kept(r)
	if bad != nil {
		return bad
	}
	s, err := h.o.History.Stream(ctx, topic)
	if err != nil {
		return h.historyUnread(r.App, err)
	}
	return r.Answer(struct {
		Channel string       `json:"channel"`
		Stream  streamAnswer `json:"stream"`
	}{r.Name, describe(&s)})
}

// confirmation is the body of a request that removes history.
type confirmation struct {
	channel, operation, reason, requestedBy string

	mode         string
	beforeSerial *uint64
	beforeTime   *uint64
}

// confirmed reads the body of a request that is to carry out an operation.
func confirmed(r *httpapi.Request, operation string) (c confirmation, bad *problem.Problem) {
	body, bad := r.Object()
	if bad != nil {
		return c, bad
	}
	for key, v := range body.Entries() {
		switch {
		case key.Means("confirm_channel"):
			bad = textOf(v, "confirm_channel", &c.channel)
		case key.Means("confirm_operation"):
			bad = textOf(v, "confirm_operation", &c.operation)
		case key.Means("reason"):
			bad = textOf(v, "reason", &c.reason)
		case key.Means("requested_by"):
			bad = textOf(v, "requested_by", &c.requestedBy)
		case key.Means("mode"):
			bad = textOf(v, "mode", &c.mode)
		case key.Means("before_serial"):
			c.beforeSerial, bad = wholeOf(v, "before_serial")
		case key.Means("before_time_ms"):
			c.beforeTime, bad = wholeOf(v, "before_time_ms")
		}
		if bad != nil {
			return c, bad
		}
	}
	switch {
	case c.channel != r.Name:
		return c, problem.Invalid("confirm_channel must be the channel of the path")
	case c.operation != operation:
		return c, problem.Invalid("confirm_operation must be " + operation)
	case strings.TrimSpace(c.reason) == "":
		return c, problem.Invalid("reason is missing or blank")
	}
	return c, nil
}

func textOf(v jsonscan.Value, name string, to *string) *problem.Problem {
	if !v.IsGiven() {
		return nil
	}
	if v.Kind() != jsonscan.String {
		return problem.Invalid(name + " must be a string")
	}
	*to = v.Text()
	return nil
}

func wholeOf(v jsonscan.Value, name string) (*uint64, *problem.Problem) {
	if !v.IsGiven() {
		return nil, nil
	}
	if v.Kind() != jsonscan.Number {
		return nil, problem.Invalid(name + " must be a whole number")
	}
	return wholeNumber(string(v), name)
}

// resetHistory is POST /apps/{app_id}/channels/{channel}/history/reset.
func (h *handler) resetHistory(ctx context.Context, r *httpapi.Request) *problem.Problem {
	topic, bad := h.kept(r)
	if bad != nil {
		return bad
	}
	c, bad := confirmed(r, "reset")
	if bad != nil {
		return bad
	}
	changed, err := h.o.History.Reset(ctx, topic)
	if err != nil {
		return h.unchanged(ctx, r.App, err)
	}
	return r.Answer(resetAnswer{
		OK: true, Operation: "reset", Channel: r.Name, Reason: c.reason, RequestedBy: given(c.requestedBy),
		PreviousStreamID: given(changed.Was.ID), NewStreamID: changed.Is.ID,
		PurgedMessages: changed.Was.Count(), PurgedBytes: changed.Was.Bytes, Stream: describe(&changed.Is),
	})
}

// purgeHistory is POST /apps/{app_id}/channels/{channel}/history/purge.
func (h *handler) purgeHistory(ctx context.Context, r *httpapi.Request) *problem.Problem {
	topic, bad := h.kept(r)
	if bad != nil {
		return bad
	}
	c, bad := confirmed(r, "purge")
	if bad != nil {
		return bad
	}
	purge, bad := c.purge()
	if bad != nil {
		return bad
	}
	changed, err := h.o.History.Purge(ctx, topic, purge)
	if err != nil {
		return h.unchanged(ctx, r.App, err)
	}
	was, is := &changed.Was, &changed.Is
	return r.Answer(purgeAnswer{
		OK: true, Operation: "purge", Channel: r.Name, Mode: c.mode, BeforeSerial: c.beforeSerial, BeforeTime: c.beforeTime,
		Reason: c.reason, RequestedBy: given(c.requestedBy),
		PurgedMessages: was.Count() - is.Count(), PurgedBytes: was.Bytes - is.Bytes, Stream: describe(is),
	})
}

// purge is the bound that the mode means, and no other may be given.
func (c *confirmation) purge() (p log.Purge, bad *problem.Problem) {
	hasSerial, hasTime := c.beforeSerial != nil, c.beforeTime != nil
	switch {
	case c.mode == "all" && !hasSerial && !hasTime:
		return p, nil
	case c.mode == "before_serial" && hasSerial && !hasTime:
		p.BeforeSerial = max(*c.beforeSerial, 1) // nothing is below the first
		return p, nil
	case c.mode == "before_time_ms" && hasTime && !hasSerial:
		p.BeforeTime = max(milliseconds(*c.beforeTime), 1)
		return p, nil
	}
	return p, problem.Invalid("mode must be all without a bound, before_serial with before_serial alone, or before_time_ms with before_time_ms alone")
}

// historyUnread is the answer about history that could not be read.
func (h *handler) historyUnread(a *app.App, err error) *problem.Problem {
	h.o.Log.Error("history not read", "app", a.ID, "err", err)
	return problem.New(problem.Unavailable, "The history cannot be read right now; try again").Because(causeUnkept)
}

// unchanged is the answer to a reset or a purge that has failed.
func (h *handler) unchanged(ctx context.Context, a *app.App, err error) *problem.Problem {
	switch {
	case errors.Is(err, bus.ErrUncertain):
		return problem.New(problem.Uncertain, "The history may or may not have been removed; read its state")
	case ctx.Err() == nil:
		h.o.Log.Error("history not removed", "app", a.ID, "err", err)
	}
	return problem.New(problem.Unavailable, "The history cannot be removed right now; try again").Because(causeUnkept)
}
