package httpapi

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/millrace/millrace/internal/jsontext"
	"github.com/millrace/millrace/internal/webhook"
)

// Webhooks is what the API asks of the webhook engine; see outbox.Engine.
type Webhooks interface {
	Status(appID string) []webhook.Status
	Dead(ctx context.Context, appID string, after uint64, limit int) ([]webhook.Letter, error)
	Replay(ctx context.Context, appID string, s webhook.Selection) (int, error)
	Discard(ctx context.Context, appID string, s webhook.Selection) (int, error)
	Online(appID string) (users []string, seq uint64)
}

const (
	deadPage      = 16      // letters that are loaded at a time: each may be large
	maxDeadAnswer = 8 << 20 // bytes of letters in one answer; the next answer has the rest
	maxSelected   = 1000    // numbers of letters in one request
)

// listWebhooks is GET /apps/{app_id}/webhooks: how the endpoints do.
func (h *handler) listWebhooks(c *call) *failure {
	c.out = append(c.out, `{"webhooks":[`...)
	for i, s := range h.o.Webhooks.Status(c.app.ID) {
		if i > 0 {
			c.out = append(c.out, ',')
		}
		c.out = appendWebhook(c.out, &s)
	}
	c.out = append(c.out, ']', '}')
	return nil
}

func appendWebhook(dst []byte, s *webhook.Status) []byte {
	dst = append(dst, `{"id":`...)
	dst = jsontext.AppendString(dst, s.Endpoint)
	dst = appendNumber(dst, "events", int64(s.Events))
	dst = appendNumber(dst, "bytes", int64(s.Bytes))
	if !s.Oldest.IsZero() {
		dst = appendNumber(dst, "oldest_ms", s.Oldest.UnixMilli())
	}
	dst = appendNumber(dst, "failures", int64(s.Failures))
	dst = append(dst, `,"is_broken":`...)
	dst = strconv.AppendBool(dst, s.IsBroken)
	dst = appendText(dst, "last_error", s.LastError)
	if !s.RetryAt.IsZero() {
		dst = appendNumber(dst, "retry_at_ms", s.RetryAt.UnixMilli())
	}
	return append(dst, '}')
}

// listDead is GET /apps/{app_id}/webhooks/dead.
func (h *handler) listDead(ctx context.Context, c *call) *failure {
	after, f := c.letterNumber("after")
	if f != nil {
		return f
	}
	limit, f := c.pageSize()
	if f != nil {
		return f
	}
	withEvents, f := c.flag("events")
	if f != nil {
		return f
	}
	c.out = append(c.out, `{"letters":[`...)
	hasMore := false
	for n, isLast := 0, false; !isLast && !hasMore; {
		page := min(limit-n+1, deadPage) // one more than is told shows that there are more
		letters, err := h.o.Webhooks.Dead(ctx, c.app.ID, after, page)
		if err != nil {
			return h.failDead(c, err)
		}
		for i := range letters {
			if hasMore = n == limit || len(c.out) >= maxDeadAnswer; hasMore {
				break
			}
			if n > 0 {
				c.out = append(c.out, ',')
			}
			c.out = appendLetter(c.out, &letters[i], withEvents)
			after = letters[i].Number
			n++
		}
		isLast = len(letters) < page
	}
	c.out = append(c.out, ']')
	if hasMore {
		c.out = append(c.out, `,"next":`...)
		c.out = strconv.AppendUint(c.out, after, 10)
	}
	c.out = append(c.out, '}')
	return nil
}

func appendLetter(dst []byte, l *webhook.Letter, withEvents bool) []byte {
	dst = append(dst, `{"number":`...)
	dst = strconv.AppendUint(dst, l.Number, 10)
	dst = appendText(dst, "webhook", l.Endpoint)
	dst = appendText(dst, "delivery", l.Delivery)
	dst = appendNumber(dst, "time_ms", l.Time)
	dst = appendNumber(dst, "count", int64(l.Count))
	dst = appendNumber(dst, "size", int64(l.Size))
	dst = appendText(dst, "reason", string(l.Reason))
	dst = appendText(dst, "detail", l.Detail)
	dst = appendNumber(dst, "attempts", int64(l.Attempts))
	dst = appendNumber(dst, "died_ms", l.Died.UnixMilli())
	if withEvents {
		dst = append(dst, `,"events":[`...)
		dst = append(dst, l.Events...)
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

// treatDead is POST /apps/{app_id}/webhooks/dead/replay and discard. done is what the answer
// calls those that were treated.
func (h *handler) treatDead(ctx context.Context, c *call, done string, treat func(context.Context, string, webhook.Selection) (int, error)) *failure {
	selection, f := readSelection(c.bytes())
	if f != nil {
		return f
	}
	n, err := treat(ctx, c.app.ID, selection)
	if err != nil {
		f := h.failDead(c, err)
		f.done = string(appendNumber(nil, done, int64(n)))
		return f
	}
	c.out = append(c.out, '{')
	c.out = append(c.out, appendNumber(nil, done, int64(n))[1:]...)
	c.out = append(c.out, '}')
	return nil
}

// failDead is the answer to an error about dead letters. What was done stays done.
func (h *handler) failDead(c *call, err error) *failure {
	switch {
	case errors.Is(err, webhook.ErrNothingSelected):
		return invalid("Nothing is selected: give numbers, or webhook, or all")
	case errors.Is(err, webhook.ErrNoEndpoint):
		return fail(codeConflict, "A webhook that letters were to be sent to does not exist any more; its letters stay").because(causeNoEndpoint)
	case errors.Is(err, webhook.ErrBacklog):
		return fail(codeConflict, "So much waits for a webhook already that not all letters have room; replay the rest later").because(causeBacklog)
	case errors.Is(err, webhook.ErrClosed):
		return fail(codeUnavailable, "The server is shutting down; try again").because(causeClosed)
	}
	h.o.Log.Error("dead letters of webhooks not treated", "app", c.app.ID, "err", err)
	return fail(codeUnavailable, "The dead letters cannot be reached right now; try again").because(causeStore)
}

// readSelection reads which letters are meant. It is strict, because a misspelled condition
// would select more than was meant.
func readSelection(body []byte) (s webhook.Selection, f *failure) {
	v, f := parseObject(body)
	if f != nil {
		return s, f
	}
	var numbers, endpoint, all jsontext.Value
	for name, v := range v.Members() {
		switch name {
		case "numbers":
			numbers = v
		case "webhook":
			endpoint = v
		case "all":
			all = v
		default:
			return s, invalid(fmt.Sprintf("%q means nothing here; there are numbers, webhook and all", shorten(name)))
		}
	}
	if s.Numbers, f = readNumbers(numbers); f != nil {
		return s, f
	}
	if s.Endpoint = endpoint.Text(); given(endpoint) && s.Endpoint == "" {
		return s, invalid("webhook must be the id of a webhook, a string")
	}
	if given(all) {
		if all.Kind() != jsontext.Bool {
			return s, invalid("all must be true or false")
		}
		s.All = string(all) == "true"
	}
	if s.All && s.Numbers != nil {
		return s, invalid("numbers and all contradict each other")
	}
	return s, nil
}

// readNumbers is nil if there are none; an empty list is a mistake, and not all of them.
func readNumbers(v jsontext.Value) (numbers []uint64, f *failure) {
	if !given(v) {
		return nil, nil
	}
	if v.Kind() != jsontext.Array {
		return nil, invalid("numbers must be an array of numbers of letters")
	}
	for element := range v.Elements() {
		n, ok := parseLetterNumber(string(element))
		if !ok || n == 0 {
			return nil, invalid(fmt.Sprintf("numbers[%d] must be the number of a letter", len(numbers)))
		}
		if len(numbers) == maxSelected {
			return nil, fail(codeLimit, fmt.Sprintf("There are more than %d numbers", maxSelected))
		}
		numbers = append(numbers, n)
	}
	if numbers == nil {
		return nil, invalid("numbers is empty")
	}
	return numbers, nil
}

// parseLetterNumber reads a number that stores can hold.
func parseLetterNumber(text string) (uint64, bool) {
	n, err := strconv.ParseUint(text, 10, 63)
	return n, err == nil
}

// letterNumber is a parameter that names a letter, 0 without it.
func (c *call) letterNumber(name string) (uint64, *failure) {
	text, ok := c.query.Get(name)
	if !ok {
		return 0, nil
	}
	n, ok := parseLetterNumber(text)
	if !ok {
		return 0, invalid(name + " must be the number of a letter")
	}
	return n, nil
}

// listOnline is GET /apps/{app_id}/users: who is online, as endpoints of webhooks have been
// told up to the event with the number seq.
func (h *handler) listOnline(c *call) *failure {
	users, seq := h.o.Webhooks.Online(c.app.ID)
	c.out = append(c.out, `{"users":[`...)
	for i, id := range users {
		if i > 0 {
			c.out = append(c.out, ',')
		}
		c.out = jsontext.AppendString(c.out, id)
	}
	c.out = append(c.out, `],"seq":`...)
	c.out = strconv.AppendUint(c.out, seq, 10)
	c.out = append(c.out, '}')
	return nil
}
