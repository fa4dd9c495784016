package httpapi

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/jsontext"
)

// Idempotency is about publishes that say by a key that they are the same. Zero fields mean
// the default.
type Idempotency struct {
	Off    bool          // for apps that do not say; then keys are ignored
	TTL    time.Duration // of apps that do not say; default 120 s
	MaxKey int           // bytes of a key; default 128
	Claims Claims        // default NewMemoryClaims
}

const (
	defaultClaimTTL = 120 * time.Second
	// claimTimeout is how long a request waits for another one with its key.
	claimTimeout = 300 * time.Millisecond
)

func (i *Idempotency) setDefaults() {
	if i.TTL <= 0 {
		i.TTL = defaultClaimTTL
	}
	if i.MaxKey <= 0 {
		i.MaxKey = maxIdempotencyKey
	}
	if i.Claims == nil {
		i.Claims = NewMemoryClaims(ClaimLimits{})
	}
}

// isFor reports whether keys mean anything for a.
func (i *Idempotency) isFor(a *app.App) bool { return a.Features.Idempotency.Or(!i.Off) }

// eventKey is the name under which the event with a key in its body is claimed, empty
// without one.
func (h *handler) eventKey(c *call, v jsontext.Value) (string, *failure) {
	if !given(v) || !h.o.Idempotency.isFor(c.app) {
		return "", nil
	}
	if v.Kind() != jsontext.String {
		return "", invalid("idempotency_key must be a string")
	}
	return h.claimName("event", v.Text())
}

// headerKey is the name under which a request of a kind is claimed, empty without a key.
func (h *handler) headerKey(c *call, kind string) (string, *failure) {
	if len(c.keys) == 0 || !h.o.Idempotency.isFor(c.app) {
		return "", nil
	}
	return h.claimName(kind, c.keys[0])
}

// claimName keeps the kinds of an app apart.
func (h *handler) claimName(kind, key string) (string, *failure) {
	if most := h.o.Idempotency.MaxKey; key == "" || len(key) > most {
		return "", invalid(fmt.Sprintf("The idempotency key must have 1 to %d bytes", most))
	}
	return kind + "\x00" + key, nil
}

// once carries out a request under a name, or repeats the earlier answer. If the request fails,
// nothing is remembered, so that a corrected request can come again.
func (h *handler) once(ctx context.Context, c *call, name string, do func() *failure) *failure {
	waiting := &waitContext{Context: ctx, limit: claimTimeout}
	claim, kept, f := h.claim(waiting, c.app, name) //nolint:contextcheck // waiting inherits from ctx
	waiting.stop()
	if f != nil {
		return f
	}
	if claim == nil {
		c.out = append(c.out, kept...)
		return nil
	}
	held := claims{claim}
	defer held.release(ctx)
	if f := do(); f != nil {
		return f
	}
	h.keep(ctx, c, &held, c.out)
	return nil
}

// claim translates what Claims says.
func (h *handler) claim(ctx context.Context, a *app.App, name string) (Claim, []byte, *failure) {
	ttl := a.Limits.IdempotencyTTL
	if ttl <= 0 {
		ttl = h.o.Idempotency.TTL
	}
	claim, kept, err := h.o.Idempotency.Claims.Claim(ctx, ClaimKey{a.ID, name}, ttl)
	switch {
	case err == nil && claim != nil:
		h.o.Metrics.claims.WithLabelValues("first").Inc()
		return claim, nil, nil
	case err == nil:
		h.o.Metrics.claims.WithLabelValues("repeated").Inc()
		return nil, kept, nil
	case errors.Is(err, ErrClaimHeld):
		h.o.Metrics.claims.WithLabelValues("busy").Inc()
		return nil, nil, fail(codeBackpressure, "A request with the same idempotency key is still running; try again")
	case errors.Is(err, ErrClaimsFull):
		h.o.Metrics.claims.WithLabelValues("full").Inc()
		return nil, nil, fail(codeBackpressure, "Too many idempotency keys are remembered; try again").because(causeClaims)
	case errors.Is(err, ErrShareFull):
		h.o.Metrics.claims.WithLabelValues("app_full").Inc()
		return nil, nil, fail(codeBackpressure, "Too many idempotency keys of this app are remembered; try again").because(causeShare)
	}
	h.o.Metrics.claims.WithLabelValues("failed").Inc()
	h.o.Log.Error("idempotency key not claimed", "app", a.ID, "err", err)
	return nil, nil, fail(codeUnavailable, "The idempotency key cannot be looked up right now; try again")
}

// claims are those that one request holds.
type claims []Claim

// release gives up the claims that are still held.
func (cs *claims) release(ctx context.Context) {
	for _, claim := range *cs {
		claim.Release(context.WithoutCancel(ctx)) // a client that is gone must not leave it behind
	}
	*cs = nil
}

// keep remembers an answer for all that is held.
func (h *handler) keep(ctx context.Context, c *call, held *claims, answer []byte) {
	for _, claim := range *held {
		if err := claim.Keep(context.WithoutCancel(ctx), answer); err != nil {
			h.o.Log.Error("answer not kept for its idempotency key", "app", c.app.ID, "err", err)
		}
	}
	*held = nil
}

// claimEvents claims the events of a batch that have keys, and marks those that have been
// published before, or stand in the batch twice. What it holds is the caller's, even if it
// fails.
func (h *handler) claimEvents(ctx context.Context, c *call, held *claims) *failure {
	var seen map[string]bool
	waiting := &waitContext{Context: ctx, limit: claimTimeout} // for all of them together
	defer waiting.stop()
	for i := range c.publish.inputs {
		in := &c.publish.inputs[i]
		name, f := h.eventKey(c, in.key)
		if f != nil {
			return f.at(fmt.Sprintf("batch[%d]", i))
		}
		if name == "" {
			continue
		}
		if in.isRepeated = seen[name]; in.isRepeated {
			continue
		}
		if seen == nil {
			seen = map[string]bool{}
		}
		seen[name] = true
		claim, _, f := h.claim(waiting, c.app, name) //nolint:contextcheck // waiting inherits from ctx
		if f != nil {
			return f
		}
		if in.isRepeated = claim == nil; !in.isRepeated {
			*held = append(*held, claim)
		}
	}
	return nil
}
