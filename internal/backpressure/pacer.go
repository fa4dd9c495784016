package backpressure

import (
	"context"
	"time"
)

// part is how many pieces a Pacer lets its producer make between two pauses.
const part = 64

// longestPause is how long the pauses of one Pacer take together, about. A consumer needs a small part of
// it; the bound is for one that does not run or that has other work.
const longestPause = 50 * time.Millisecond

// Pacer paces a producer that makes many pieces at once, of which consumers have to take some before it
// makes the rest. It has one owner. It pauses only where much waits and its producer has made a part since
// its last pause, and not at all after longestPause in all: then the producer goes on unpaced.
type Pacer struct {
	budget *Budget
	made   int             // pieces since the last pause
	ctx    context.Context //nolint:containedctx // of all pauses: a deadline that begins with the first
	cancel context.CancelFunc
}

// Pace makes a Pacer, whose owner calls Close at the end.
func (b *Budget) Pace() Pacer { return Pacer{budget: b} }

// Made counts one piece, and reports whether the producer is to Pause.
func (p *Pacer) Made() bool {
	p.made++
	return p.made >= part && p.budget.isBusy() && (p.ctx == nil || p.ctx.Err() == nil)
}

// Pause waits until little waits, or until the pauses have taken too long. A Reserve never waits for it.
func (p *Pacer) Pause() {
	if p.made = 0; p.ctx == nil {
		p.ctx, p.cancel = context.WithTimeout(context.Background(), longestPause)
	}
	p.budget.rest(p.ctx)
}

// Close frees what p needs.
func (p *Pacer) Close() {
	if p.cancel != nil {
		p.cancel()
	}
}

// isBusy reports whether so much waits that a paced producer pauses: long before others have to wait.
func (b *Budget) isBusy() bool { return b.used.Load() > b.max/8 }

// isCalm reports whether so little waits that a paced producer goes on.
func (b *Budget) isCalm() bool { return b.used.Load() <= b.max/16 }

// rest returns once b is calm, or when ctx ends.
func (b *Budget) rest(ctx context.Context) {
	let := make(chan struct{})
	b.mu.Lock()
	b.resting = append(b.resting, let)
	b.isWaiting.Store(true) // before used is read, as in Reserve
	b.letInLocked()
	b.mu.Unlock()
	select {
	case <-let:
	case <-ctx.Done():
		b.mu.Lock()
		defer b.mu.Unlock()
		b.forgetLocked(let)
	}
}
