package bustest

import (
	"context"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/protocol"
)

// Slow is a bus whose owner is a while away. Leaves wait in a queue for as long, and are then told
// together.
type Slow struct {
	bus   bus.Bus       // immutable
	delay time.Duration // immutable
	check func()        // immutable; called first by every call

	mu      sync.Mutex
	waiting []bus.Leave // guarded by mu
}

// NewSlow makes a bus that asks b after a delay. check may be nil.
func NewSlow(b bus.Bus, delay time.Duration, check func()) *Slow {
	if check == nil {
		check = func() { /* nothing is checked */ }
	}
	return &Slow{bus: b, delay: delay, check: check}
}

// Publish implements bus.Bus.
func (s *Slow) Publish(ctx context.Context, b *bus.Batch) (bus.Published, error) {
	if err := s.wait(ctx); err != nil {
		return bus.Published{}, err
	}
	return s.bus.Publish(ctx, b)
}

// Join implements bus.Bus. It tells what waits first, because that was called first.
func (s *Slow) Join(ctx context.Context, j bus.Join) (bus.State, error) {
	if err := s.wait(ctx); err != nil {
		return bus.State{}, err
	}
	return s.bus.Join(ctx, j)
}

// Leave implements bus.Bus.
func (s *Slow) Leave(ls ...bus.Leave) {
	s.check()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 && len(ls) > 0 {
		time.AfterFunc(s.delay, s.tell)
	}
	s.waiting = append(s.waiting, ls...)
}

// tell tells what waits, under the lock: what is called later comes later.
func (s *Slow) tell() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bus.Leave(s.waiting...)
	s.waiting = nil
}

// State implements bus.Bus.
func (s *Slow) State(ctx context.Context, t protocol.Topic) (bus.State, error) {
	if err := s.wait(ctx); err != nil {
		return bus.State{}, err
	}
	return s.bus.State(ctx, t)
}

// Read implements bus.Bus.
func (s *Slow) Read(ctx context.Context, t protocol.Topic, q bus.Query) (bus.Page, error) {
	if err := s.wait(ctx); err != nil {
		return bus.Page{}, err
	}
	return s.bus.Read(ctx, t, q)
}

// Status implements bus.Bus.
func (s *Slow) Status(ctx context.Context, q bus.StatusQuery) (bus.StatusPage, error) {
	if err := s.wait(ctx); err != nil {
		return bus.StatusPage{}, err
	}
	return s.bus.Status(ctx, q)
}

// wait is the way to the owner.
func (s *Slow) wait(ctx context.Context) error {
	s.check()
	select {
	case <-time.After(s.delay):
		s.tell()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
