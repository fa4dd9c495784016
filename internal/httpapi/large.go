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
	apps map[string]*appBodies // guarded by mu, by app id; those that have large bodies
}

// appBodies are the large bodies of one app.
type appBodies struct {
	budget  *limit.Budget
	callers int // of large.own; guarded by large.mu
}

// newLarge makes the bounds within total, in which one body of maxBody fits.
func newLarge(total *limit.Budget, maxBody int64) *large {
	if total == nil {
		return nil
	}
	one := int64(bufpool.Room(int(maxBody + 1)))
	return &large{
		all: limit.NewBudget(max(total.Max()/4*3, one)), each: max(total.Max()/2, one), apps: map[string]*appBodies{},
	}
}

// acquire takes n bytes for an app and reports true, or false if there is no room until ctx ends.
func (l *large) acquire(ctx context.Context, appID string, n int64) bool {
	if l == nil {
		return true
	}
	own := l.own(appID)
	defer l.disown(appID, own)
	if !own.budget.Acquire(ctx, n) {
		return false
	}
	if !l.all.Acquire(ctx, n) {
		own.budget.Release(n)
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
	own := l.own(appID)
	defer l.disown(appID, own)
	own.budget.Release(n)
}

// own finds or makes what an app has, which stays until disown.
func (l *large) own(appID string) *appBodies {
	l.mu.Lock()
	defer l.mu.Unlock()
	own := l.apps[appID]
	if own == nil {
		own = &appBodies{budget: limit.NewBudget(l.each)}
		l.apps[appID] = own
	}
	own.callers++
	return own
}

// disown undoes own: when the app has no large body, nothing of it is kept.
func (l *large) disown(appID string, own *appBodies) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if own.callers--; own.callers == 0 && own.budget.Used() == 0 {
		delete(l.apps, appID)
	}
}
