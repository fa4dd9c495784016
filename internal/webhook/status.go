package webhook

import (
	"fmt"
	"time"
)

// Status is how an endpoint does.
type Status struct {
	Endpoint  string
	Events    int       // that wait
	Bytes     int       // of them
	Oldest    time.Time // when the oldest of them happened; zero without any
	Failures  int       // in a row
	IsBroken  bool      // the breaker is open: it fails again and again
	LastError string    // of these failures
	RetryAt   time.Time // when it is tried again; zero when it does not fail
}

// Status tells how the endpoints of an app do, in the order in which they were set.
func (e *Engine) Status(app string) []Status {
	r := e.routesOf(app)
	if r == nil {
		return nil
	}
	all := make([]Status, len(r.targets))
	for i := range r.targets {
		all[i] = r.targets[i].lanes.status()
	}
	return all
}

func (q *queue) status() Status {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := Status{
		Endpoint: q.id, Events: q.events, Bytes: q.bytes,
		Failures: q.failures, IsBroken: q.isBroken(), LastError: q.lastError,
	}
	if len(q.batches) > 0 {
		s.Oldest = time.UnixMilli(q.batches[0].time)
		s.RetryAt = q.batches[0].retryAt
		if s.RetryAt.IsZero() && q.isBroken() {
			s.RetryAt = q.retryAt
		}
	}
	return s
}

// errLost says what an end without a store has cost.
func errLost(events int) error {
	return fmt.Errorf("webhook: %d events were not delivered and are not stored", events)
}
