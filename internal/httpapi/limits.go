package httpapi

import (
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/locks"
	"github.com/millrace/millrace/internal/problem"
)

// limits counts publishes and reads per app and second (pusher 7.1). Only apps
// that have such a limit are counted. The zero value is ready; safe for concurrent use.
type limits struct {
	mu   locks.Mutex
	apps map[string]*usage // guarded by mu, by app id
}

// usage of one app, guarded by limits.mu.
type usage struct{ events, reads limit.Window }

// check counts a read, or sees whether a publish has any chance: what it costs is known
// only when its body has been read, see spend.
func (l *limits) check(a *app.App, publish bool, now time.Time) *problem.Problem {
	perSecond := a.Limits.MaxReadRequestsPerSecond
	if publish {
		perSecond = a.Limits.MaxBackendEventsPerSecond
	}
	if perSecond <= 0 {
		return nil
	}
	l.mu.Lock()
	u := l.usageLocked(a)
	ok := publish && u.events.Left(now, perSecond, time.Second) > 0 ||
		!publish && u.reads.Allow(now, perSecond, time.Second)
	l.mu.Unlock()
	if ok {
		return nil
	}
	if publish {
		return failEvents()
	}
	return problem.New(problem.RateLimited, "Too many requests per second for this app").Because(causeAppRequests)
}

// spend counts n events, one for each target channel, all or none.
func (l *limits) spend(a *app.App, n int, now func() time.Time) *problem.Problem {
	perSecond := a.Limits.MaxBackendEventsPerSecond
	if perSecond <= 0 {
		return nil
	}
	l.mu.Lock()
	ok := l.usageLocked(a).events.AllowN(now(), n, perSecond, time.Second)
	l.mu.Unlock()
	if !ok {
		return failEvents()
	}
	return nil
}

func failEvents() *problem.Problem {
	return problem.New(problem.RateLimited, "Too many events per second for this app; each target channel counts as one").Because(causeAppEvents)
}

func (l *limits) usageLocked(a *app.App) *usage {
	u := l.apps[a.ID]
	if u == nil {
		if l.apps == nil {
			l.apps = map[string]*usage{}
		}
		u = new(usage)
		l.apps[a.ID] = u
	}
	return u
}
