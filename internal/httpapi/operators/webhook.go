package operators

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/httpapi"
	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/problem"
	"github.com/millrace/millrace/internal/webhook"
)

// Webhooks is what the API asks of the outbox; see outbox.Outbox.
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

// Why a request about webhooks is refused, where the code alone does not say.
const (
	causeBacklog    problem.Cause = "webhook_backlog" // no room for dead letters
	causeNoEndpoint problem.Cause = "no_webhook"      // that dead letters were for
	causeClosed     problem.Cause = "webhooks_closed" // the node is ending
	causeStore      problem.Cause = "webhook_store"   // cannot be asked
)

// webhookAnswer is how an endpoint does.
type webhookAnswer struct {
	ID        string `json:"id"`
	Events    int    `json:"events"`
	Bytes     int    `json:"bytes"`
	Oldest    int64  `json:"oldest_ms,omitempty"`
	Failures  int    `json:"failures"`
	IsBroken  bool   `json:"is_broken"`
	LastError string `json:"last_error"`
	RetryAt   int64  `json:"retry_at_ms,omitempty"`
}

// listWebhooks is GET /apps/{app_id}/webhooks: how the endpoints do.
func (h *handler) listWebhooks(_ context.Context, r *httpapi.Request) *problem.Problem {
	list := []webhookAnswer{}
	for _, s := range h.o.Webhooks.Status(r.App.ID) {
		a := webhookAnswer{
			ID: s.Endpoint, Events: s.Events, Bytes: s.Bytes, Failures: s.Failures, IsBroken: s.IsBroken, LastError: s.LastError,
		}
		if !s.Oldest.IsZero() {
			a.Oldest = s.Oldest.UnixMilli()
		}
		if !s.RetryAt.IsZero() {
			a.RetryAt = s.RetryAt.UnixMilli()
		}
		list = append(list, a)
	}
	return r.Answer(struct {
		Webhooks []webhookAnswer `json:"webhooks"`
	}{list})
}

// lettersAnswer is a page of dead letters.
type lettersAnswer struct {
	Letters []letterAnswer `json:"letters"`
	Next    uint64         `json:"next,omitempty"` // after which there are more
}

type letterAnswer struct {
	Number   uint64          `json:"number"`
	Webhook  string          `json:"webhook"`
	Delivery string          `json:"delivery"`
	Time     int64           `json:"time_ms"`
	Count    int             `json:"count"`
	Size     int             `json:"size"`
	Reason   string          `json:"reason"`
	Detail   string          `json:"detail"`
	Attempts int             `json:"attempts"`
	Died     int64           `json:"died_ms"`
	Events   json.RawMessage `json:"events,omitempty"`
}

// listDead is GET /apps/{app_id}/webhooks/dead.
func (h *handler) listDead(ctx context.Context, r *httpapi.Request) *problem.Problem {
	after, bad := letterNumber(r, "after")
	if bad != nil {
		return bad
	}
	limit, bad := pageSize(r)
	if bad != nil {
		return bad
	}
	withEvents, bad := r.Flag("events")
	if bad != nil {
		return bad
	}
	page, err := h.readDead(ctx, r.App.ID, after, limit, withEvents)
	if err != nil {
		return h.untreated(r.App, err)
	}
	return r.Answer(page)
}

// readDead gathers letters until there are limit, or as many bytes as an answer may have.
func (h *handler) readDead(ctx context.Context, appID string, after uint64, limit int, withEvents bool) (page lettersAnswer, err error) {
	page.Letters = []letterAnswer{}
	for size, isLast := 0, false; !isLast; {
		most := min(limit-len(page.Letters)+1, deadPage) // one more than is told shows that there are more
		letters, err := h.o.Webhooks.Dead(ctx, appID, after, most)
		if err != nil {
			return page, err
		}
		for i := range letters {
			if len(page.Letters) == limit || size >= maxDeadAnswer {
				page.Next = after
				return page, nil
			}
			l := letter(&letters[i], withEvents)
			page.Letters = append(page.Letters, l)
			size += len(l.Events) + len(l.Webhook) + len(l.Detail)
			after = l.Number
		}
		isLast = len(letters) < most
	}
	return page, nil
}

func letter(l *webhook.Letter, withEvents bool) letterAnswer {
	a := letterAnswer{
		Number: l.Number, Webhook: l.Endpoint, Delivery: l.Delivery, Time: l.Time, Count: l.Count, Size: l.Size,
		Reason: string(l.Reason), Detail: l.Detail, Attempts: l.Attempts, Died: l.Died.UnixMilli(),
	}
	if withEvents {
		a.Events = fmt.Appendf(nil, "[%s]", l.Events)
	}
	return a
}

// replayDead is POST /apps/{app_id}/webhooks/dead/replay.
func (h *handler) replayDead(ctx context.Context, r *httpapi.Request) *problem.Problem {
	return h.treatDead(ctx, r, "replayed", h.o.Webhooks.Replay)
}

// discardDead is POST /apps/{app_id}/webhooks/dead/discard.
func (h *handler) discardDead(ctx context.Context, r *httpapi.Request) *problem.Problem {
	return h.treatDead(ctx, r, "discarded", h.o.Webhooks.Discard)
}

// treatDead treats the letters that a request selects. done is what the answer calls those that were
// treated.
func (h *handler) treatDead(
	ctx context.Context, r *httpapi.Request, done string, treat func(context.Context, string, webhook.Selection) (int, error),
) *problem.Problem {
	selection, bad := readSelection(r.Body())
	if bad != nil {
		return bad
	}
	n, err := treat(ctx, r.App.ID, selection)
	if err != nil {
		bad := h.untreated(r.App, err)
		bad.Members = []problem.Member{{Name: done, Value: n}}
		return bad
	}
	return r.Answer(map[string]int{done: n})
}

// untreated is the answer to an error about dead letters. What was done stays done.
func (h *handler) untreated(a *app.App, err error) *problem.Problem {
	switch {
	case errors.Is(err, webhook.ErrNothingSelected):
		return problem.Invalid("Nothing is selected: give numbers, or webhook, or all")
	case errors.Is(err, webhook.ErrNoEndpoint):
		return problem.New(problem.Conflict, "A webhook that letters were to be sent to does not exist any more; its letters stay").Because(causeNoEndpoint)
	case errors.Is(err, webhook.ErrBacklog):
		return problem.New(problem.Conflict, "So much waits for a webhook already that not all letters have room; replay the rest later").Because(causeBacklog)
	case errors.Is(err, webhook.ErrClosed):
		return problem.New(problem.Unavailable, "The server is shutting down; try again").Because(causeClosed)
	}
	h.o.Log.Error("dead letters of webhooks not treated", "app", a.ID, "err", err)
	return problem.New(problem.Unavailable, "The dead letters cannot be reached right now; try again").Because(causeStore)
}

// readSelection reads which letters are meant. It is strict, because a misspelled condition
// would select more than was meant.
func readSelection(body []byte) (s webhook.Selection, bad *problem.Problem) {
	v, bad := httpapi.ParseObject(body)
	if bad != nil {
		return s, bad
	}
	var numbers, endpoint, all jsonscan.Value
	for name, v := range v.Members() {
		switch name {
		case "numbers":
			numbers = v
		case "webhook":
			endpoint = v
		case "all":
			all = v
		default:
			return s, problem.Invalid(fmt.Sprintf("%q means nothing here; there are numbers, webhook and all", problem.Shorten(name)))
		}
	}
	if s.Numbers, bad = readNumbers(numbers); bad != nil {
		return s, bad
	}
	if s.Endpoint = endpoint.Text(); endpoint.IsGiven() && s.Endpoint == "" {
		return s, problem.Invalid("webhook must be the id of a webhook, a string")
	}
	if all.IsGiven() {
		if all.Kind() != jsonscan.Bool {
			return s, problem.Invalid("all must be true or false")
		}
		s.All = string(all) == "true"
	}
	if s.All && s.Numbers != nil {
		return s, problem.Invalid("numbers and all contradict each other")
	}
	return s, nil
}

// readNumbers is nil if there are none; an empty list is a mistake, and not all of them.
func readNumbers(v jsonscan.Value) (numbers []uint64, bad *problem.Problem) {
	if !v.IsGiven() {
		return nil, nil
	}
	if v.Kind() != jsonscan.Array {
		return nil, problem.Invalid("numbers must be an array of numbers of letters")
	}
	for element := range v.Elements() {
		n, ok := parseLetterNumber(string(element))
		if !ok || n == 0 {
			return nil, problem.Invalid(fmt.Sprintf("numbers[%d] must be the number of a letter", len(numbers)))
		}
		if len(numbers) == maxSelected {
			return nil, problem.New(problem.LimitExceeded, fmt.Sprintf("There are more than %d numbers", maxSelected))
		}
		numbers = append(numbers, n)
	}
	if numbers == nil {
		return nil, problem.Invalid("numbers is empty")
	}
	return numbers, nil
}

// parseLetterNumber reads a number that stores can hold.
func parseLetterNumber(text string) (uint64, bool) {
	n, err := strconv.ParseUint(text, 10, 63)
	return n, err == nil
}

// letterNumber is a parameter that names a letter, 0 without it.
func letterNumber(r *httpapi.Request, name string) (uint64, *problem.Problem) {
	text, ok := r.Query.Get(name)
	if !ok {
		return 0, nil
	}
	n, ok := parseLetterNumber(text)
	if !ok {
		return 0, problem.Invalid(name + " must be the number of a letter")
	}
	return n, nil
}

// listOnline is GET /apps/{app_id}/users: who is online, as endpoints of webhooks have been
// told up to the event with the number seq.
func (h *handler) listOnline(_ context.Context, r *httpapi.Request) *problem.Problem {
	users, seq := h.o.Webhooks.Online(r.App.ID)
	return r.Answer(struct {
		Users []string `json:"users"`
		Seq   uint64   `json:"seq"`
	}{append([]string{}, users...), seq})
}
