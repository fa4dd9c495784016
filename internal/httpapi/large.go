package httpapi

import (
	"context"

	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/locks"
)

// large bounds the bodies above firstRead within the budget of all bodies: all of them together, so
// that senders who announce much and send it slowly leave room for usual publishes, and the bodies
// of one app, so that they leave room for other apps. A nil large bounds nothing.
type large struct {
	all  *limit.Budget
	each int64 // bytes of one app; immutable

	mu   locks.Mutex
	apps map[string]*limit.Budget // guarded by mu, by app id
}

// newLarge makes the bounds within total, in which one body of maxBody fits.
func newLarge(total *limit.Budget, maxBody int64) *large {
	if total == nil {
		return nil
	}
	one := int64(bufpool.Room(int(maxBody + 1)))
	return &large{
		all: limit.NewBudget(max(total.Max()/4*3, one)), each: max(total.Max()/2, one), apps: map[string]*limit.Budget{},
	}
}

// acquire takes n bytes for an app and reports true, or false if there is no room until ctx ends.
func (l *large) acquire(ctx context.Context, appID string, n int64) bool {
	if l == nil {
		return true
	}
	own := l.of(appID)
	if !own.Acquire(ctx, n) {
		return false
	}
	if !l.all.Acquire(ctx, n) {
		own.Release(n)
		return false
	}
	return true
}

// release gives n bytes of an app back.
func (l *large) release(appID string, n int64) {
	if l == nil {
		return
	}
	l.all.Release(n)
	l.of(appID).Release(n)
}

func (l *large) of(appID string) *limit.Budget {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.apps[appID]
	if b == nil {
		b = limit.NewBudget(l.each)
		l.apps[appID] = b
	}
	return b
}
