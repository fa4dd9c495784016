package bustest

import (
	"context"
	"math/rand/v2"
	"sync/atomic"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/protocol"
)

// Flaky is a bus whose owner is out of reach now and then, until Heal. It answers ErrUnavailable
// and has done nothing, or ErrUncertain and has acted or not. Leaves reach it all the same.
type Flaky struct {
	bus.Bus
	isHealed atomic.Bool
}

// Heal ends the faults.
func (f *Flaky) Heal() { f.isHealed.Store(true) }

// draw says how a call fails: an error, or none, and whether the owner acts.
func (f *Flaky) draw() (acts bool, err error) {
	if f.isHealed.Load() {
		return true, nil
	}
	switch rand.IntN(8) {
	case 0:
		return false, bus.ErrUnavailable
	case 1:
		return false, bus.ErrUncertain
	case 2:
		return true, bus.ErrUncertain
	default:
		return true, nil
	}
}

// Publish implements bus.Bus.
func (f *Flaky) Publish(ctx context.Context, b *bus.Batch) (bus.Published, error) {
	acts, fault := f.draw()
	if !acts {
		return bus.Published{}, fault
	}
	got, err := f.Bus.Publish(ctx, b)
	if fault != nil {
		return bus.Published{}, fault
	}
	return got, err
}

// Join implements bus.Bus.
func (f *Flaky) Join(ctx context.Context, j bus.Join) (bus.State, error) {
	acts, fault := f.draw()
	if !acts {
		return bus.State{}, fault
	}
	st, err := f.Bus.Join(ctx, j)
	if fault != nil {
		return bus.State{}, fault
	}
	return st, err
}

// State implements bus.Bus.
func (f *Flaky) State(ctx context.Context, t protocol.Topic) (bus.State, error) {
	if _, fault := f.draw(); fault != nil {
		return bus.State{}, bus.ErrUnavailable
	}
	return f.Bus.State(ctx, t)
}

// Status implements bus.Bus.
func (f *Flaky) Status(ctx context.Context, q bus.StatusQuery) (bus.StatusPage, error) {
	if _, fault := f.draw(); fault != nil {
		return bus.StatusPage{}, bus.ErrUnavailable
	}
	return f.Bus.Status(ctx, q)
}
