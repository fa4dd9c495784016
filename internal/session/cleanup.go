package session

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/locks"
)

// ErrPanicked is what a Cleaner returns when it panicked.
var ErrPanicked = errors.New("session: it panicked")

// Cleanup is how the effects of connections that end are carried out (pusher 7.8).
// The zero value lets each carry out its own, at once.
type Cleanup struct {
	QueueSize       int           // most connections that wait for a worker; zero: there are no workers
	BatchSize       int           // connections that a worker takes at once; zero: one
	Workers         int           // zero: a quarter of the processors, from 1 to 4
	BreakerFailures int           // more in a row than this open the breaker
	BreakerPause    time.Duration // how long it stays open
}

// maxWorkers bounds the default of Cleanup.Workers.
const maxWorkers = 4

func (o *Cleanup) fill() {
	if o.Workers <= 0 {
		o.Workers = min(max(runtime.GOMAXPROCS(0)/4, 1), maxWorkers)
	}
	o.BatchSize = max(o.BatchSize, 1)
}

// Cleaner is a session whose connection is dead, and which nothing calls any more.
type Cleaner interface {
	// CleanUp carries out every effect of the end on others and then removes the session from
	// the list. It is called once, and does not panic. An error means that subscribers or webhooks
	// were not told of an effect, which has happened all the same.
	CleanUp() error
}

// inlineReason says why a connection carried out its own effects; a metric's label.
type inlineReason string

const (
	inlineStopped inlineReason = "stopped" // there are no workers: turned off, or not running
	inlineFull    inlineReason = "full"
	inlineBreaker inlineReason = "breaker"
)

// cleanup carries out the effects of ended connections on a few workers, so that many ends at once
// leave the processors to the open connections.
//
// A worker or the connection itself makes the same call, Cleaner.CleanUp, and makes it exactly once.
// Nothing is dropped: a connection that finds no place in the queue makes the call itself. Ends
// have no order among each other.
type cleanup struct {
	r *Table  // immutable
	o Cleanup // immutable

	signal   chan struct{} // a token for each worker that may have something to do
	failures limit.Sampler

	mu        locks.Mutex
	isRunning bool      // there are workers; guarded by mu, as all below
	waiting   []Cleaner // from head on, oldest first
	head      int
	breaker   breaker
}

func (c *cleanup) init(r *Table, o Cleanup) {
	o.fill()
	c.r, c.o, c.signal = r, o, make(chan struct{}, o.Workers)
	c.breaker = breaker{max: o.BreakerFailures, pause: o.BreakerPause}
}

// Run carries out the effects of connections that have ended until ctx ends, and then those
// that still wait. Whatever ends later does it by itself, as does what ends before. It is
// called once.
func (r *Table) Run(ctx context.Context) error {
	c := &r.cleanup
	if c.o.QueueSize <= 0 {
		return nil
	}
	c.mu.Lock()
	c.isRunning = true
	c.mu.Unlock()
	stop := make(chan struct{})
	var workers sync.WaitGroup
	for range c.o.Workers {
		workers.Go(func() { c.work(stop) }) // ends with stop
	}
	<-ctx.Done()
	c.mu.Lock()
	c.isRunning = false // nothing is put into the queue from now on
	c.mu.Unlock()
	close(stop)
	workers.Wait()
	return nil
}

// CleanUp carries out the effects of the end of l, whose place Ended has freed: by a worker,
// if there is room for it, or before it returns.
func (f *Group) CleanUp(l Cleaner) { f.cleanup.accept(l) }

func (c *cleanup) accept(l Cleaner) {
	reason, isQueued := c.put(l)
	if isQueued {
		select {
		case c.signal <- struct{}{}:
		default: // each worker has a token already
		}
		return
	}
	c.r.o.Metrics.inline.WithLabelValues(string(reason)).Inc()
	if err := l.CleanUp(); err != nil {
		c.failed(err)
	}
}

// put finds l a place in the queue, or says why there is none.
func (c *cleanup) put(l Cleaner) (inlineReason, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !c.isRunning:
		return inlineStopped, false
	case len(c.waiting)-c.head >= c.o.QueueSize:
		return inlineFull, false
	case !c.breaker.admits(c.r.o.Now()): // last, because it may admit a trial
		return inlineBreaker, false
	}
	c.waiting = append(c.waiting, l)
	c.r.o.Metrics.waiting.Inc()
	return "", true
}

// work takes batches until stop is closed, and then the rest of the queue.
func (c *cleanup) work(stop <-chan struct{}) {
	batch := make([]Cleaner, 0, c.o.BatchSize)
	for {
		if batch = c.take(batch[:0]); len(batch) > 0 {
			c.do(batch)
			c.giveWay(stop)
			continue
		}
		select {
		case <-c.signal:
		case <-stop:
			if batch = c.take(batch[:0]); len(batch) == 0 {
				return
			}
			c.do(batch)
		}
	}
}

// maxSpareQueue is the room for sessions that an empty queue keeps.
const maxSpareQueue = 1 << 10

// take moves the oldest into batch, as many as fit.
func (c *cleanup) take(batch []Cleaner) []Cleaner {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(len(c.waiting)-c.head, cap(batch))
	taken := c.waiting[c.head : c.head+n]
	batch = append(batch, taken...)
	clear(taken)
	if c.head += n; c.head == len(c.waiting) {
		if c.head = 0; cap(c.waiting) > maxSpareQueue {
			c.waiting = nil
		}
		c.waiting = c.waiting[:0]
	} else if c.head >= c.o.QueueSize { // it is never quite empty: do not grow for ever
		left := copy(c.waiting, c.waiting[c.head:])
		clear(c.waiting[left:])
		c.waiting, c.head = c.waiting[:left], 0
	}
	return batch
}

// batchPause is the time between two batches of a worker, in which other connections are served.
// Yielding to runnable goroutines would not do, because the runtime looks for arrived packets only
// when it has nothing to run. The pause also lets batches grow while many connections end, so that
// the notices to others take fewer writes.
const batchPause = 2 * time.Millisecond

// giveWay waits for batchPause, unless stop is closed.
func (c *cleanup) giveWay(stop <-chan struct{}) {
	t := time.NewTimer(batchPause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-stop:
	}
}

// do carries out a batch.
func (c *cleanup) do(batch []Cleaner) {
	m := c.r.o.Metrics
	for i, l := range batch {
		err := l.CleanUp()
		batch[i] = nil
		m.waiting.Dec()
		c.done(err)
		if err != nil {
			c.failed(err)
		}
	}
	m.batches.Inc()
}

// done lets the breaker know how a worker's call went.
func (c *cleanup) done(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.breaker.done(err == nil, c.r.o.Now())
	c.r.o.Metrics.breakerOpen.Set(c.breaker.gauge())
}

// failed counts a failure, and says so once per second at most.
func (c *cleanup) failed(err error) {
	c.r.o.Metrics.cleanupFailures.Inc()
	if skipped, ok := c.failures.Pass(c.r.o.Now()); ok {
		c.r.o.Log.Error("cleanup failed", "err", err, "more_since_last", skipped)
	}
}

// breaker keeps work away from workers that fail all the time. Its owner locks it.
type breaker struct {
	max   int // failures in a row; immutable
	pause time.Duration

	failures int
	state    breakerState
	until    time.Time // while open
}

type breakerState uint8

const (
	breakerClosed breakerState = iota
	breakerOpen                // nothing is admitted until the pause is over
	breakerTrial               // one was admitted after it, and is not done
)

// admits reports whether the workers get one more. After the pause the one that it admits
// decides.
func (b *breaker) admits(now time.Time) bool {
	switch b.state {
	case breakerOpen:
		if now.Before(b.until) {
			return false
		}
		b.state = breakerTrial
		return true
	case breakerTrial:
		return false
	case breakerClosed:
	}
	return true
}

// done takes the outcome of one that was admitted. What was admitted before the breaker
// opened says nothing while it is open.
func (b *breaker) done(isGood bool, now time.Time) {
	switch {
	case b.state == breakerOpen:
		return
	case isGood:
		b.state, b.failures = breakerClosed, 0
		return
	}
	if b.failures++; b.failures > b.max || b.state == breakerTrial {
		b.state, b.until = breakerOpen, now.Add(b.pause)
	}
}

func (b *breaker) gauge() float64 {
	if b.state == breakerClosed {
		return 0
	}
	return 1
}
