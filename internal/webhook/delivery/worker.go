package delivery

import (
	"context"
	"time"

	"github.com/millrace/millrace/internal/webhook"
)

const (
	// slow is how long a request of a healthy endpoint takes at most: slower ones share their permits
	// with requests to endpoints that fail.
	slow = time.Second
	// idleWait is how long a worker waits that will be woken.
	idleWait = time.Hour
)

// work sends until nothing waits. It is the worker of the queue.
func (q *Queue) work(ctx context.Context) {
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

// next finds the batch to send now, or else how long to wait. Neither means that nothing waits, and
// that the worker has ended.
func (q *Queue) next(ctx context.Context) (b *Batch, wait time.Duration) {
	q.mu.Lock()
	isRetired := q.isRetired
	if !isRetired && ctx.Err() == nil {
		b, wait = q.frontLocked(q.sender.o.Now())
	}
	q.isRunning = b != nil || wait > 0
	q.mu.Unlock()
	if isRetired {
		q.clear()
	}
	return b, wait
}

// frontLocked finds the first batch if its time has come, or else how long to wait.
func (q *Queue) frontLocked(now time.Time) (*Batch, time.Duration) {
	for len(q.batches) > 0 {
		b := q.batches[0]
		if !b.isClosed {
			if wait := b.ready.Add(q.settings.duration).Sub(now); wait > 0 && !q.sender.isDraining.Load() {
				return nil, wait
			}
			b.isClosed = true
		}
		if !b.isStored {
			return nil, idleWait // the writer says when
		}
		if b.attempts == 0 && q.isBroken() && now.Sub(b.ready) > q.settings.maxElapsed {
			q.giveUpLocked(b, webhook.ReasonExpired, now)
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
		if q.sender.isDraining.Load() && q.sender.o.IsDurable {
			return nil, 0 // the next process goes on
		}
		return nil, wait
	}
	return nil, 0
}

// attempt sends b once.
func (q *Queue) attempt(ctx context.Context, b *Batch) {
	q.mu.Lock()
	s := q.settings
	isSuspect := q.failures > 0 || q.isSlow
	q.mu.Unlock()
	release, err := q.sender.permits.acquire(ctx, isSuspect)
	if err != nil {
		return
	}
	defer release()
	request, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if !q.begin(b, cancel) {
		return
	}
	start := q.sender.o.Now()
	failure := q.sender.send(request, s, q.app, b)
	now := q.sender.o.Now()
	q.sender.o.Metrics.requests.Observe(now.Sub(start).Seconds())

	q.mu.Lock()
	q.cancel = nil
	q.isSlow = now.Sub(start) > slow
	switch {
	case failure == nil:
		q.succeedLocked(b, now)
	case ctx.Err() != nil || q.isRetired || q.settings.url != s.url: // stopping is no failure, nor is a failure at an earlier URL
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
func (q *Queue) begin(b *Batch, cancel context.CancelFunc) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.isRetired {
		return false
	}
	q.cancel = cancel
	if b.attempts > 0 {
		q.sender.o.Metrics.retries.Inc()
	} else if b.first = q.sender.o.Now(); q.isBroken() {
		b.first = b.ready // its time runs since it waits for the endpoint to come back
	}
	return true
}

func (q *Queue) succeedLocked(b *Batch, now time.Time) {
	q.mendLocked()
	q.dropLocked()
	q.sender.o.Metrics.sent.Add(float64(b.count))
	q.sender.o.Metrics.delay.Observe(max(0, float64(now.UnixMilli()-b.time)/1000))
	q.sender.to.Done(b.number)
}

func (q *Queue) failLocked(b *Batch, s *Settings, f *failure, now time.Time) {
	b.attempts++
	q.failures++
	q.lastError = f.Error()
	q.retryAt = now.Add(s.backoff(q.failures))
	b.retryAt = now.Add(s.backoff(b.attempts))
	if q.isBroken() {
		b.retryAt = q.retryAt
	}
	if q.failures == breakAfter {
		q.sender.o.Metrics.broken.Inc()
	}
	q.sender.o.Metrics.failed.WithLabelValues(string(f.reason)).Inc()
	switch {
	case !s.isRetrying:
		q.giveUpLocked(b, webhook.ReasonNoRetry, now)
	case s.maxAttempts > 0 && b.attempts >= s.maxAttempts:
		q.giveUpLocked(b, webhook.ReasonMaxAttempts, now)
	case b.retryAt.Sub(b.first) > s.maxElapsed:
		q.giveUpLocked(b, webhook.ReasonMaxElapsed, now)
	}
}

// giveUpLocked makes a dead letter of b, which is the first batch.
func (q *Queue) giveUpLocked(b *Batch, why webhook.Reason, now time.Time) {
	q.dropLocked()
	q.sender.to.Dead(q.letter(b, why, q.lastError, now))
}

// report logs when the breaker opens and closes, not each failure.
func (q *Queue) report(f *failure, isBroken bool) {
	log := q.sender.o.Log.With("app", q.app, "webhook", q.id)
	if q.lane == webhook.LaneEncrypted {
		log = log.With("channels", webhook.EncryptedPrefix)
	}
	switch {
	case f != nil && isBroken && q.lane == webhook.LaneEncrypted && q.isReported.CompareAndSwap(false, true):
		log.Warn("webhook endpoint fails for events of encrypted channels, sending fewer of them", "err", f,
			"hint", "some libraries, those in PHP and Go among them, cannot read these; leave them out with channel_exclude = [\""+webhook.EncryptedPrefix+"\"]")
	case f != nil && isBroken && q.isReported.CompareAndSwap(false, true):
		log.Warn("webhook endpoint fails, sending less to it", "err", f)
	case f == nil && q.isReported.CompareAndSwap(true, false):
		log.Info("webhook endpoint works again")
	case f != nil:
		log.Debug("webhook request failed", "err", f)
	}
}
