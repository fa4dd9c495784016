package httpapi

import (
	"context"
	"time"

	"github.com/millrace/millrace/internal/locks"
)

// waitContext is a request's context that also ends when the request has waited for limit. The time
// starts with the first call of Done, so a publish that need not wait, which is nearly every one,
// pays for no timer.
type waitContext struct {
	context.Context //nolint:containedctx // it is a context, alive as long as its request
	limit           time.Duration

	mu     locks.Mutex
	timed  context.Context //nolint:containedctx // guarded by mu; nil before the first Done
	cancel context.CancelFunc
}

func (p *waitContext) Done() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timed == nil {
		p.timed, p.cancel = context.WithTimeout(p.Context, p.limit)
	}
	return p.timed.Done()
}

func (p *waitContext) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timed != nil {
		return p.timed.Err()
	}
	return p.Context.Err()
}

// waitingFor returns a waitContext of c, which the next request may use again after end.
func (c *call) waitingFor(ctx context.Context, limit time.Duration) *waitContext {
	p := c.wait
	if p == nil {
		p = new(waitContext)
	}
	p.Context, p.limit = ctx, limit
	return p
}

// end is stop, and returns p, emptied, if it can be used again: Done was never called, so that
// no goroutine waits for it.
func (p *waitContext) end() *waitContext {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cancel != nil {
		p.cancel()
		return nil
	}
	p.Context = nil
	return p
}

// stop frees the timer. The context is not to be used after it.
func (p *waitContext) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cancel != nil {
		p.cancel()
	}
}
