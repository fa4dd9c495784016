package httpapi

import (
	"context"
	"time"

	"github.com/millrace/millrace/internal/locks"
)

// WaitContext is a request's context that also ends when the request has waited for limit. The time
// starts with the first call of Done, so a publish that need not wait, which is nearly every one,
// pays for no timer.
type WaitContext struct {
	context.Context //nolint:containedctx // it is a context, alive as long as its request
	limit           time.Duration

	mu     locks.Mutex
	timed  context.Context //nolint:containedctx // guarded by mu; nil before the first Done
	cancel context.CancelFunc
}

// WaitFor makes a WaitContext. The caller calls Stop when it is done.
func WaitFor(ctx context.Context, limit time.Duration) *WaitContext {
	return &WaitContext{Context: ctx, limit: limit}
}

// Done implements context.Context.
func (p *WaitContext) Done() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timed == nil {
		p.timed, p.cancel = context.WithTimeout(p.Context, p.limit)
	}
	return p.timed.Done()
}

// Err implements context.Context.
func (p *WaitContext) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timed != nil {
		return p.timed.Err()
	}
	return p.Context.Err()
}

// end is Stop, and returns p, emptied, if it can be used again: Done was never called, so that
// no goroutine waits for it.
func (p *WaitContext) end() *WaitContext {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cancel != nil {
		p.cancel()
		return nil
	}
	p.Context = nil
	return p
}

// Stop frees the timer. The context is not to be used after it.
func (p *WaitContext) Stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cancel != nil {
		p.cancel()
	}
}
