package webhook

import (
	"context"
	"time"
)

// slow is how long a request of a healthy endpoint takes at most: longer ones share the
// permits of those that fail.
const slow = time.Second

// work sends until nothing waits. It is the worker of the queue.
func (q *queue) work(ctx context.Context) {
	timer := time.NewTimer(idleWait)
	defer timer.Stop()
	for {
		b, wait := q.next(ctx)
		if b != nil {
			q.attempt(ctx, b)
			continue
		}
		if wait == 0 {
			return
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-q.wake:
		case <-ctx.Done():
		}
	}
}

// next is the batch to send now, or else how long to wait; zero is for ever: the worker is no
// more.
func (q *queue) next(ctx context.Context) (b *batch, wait time.Duration) {
	q.mu.Lock()
	isRetired := q.isRetired
	if !isRetired && ctx.Err() == nil {
		b, wait = q.frontLocked(q.o.Now())
	}
	q.isRunning = b != nil || wait > 0
	q.mu.Unlock()
	if isRetired {
		q.clear()
	}
	return b, wait
}

// frontLocked is the first batch if its time has come, or else when to look again.
func (q *queue) frontLocked(now time.Time) (*batch, time.Duration) {
	for len(q.batches) > 0 {
		b := q.batches[0]
		if !b.isClosed {
			if wait := b.ready.Add(q.settings.duration).Sub(now); wait > 0 && !q.isDraining.Load() {
				return nil, wait
			}
			b.isClosed = true
		}
		if !b.isStored {
			return nil, idleWait // the writer says when
		}
		if b.attempts == 0 && q.isBroken() && now.Sub(b.ready) > q.settings.maxElapsed {
			q.giveUpLocked(b, ReasonExpired, now)
			continue
		}
		var wait time.Duration
		switch {
		case b.attempts > 0:
			wait = b.retryAt.Sub(now)
		case q.isBroken():
			wait = q.retryAt.Sub(now)
		}
		if wait <= 0 {
			return b, 0
		}
		if q.isDraining.Load() && q.isDurable() {
			return nil, 0 // the next process goes on
		}
		return nil, wait
	}
	return nil, 0
}

// attempt sends b once.
func (q *queue) attempt(ctx context.Context, b *batch) {
	q.mu.Lock()
	s := q.settings
	isSuspect := q.failures > 0 || q.isSlow
	q.mu.Unlock()
	release, err := q.permits.acquire(ctx, isSuspect)
	if err != nil {
		return
	}
	defer release()
	request, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if !q.begin(b, cancel) {
		return
	}
	start := q.o.Now()
	failure := q.send(request, s, q.app, b)
	now := q.o.Now()
	q.o.Metrics.requests.Observe(now.Sub(start).Seconds())

	q.mu.Lock()
	q.cancel = nil
	q.isSlow = now.Sub(start) > slow
	switch {
	case failure == nil:
		q.succeedLocked(b, now)
	case ctx.Err() != nil || q.isRetired || q.settings.url != s.url: // stopping is no failure, nor is that of another URL
		q.mu.Unlock()
		return
	default:
		q.failLocked(b, s, failure, now)
	}
	isBroken := q.isBroken()
	q.mu.Unlock()
	q.report(failure, isBroken)
}

// begin notes the first attempt and how to cancel this one; false when the endpoint was
// removed.
func (q *queue) begin(b *batch, cancel context.CancelFunc) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.isRetired {
		return false
	}
	q.cancel = cancel
	if b.attempts > 0 {
		q.o.Metrics.retries.Inc()
	} else if b.first = q.o.Now(); q.isBroken() {
		b.first = b.ready // its time runs since it waits for the endpoint to come back
	}
	return true
}

func (q *queue) succeedLocked(b *batch, now time.Time) {
	q.mendLocked()
	q.dropLocked()
	q.o.Metrics.sent.Add(float64(b.count))
	q.o.Metrics.delay.Observe(max(0, float64(now.UnixMilli()-b.time)/1000))
	q.outbox.done(b.number)
}

func (q *queue) failLocked(b *batch, s *settings, f *failure, now time.Time) {
	b.attempts++
	q.failures++
	q.lastError = f.Error()
	q.retryAt = now.Add(s.backoff(q.failures))
	b.retryAt = now.Add(s.backoff(b.attempts))
	if q.isBroken() {
		b.retryAt = q.retryAt
	}
	if q.failures == breakAfter {
		q.o.Metrics.broken.Inc()
	}
	q.o.Metrics.failed.WithLabelValues(string(f.reason)).Inc()
	switch {
	case !s.isRetrying:
		q.giveUpLocked(b, ReasonNoRetry, now)
	case s.maxAttempts > 0 && b.attempts >= s.maxAttempts:
		q.giveUpLocked(b, ReasonMaxAttempts, now)
	case b.retryAt.Sub(b.first) > s.maxElapsed:
		q.giveUpLocked(b, ReasonMaxElapsed, now)
	}
}

// giveUpLocked makes a dead letter of b, the first batch.
func (q *queue) giveUpLocked(b *batch, why Reason, now time.Time) {
	q.dropLocked()
	q.outbox.bury(b.letter(q.app, q.id, why, q.lastError, now))
}

// report logs when the breaker opens and closes, not each failure.
func (q *queue) report(f *failure, isBroken bool) {
	log := q.o.Log.With("app", q.app, "webhook", q.id)
	if q.lane == laneEncrypted {
		log = log.With("channels", encryptedPrefix)
	}
	switch {
	case f != nil && isBroken && q.lane == laneEncrypted && q.isReported.CompareAndSwap(false, true):
		log.Warn("webhook endpoint fails for events of encrypted channels, sending fewer of them", "err", f,
			"hint", "some libraries, those in PHP and Go among them, cannot read these; leave them out with channel_exclude = [\""+encryptedPrefix+"\"]")
	case f != nil && isBroken && q.isReported.CompareAndSwap(false, true):
		log.Warn("webhook endpoint fails, sending less to it", "err", f)
	case f == nil && q.isReported.CompareAndSwap(true, false):
		log.Info("webhook endpoint works again")
	case f != nil:
		log.Debug("webhook request failed", "err", f)
	}
}
