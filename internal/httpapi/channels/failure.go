package channels

import (
	"context"
	"errors"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/idempotency"
	"github.com/millrace/millrace/internal/problem"
)

// Why a request about channels is refused, where the code alone does not say.
const (
	causeClaims   problem.Cause = "idempotency_keys" // that are remembered are too many
	causeShare    problem.Cause = "app_keys"         // of idempotency, of one app
	causeOwner    problem.Cause = "channel_owner"    // cannot be asked
	causeUnstored problem.Cause = "store"            // of entities refuses
	causeUnkept   problem.Cause = "history"          // cannot be stored
)

// unpublished is the answer to a publish that has failed.
func (h *handler) unpublished(ctx context.Context, a *app.App, err error) *problem.Problem {
	switch {
	case errors.Is(err, bus.ErrUncertain):
		return problem.New(problem.Uncertain, "The events may or may not have been published; repeat the request if they may come twice")
	case errors.Is(err, bus.ErrNotStored):
		return problem.New(problem.Unavailable, "The channel is kept, and the events cannot be stored right now; nothing was published; try again").Because(causeUnkept)
	case errors.Is(err, bus.ErrTooLarge):
		return problem.New(problem.PayloadTooLarge, "The channels are kept, and the events are too large together to be stored at once; publish fewer in one request")
	case errors.Is(err, bus.ErrUnavailable):
		return problem.New(problem.Unavailable, "The channels cannot be reached right now; try again").Because(causeOwner)
	case errors.Is(err, bus.ErrBackpressure), errors.Is(err, hub.ErrBackpressure), errors.Is(err, context.DeadlineExceeded):
		return problem.New(problem.Backpressure, "The server is behind with its deliveries; try again")
	case errors.Is(err, entity.ErrBackpressure): // of events that change entities
		return problem.New(problem.Backpressure, "The server is behind with its mutations; try again")
	case errors.Is(err, entity.ErrNotStored): // of events that change entities
		return problem.New(problem.Unavailable, "The event changes entities that cannot be stored right now; try again").Because(causeUnstored)
	case errors.Is(err, bus.ErrClosed), errors.Is(err, entity.ErrClosed):
		return problem.New(problem.Unavailable, "The server is shutting down; try again")
	case ctx.Err() != nil:
		return problem.New(problem.Backpressure, "The server is behind with its deliveries; try again") // the client gave up waiting and reads no answer
	}
	h.o.Log.Error("publish failed", "app", a.ID, "err", err)
	return problem.New(problem.Internal, "Internal error")
}

// unread is the answer about channels whose owner could not be asked.
func (h *handler) unread(a *app.App, err error) *problem.Problem {
	h.o.Log.Warn("channels not read", "app", a.ID, "err", err)
	return problem.New(problem.Unavailable, "The channels cannot be read right now; try again").Because(causeOwner)
}

// unterminated is the answer about a user some of whose connections could not be reached.
func (h *handler) unterminated(a *app.App, err error) *problem.Problem {
	h.o.Log.Warn("connections of a user not terminated", "app", a.ID, "err", err)
	return problem.New(problem.Unavailable, "Not all connections of the user can be reached right now; try again").Because(causeOwner)
}

// unclaimed is the answer to a request whose idempotency key was refused, and what the key is counted as.
func (h *handler) unclaimed(a *app.App, err error) (p *problem.Problem, outcome string) {
	switch {
	case errors.Is(err, idempotency.ErrHeld):
		return problem.New(problem.Backpressure, "A request with the same idempotency key is still running; try again"), "busy"
	case errors.Is(err, idempotency.ErrFull):
		return problem.New(problem.Backpressure, "Too many idempotency keys are remembered; try again").Because(causeClaims), "full"
	case errors.Is(err, idempotency.ErrShareFull):
		return problem.New(problem.RateLimited, "Too many idempotency keys of this app are remembered; try again, or publish without a key").Because(causeShare), "app_full"
	}
	h.o.Log.Error("idempotency key not claimed", "app", a.ID, "err", err)
	return problem.New(problem.Unavailable, "The idempotency key cannot be looked up right now; try again"), "failed"
}
