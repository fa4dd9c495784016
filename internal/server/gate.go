package server

import (
	"context"
	"sync/atomic"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/httpapi"
)

// gate counts the publishes and mutations under way, and lets no more in once it is closed. What
// passed it before that is carried out to the end. The zero value is open.
type gate struct {
	inside   atomic.Int64
	isClosed atomic.Bool
	left     chan struct{} // one slot, filled when the last leaves a closed gate
}

func newGate() *gate { return &gate{left: make(chan struct{}, 1)} }

// enter reports whether the caller may go on; then it calls leave at the end.
func (g *gate) enter() bool {
	g.inside.Add(1) // before looking: close sees it, or it sees close
	if g.isClosed.Load() {
		g.leave()
		return false
	}
	return true
}

func (g *gate) leave() {
	if g.inside.Add(-1) == 0 && g.isClosed.Load() {
		select {
		case g.left <- struct{}{}:
		default:
		}
	}
}

// close lets nothing in from now on, and returns when all that is inside has left, or with the
// error of ctx when that ends first.
func (g *gate) close(ctx context.Context) error {
	g.isClosed.Store(true)
	for g.inside.Load() > 0 {
		select {
		case <-g.left:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// publisher is httpapi.Channels under a name that can be embedded beside its methods.
type publisher interface{ httpapi.Channels }

// gatedChannels publishes through a gate.
type gatedChannels struct {
	publisher
	gate *gate
}

// Publish is ErrClosed of the bus behind a closed gate.
func (c gatedChannels) Publish(ctx context.Context, a *app.App, events []channel.Event) error {
	if !c.gate.enter() {
		return bus.ErrClosed
	}
	defer c.gate.leave()
	return c.publisher.Publish(ctx, a, events)
}

// gatedEntities changes entities through a gate.
type gatedEntities struct {
	httpapi.Entities
	gate *gate
}

// Apply is ErrClosed of the engine behind a closed gate.
func (e gatedEntities) Apply(ctx context.Context, b *entity.Batch) (entity.Seq, error) {
	if !e.gate.enter() {
		return entity.Seq{}, entity.ErrClosed
	}
	defer e.gate.leave()
	return e.Entities.Apply(ctx, b)
}
