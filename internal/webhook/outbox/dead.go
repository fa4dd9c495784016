package outbox

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/millrace/millrace/internal/webhook"
)

// Dead lists the dead letters of an app whose numbers are greater than after, by number, at
// most so many.
func (e *Outbox) Dead(ctx context.Context, app string, after uint64, limit int) ([]webhook.Letter, error) {
	var all []webhook.Letter
	err := e.store.LoadDeadWebhooks(ctx, app, after, limit, func(l webhook.Letter) error {
		all = append(all, l)
		return nil
	})
	return all, err
}

// Replay puts dead letters behind what waits for their endpoints, the oldest first, and
// returns how many. They are sent with the events and the delivery id that they had. Letters for
// which there is no endpoint or no room stay, and so do the later ones of the same endpoint:
// ErrNoEndpoint, ErrBacklog; letters of other endpoints are replayed nevertheless.
func (e *Outbox) Replay(ctx context.Context, app string, s webhook.Selection) (int, error) {
	return e.treat(ctx, app, s, false)
}

// Discard removes dead letters and returns how many.
func (e *Outbox) Discard(ctx context.Context, app string, s webhook.Selection) (int, error) {
	return e.treat(ctx, app, s, true)
}

// replay is what the writer does to dead letters.
type replay struct {
	app       string
	letters   []webhook.Letter
	isDiscard bool
	full      map[string]bool // endpoints without room for one of their letters; of the writer until it answers
	answer    chan answer     // one slot

	// Of the writer.
	count int
	err   error
}

type answer struct {
	count int
	err   error
}

// treat replays or discards page by page: all letters of an app may be more than should be in
// memory at a time.
func (e *Outbox) treat(ctx context.Context, app string, s webhook.Selection, isDiscard bool) (count int, err error) {
	if s.IsNothing() {
		return 0, webhook.ErrNothingSelected
	}
	const page = 64
	full := map[string]bool{}
	last := e.sender.LastNumber() // greater ones are perhaps those replayed here, which have failed again
	for after := uint64(0); ; {
		letters, failed := e.Dead(ctx, app, after, page)
		if failed != nil {
			return count, failed
		}
		if len(letters) == 0 {
			return count, err
		}
		after = letters[len(letters)-1].Number
		letters = slices.DeleteFunc(letters, func(l webhook.Letter) bool {
			return !s.Has(&l) || l.Number > last
		})
		if len(letters) == 0 {
			continue
		}
		done, failed := e.ask(ctx, &replay{app: app, letters: letters, isDiscard: isDiscard, full: full, answer: make(chan answer, 1)})
		count += done
		err = cmp.Or(err, failed)
		if errors.Is(failed, webhook.ErrClosed) || ctx.Err() != nil {
			return count, failed
		}
	}
}

// ask waits for the writer's answer, at most until ctx ends.
func (e *Outbox) ask(ctx context.Context, r *replay) (int, error) {
	if !e.inbox.ask(r) {
		return 0, webhook.ErrClosed
	}
	select {
	case a := <-r.answer:
		return a.count, a.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}
