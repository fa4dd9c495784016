package channels

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/httpapi"
	"github.com/millrace/millrace/internal/idempotency"
	"github.com/millrace/millrace/internal/idempotency/local"
	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/problem"
)

// Idempotency is about publishes that say by a key that they are the same. Zero fields mean
// the default.
type Idempotency struct {
	Off    bool              // for apps that do not say; then keys are ignored
	TTL    time.Duration     // of apps that do not say; default 120 s
	MaxKey int               // bytes of a key; default 128
	Owner  idempotency.Owner // of the keys; default this node
}

const (
	defaultClaimTTL = 120 * time.Second
	// claimTimeout is how long a request waits for another one with its key.
	claimTimeout = 300 * time.Millisecond
)

// withDefaults is i with defaults in the place of zero fields.
func (i Idempotency) withDefaults() Idempotency {
	if i.TTL <= 0 {
		i.TTL = defaultClaimTTL
	}
	if i.MaxKey <= 0 {
		i.MaxKey = idempotency.MaxKey
	}
	if i.Owner == nil {
		i.Owner = local.New(idempotency.Limits{Usual: []byte(UsualAnswer)})
	}
	return i
}

// isFor reports whether keys mean anything for a.
func (i *Idempotency) isFor(a *app.App) bool { return a.Features.Idempotency.Or(!i.Off) }

// eventKey is the key under which the event with a key in its body is claimed, with an empty name
// without one.
func (h *handler) eventKey(r *httpapi.Request, v jsonscan.Value) (idempotency.Key, *problem.Problem) {
	if !v.IsGiven() || !h.o.Idempotency.isFor(r.App) {
		return idempotency.Key{}, nil
	}
	if v.Kind() != jsonscan.String {
		return idempotency.Key{}, problem.Invalid("idempotency_key must be a string")
	}
	return h.claimKey(r, "event", v.Text())
}

// headerKey is the key under which a request of a kind is claimed, with an empty name without one.
func (h *handler) headerKey(r *httpapi.Request, kind string) (idempotency.Key, *problem.Problem) {
	keys := r.HTTP.Header["X-Idempotency-Key"]
	if len(keys) == 0 || !h.o.Idempotency.isFor(r.App) {
		return idempotency.Key{}, nil
	}
	return h.claimKey(r, kind, keys[0])
}

// claimKey keeps the kinds of an app apart.
func (h *handler) claimKey(r *httpapi.Request, kind, key string) (idempotency.Key, *problem.Problem) {
	if most := h.o.Idempotency.MaxKey; key == "" || len(key) > most {
		return idempotency.Key{}, problem.Invalid(fmt.Sprintf("The idempotency key must have 1 to %d bytes", most))
	}
	return idempotency.Key{App: r.App.ID, Name: kind + "\x00" + key}, nil
}

// once carries out a request under a key, or repeats the earlier answer. If the request fails,
// nothing is remembered, so that a corrected request can come again.
func (h *handler) once(ctx context.Context, r *httpapi.Request, key idempotency.Key, do func() *problem.Problem) *problem.Problem {
	waiting := httpapi.WaitFor(ctx, claimTimeout)
	isFirst, kept, bad := h.claim(waiting, r.App, key) //nolint:contextcheck // waiting inherits from ctx
	waiting.Stop()
	if bad != nil {
		return bad
	}
	if !isFirst {
		r.Out = append(r.Out, kept...)
		return nil
	}
	held := []idempotency.Key{key}
	defer func() { h.release(ctx, held) }()
	if bad := do(); bad != nil {
		return bad
	}
	h.keep(ctx, r.App, held, r.Out)
	held = nil
	return nil
}

// claim translates what the owner of the keys says.
func (h *handler) claim(ctx context.Context, a *app.App, key idempotency.Key) (isFirst bool, kept []byte, bad *problem.Problem) {
	ttl := a.Limits.IdempotencyTTL
	if ttl <= 0 {
		ttl = h.o.Idempotency.TTL
	}
	isFirst, kept, err := h.o.Idempotency.Owner.Claim(ctx, key, ttl)
	outcome := "repeated"
	switch {
	case err != nil:
		bad, outcome = h.unclaimed(a, err)
	case isFirst:
		outcome = "first"
	}
	h.o.Metrics.Claimed(outcome)
	return isFirst, kept, bad
}

// release gives up keys that are still held.
func (h *handler) release(ctx context.Context, held []idempotency.Key) {
	for _, key := range held {
		h.o.Idempotency.Owner.Release(context.WithoutCancel(ctx), key) // a client that is gone must not leave it behind
	}
}

// keep remembers an answer for all keys that are held.
func (h *handler) keep(ctx context.Context, a *app.App, held []idempotency.Key, answer []byte) {
	for _, key := range held {
		if err := h.o.Idempotency.Owner.Keep(context.WithoutCancel(ctx), key, answer); err != nil {
			h.o.Log.Error("answer not kept for its idempotency key", "app", a.ID, "err", err)
		}
	}
}

// claimEvents claims the events of a batch that have keys, and marks those that have been
// published before, or stand in the batch twice. The caller releases what is held, even if there is a
// problem.
func (h *handler) claimEvents(ctx context.Context, r *httpapi.Request, inputs []input) (held []idempotency.Key, bad *problem.Problem) {
	var seen map[string]bool
	waiting := httpapi.WaitFor(ctx, claimTimeout) // for all of them together
	defer waiting.Stop()
	for i := range inputs {
		in := &inputs[i]
		key, bad := h.eventKey(r, in.key)
		if bad != nil {
			return held, bad.At(fmt.Sprintf("batch[%d]", i))
		}
		if key.Name == "" {
			continue
		}
		if in.isRepeated = seen[key.Name]; in.isRepeated {
			continue
		}
		if seen == nil {
			seen = map[string]bool{}
		}
		seen[key.Name] = true
		isFirst, _, bad := h.claim(waiting, r.App, key) //nolint:contextcheck // waiting inherits from ctx
		if bad != nil {
			return held, bad
		}
		if in.isRepeated = !isFirst; isFirst {
			held = append(held, key)
		}
	}
	return held, nil
}

// claimExtras claims events by the keys in their extras, each within its channel, and returns those that
// come for the first time (v2 2.7). The caller releases what is held, even if there is a problem.
func (h *handler) claimExtras(ctx context.Context, r *httpapi.Request, events []channel.Event) (fresh []channel.Event, held []idempotency.Key, bad *problem.Problem) {
	waiting := httpapi.WaitFor(ctx, claimTimeout) // for all of them together
	defer waiting.Stop()
	for i := range events {
		if !hasKey(events[i]) {
			fresh = append(fresh, events[i])
			continue
		}
		key, bad := h.claimKey(r, "extras\x00"+events[i].Channel, events[i].Properties.Extras.IdempotencyKey)
		if bad != nil {
			return nil, held, bad
		}
		if slices.Contains(held, key) {
			continue
		}
		isFirst, _, bad := h.claim(waiting, r.App, key) //nolint:contextcheck // waiting inherits from ctx
		if bad != nil {
			return nil, held, bad
		}
		if isFirst {
			held, fresh = append(held, key), append(fresh, events[i])
		}
	}
	return fresh, held, nil
}

// hasKey reports whether the extras of an event have a key.
func hasKey(ev channel.Event) bool {
	return ev.Properties != nil && ev.Properties.Extras != nil && ev.Properties.Extras.IdempotencyKey != ""
}
