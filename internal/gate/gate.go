// Package gate ends the taking of changes while a node drains: it counts the publishes and mutations
// under way, lets no more in once it is closed, and says when the last one has left. What passed it
// before that is carried out to the end, so that all that was acknowledged is delivered.
//
// It stands before the engines that publish and mutate, and knows nothing of them but that. It starts
// no goroutine.
package gate

import (
	"context"
	"sync/atomic"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/entity"
)

// Gate counts what is under way. It is safe for concurrent use.
type Gate struct {
	inside   atomic.Int64
	isClosed atomic.Bool
	left     chan struct{} // one slot, filled when the last leaves a closed gate
}

// New makes a gate that is open.
func New() *Gate { return &Gate{left: make(chan struct{}, 1)} }

// enter reports whether the caller may go on; then it calls leave at the end.
func (g *Gate) enter() bool {
	g.inside.Add(1) // before looking: Close sees it, or it sees Close
	if g.isClosed.Load() {
		g.leave()
		return false
	}
	return true
}

func (g *Gate) leave() {
	if g.inside.Add(-1) == 0 && g.isClosed.Load() {
		select {
		case g.left <- struct{}{}:
		default:
		}
	}
}

// Close lets nothing in from now on, and returns when all that is inside has left, or with the
// error of ctx when that ends first.
func (g *Gate) Close(ctx context.Context) error {
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

// Publisher publishes through a gate.
type Publisher struct {
	Next interface {
		Publish(ctx context.Context, a *app.App, events []channel.Event) error
	}
	Gate *Gate
}

// Publish is ErrClosed of the bus behind a closed gate.
func (p Publisher) Publish(ctx context.Context, a *app.App, events []channel.Event) error {
	if !p.Gate.enter() {
		return bus.ErrClosed
	}
	defer p.Gate.leave()
	return p.Next.Publish(ctx, a, events)
}

// Entities changes entities through a gate.
type Entities struct {
	Next interface {
		Apply(ctx context.Context, b *entity.Batch) (entity.Seq, error)
	}
	Gate *Gate
}

// Apply is ErrClosed of the engine behind a closed gate.
func (e Entities) Apply(ctx context.Context, b *entity.Batch) (entity.Seq, error) {
	if !e.Gate.enter() {
		return entity.Seq{}, entity.ErrClosed
	}
	defer e.Gate.leave()
	return e.Next.Apply(ctx, b)
}
