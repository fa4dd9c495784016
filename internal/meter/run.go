package meter

import (
	"context"
	"time"
)

const (
	spoolAfter = 3                // attempts
	maxWait    = 64 * time.Second // between attempts
	lastWords  = 5 * time.Second  // for what has no spool, at the end
)

// delivery is owned by Run.
type delivery struct {
	*Meter
	failed   *batch // tried without success; it is sent before any other
	attempts int    // of failed
	retry    *time.Timer
	isDown   bool // the last attempt of all failed
}

// Run delivers until ctx ends. Then it spools what was not delivered; without a spool it tries
// once more, for a few seconds, and drops the rest. Events that come later are dropped.
func (m *Meter) Run(ctx context.Context) error {
	d := &delivery{Meter: m, retry: time.NewTimer(0)}
	<-d.retry.C
	defer d.retry.Stop()
	tick := time.NewTicker(m.o.Interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			d.finish(ctx)
			return nil
		case <-m.wake:
			d.flush(ctx, m.o.BatchSize)
		case <-tick.C:
			d.flush(ctx, 1)
			d.unspool(ctx)
		case <-d.retry.C:
			d.attempt(ctx)
			d.flush(ctx, m.o.BatchSize)
		}
	}
}

// flush sends batches while at least so many events wait and nothing fails.
func (d *delivery) flush(ctx context.Context, atLeast int) {
	for d.failed == nil && ctx.Err() == nil {
		b := d.take(atLeast)
		if b == nil {
			return
		}
		d.failed, d.attempts = b, 0
		d.attempt(ctx)
	}
}

// attempt sends the failed batch, and decides what becomes of it if that fails again.
func (d *delivery) attempt(ctx context.Context) {
	if d.emit(ctx, d.failed.json()) {
		d.failed = nil
		return
	}
	if d.attempts++; d.spool != nil && d.attempts >= spoolAfter && d.store(d.failed) {
		d.failed = nil
		// The endpoint is down: what waits behind would only overflow the queue.
		for b := d.takeFull(); b != nil; b = d.takeFull() {
			if !d.store(b) {
				d.drop(b, dropSpoolFailed)
				return
			}
		}
		return
	}
	d.retry.Reset(min(time.Second<<min(d.attempts, 10), maxWait))
}

// emit reports success. It logs when that changes, not each time.
func (d *delivery) emit(ctx context.Context, body []byte) bool {
	err := d.o.Emitter.Emit(ctx, body)
	if err == nil {
		d.o.Metrics.batches.Inc()
		if d.isDown {
			d.o.Log.Info("usage events are delivered again")
		}
		d.isDown = false
		return true
	}
	if ctx.Err() != nil {
		return false // stopping is no failure
	}
	d.o.Metrics.failures.Inc()
	if !d.isDown {
		d.o.Log.Warn("usage events cannot be delivered, trying again", "err", err)
	}
	d.isDown = true
	return false
}

// store spools a batch and reports whether it could.
func (d *delivery) store(b *batch) bool {
	err := d.spool.write(b.json(), d.o.Now())
	if err != nil {
		d.o.Log.Error("usage events cannot be spooled", "events", b.events, "err", err)
		return false
	}
	d.o.Metrics.spooled.Inc()
	return true
}

func (d *delivery) drop(b *batch, reason dropReason) {
	d.o.Metrics.dropped.WithLabelValues(string(reason)).Add(float64(b.events))
}

// unspool sends the oldest file, unless something newer waits for a retry.
func (d *delivery) unspool(ctx context.Context) {
	if d.spool == nil || d.failed != nil || ctx.Err() != nil {
		return
	}
	name, body, err := d.spool.oldest()
	if err == nil && name != "" && d.emit(ctx, body) {
		err = d.spool.remove(name)
	}
	if err != nil {
		d.o.Log.Error("spooled usage events cannot be sent", "err", err)
	}
}

func (d *delivery) finish(ctx context.Context) {
	rest := d.end()
	if d.failed != nil {
		rest = append([]*batch{d.failed}, rest...)
		d.failed = nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	canEmit := d.spool == nil
	for _, b := range rest {
		switch {
		case d.spool != nil:
			if !d.store(b) {
				d.drop(b, dropSpoolFailed)
			}
		case canEmit:
			if canEmit = d.emit(ctx, b.json()); !canEmit {
				d.drop(b, dropShutdown)
			}
		default:
			d.drop(b, dropShutdown)
		}
	}
}
