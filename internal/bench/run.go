package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/millrace/millrace/internal/probe"
)

// Run is one run of the generator: its connections, the server as it is seen from beside it, and
// a result that is being written. A scenario of the caller's own begins with [Begin], opens the
// connections, does what it is about, and ends with Finish and Stop. Its methods are for one
// goroutine.
type Run struct {
	o      Options
	swarm  *swarm
	server *probe.Server
	self   probe.Process
	result *Result
	totals publishTotals
	stop   func() // ends the swarm and the progress line and joins them
}

// Begin starts a run; scenario is what its result is called. The caller must call Stop.
func Begin(ctx context.Context, o Options, scenario string) (*Run, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	run := &Run{o: o, self: probe.Self(), result: o.result(scenario)}
	var missing []error
	run.server, missing = probe.Find(ctx, probe.Where{URL: o.URL, PID: o.ServerPID, MetricsURL: o.MetricsURL})
	for _, err := range missing {
		run.result.Unmeasured = append(run.result.Unmeasured, err.Error())
	}
	swarm, wait, err := newSwarm(ctx, o)
	if err != nil {
		cancel()
		return nil, err
	}
	run.swarm = swarm
	done := make(chan struct{})
	go func() { // ends with ctx
		defer close(done)
		run.progress(ctx)
	}()
	run.stop = func() {
		run.swarm.isClosing.Store(true)
		cancel()
		wait()
		<-done
		run.server.Close()
	}
	return run, nil
}

// Stop ends the run and everything that it has started. Connections that are still open are cut.
func (run *Run) Stop() { run.stop() }

// Open opens every connection and fills in what belongs to that. Connections that could not be
// opened are in the result; it is an error if none could.
func (run *Run) Open(ctx context.Context) error {
	before := run.server.Goroutines(ctx)
	memory := &Memory{Before: run.server.RSS()}
	run.result.Opening = run.swarm.connect(ctx)
	run.result.Complaints = run.swarm.complaints.list()
	if err := ctx.Err(); err != nil {
		return err
	}
	if run.result.Opening.Opened == 0 {
		return fmt.Errorf("no connection could be opened%s; see that a server runs at the URL, and that it has the app", firstOf(run.result.Complaints))
	}
	if memory.Connected = run.server.RSS(); memory.Before > 0 {
		memory.Settled = memory.Connected
		run.result.Memory = memory
	}
	if run.server.HasPage() {
		run.result.Runtime = &Runtime{GoroutinesBefore: before, GoroutinesConnected: run.server.Goroutines(ctx)}
	}
	return nil
}

// Finish writes down what was counted all along and closes the connections as a client does.
func (run *Run) Finish(ctx context.Context) {
	run.result.Dropped = int(run.swarm.dropped.Load())
	run.result.Complaints = run.swarm.complaints.list()
	_ = run.swarm.disconnect(ctx) // what is left then is cut
}

// Options are what the run was begun with, and the defaults of the rest.
func (run *Run) Options() Options { return run.o }

// Server is the server as seen from beside it.
func (run *Run) Server() *probe.Server { return run.server }

// Result is what was measured so far.
func (run *Run) Result() *Result { return run.result }

// AppendPayload appends the payload of a publisher's event number seq on a channel, due now, which
// holds no place in a window. For a scenario that publishes by itself.
func (run *Run) AppendPayload(dst []byte, channel, publisher, seq uint32) []byte {
	s := stamp{channel: channel, publisher: publisher, slot: noSlot, seq: seq, at: run.swarm.clock.now()}
	return appendStamp(dst, run.swarm.mark, s, run.o.Payload)
}

// Counts says what all connections have received so far.
func (run *Run) Counts() Counts { return run.swarm.snapshot() }

// Snapshot is the size of what one connection was sent when it subscribed to its views.
func (run *Run) Snapshot() SnapshotSize {
	for _, m := range run.swarm.members() {
		return m.sub.initial
	}
	return SnapshotSize{}
}

// TakeLatency is what was measured since the last call. Of a publication, the deliveries that have
// arrived by then count.
func (run *Run) TakeLatency() *hdrhistogram.Histogram {
	sum := NewHistogram()
	for _, r := range run.swarm.readers {
		r.mu.Lock()
		sum.Merge(r.latency)
		r.latency.Reset()
		r.mu.Unlock()
	}
	return sum
}

// Pause waits for d. False means that ctx ended first.
func Pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
