package bench

import (
	"context"
	"math"
	"runtime"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/probe"
)

const (
	// stallTimeout cuts a run whose window stands still: a delivery was lost.
	stallTimeout = 10 * time.Second
	// drainTimeout is how long the last deliveries may take after the last one arrived.
	drainTimeout = 3 * time.Second
	// lead is the time between the order to publish and the first publication.
	lead = 20 * time.Millisecond
)

// FanOut connects, subscribes and publishes: for the warm-up, then for the measurement.
func FanOut(ctx context.Context, o Options) (*Result, error) {
	run, err := Begin(ctx, o, ScenarioFanOut)
	if err != nil {
		return nil, err
	}
	defer run.Stop()
	if err := run.Open(ctx); err != nil {
		return nil, err
	}
	Pause(ctx, run.o.Settle)
	publishers, first, last, err := run.measure(ctx)
	if err != nil {
		return nil, err
	}
	run.drain(ctx, publishers)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if m := run.result.Memory; m != nil {
		m.Settled = run.server.RSS()
	}
	run.account(publishers)
	run.compare(first, last)
	run.Finish(ctx)
	return run.result, nil
}

// measure publishes and takes a reading at either end of the measurement.
func (run *Run) measure(ctx context.Context) (_ []*publisher, first, last reading, err error) {
	clock := run.swarm.clock
	start := clock.now() + int64(lead)
	from := start + int64(run.o.Warmup)
	to := from + int64(run.o.Duration)
	publishers, err := run.publishers(start, from, to)
	if err != nil {
		return nil, first, last, err
	}
	run.result.Delivery = new(Delivery)
	if run.o.Rate > 0 {
		defer reserveProcessors(len(publishers))()
	}
	publishing, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for _, p := range publishers {
		wg.Go(func() { p.run(publishing, ctx) })
	}
	run.await(ctx, from)
	first = run.read(ctx, true)
	run.await(ctx, to)
	last = run.read(ctx, false)
	stop()
	wg.Wait()
	return publishers, first, last, nil
}

// Publish publishes at the rate of the run until stop is called, beside whatever the scenario does.
// Latency counts from the end of the warm-up on. stop waits for the last deliveries and closes
// the books.
func (run *Run) Publish(ctx context.Context) (stop func(), err error) {
	start := run.swarm.clock.now() + int64(lead)
	publishers, err := run.publishers(start, start+int64(run.o.Warmup), math.MaxInt64)
	if err != nil {
		return nil, err
	}
	giveBack := reserveProcessors(len(publishers))
	run.result.Delivery = new(Delivery)
	publishing, end := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for _, p := range publishers {
		wg.Go(func() { p.run(publishing, ctx) }) // ends with stop
	}
	return func() {
		end()
		wg.Wait()
		giveBack()
		run.drain(ctx, publishers)
		run.account(publishers)
	}, nil
}

// reserveProcessors gives the runtime n processors more until the result is called. A
// publisher that sleeps precisely keeps the runtime's processor that it runs on for as long
// as the runtime does not notice, which may be milliseconds. Without one for each of them
// no poller would read what arrives in that time, and the latency measured would be the
// generator's own.
func reserveProcessors(n int) (giveBack func()) {
	before := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(before + n)
	return func() { runtime.GOMAXPROCS(before) }
}

// publishers sets readers and publishers up for what the options want.
func (run *Run) publishers(start, from, to int64) ([]*publisher, error) {
	var p pace
	var w *window
	if run.o.Rate > 0 {
		p = &rate{clock: run.swarm.clock, start: start, perSecond: run.o.Rate, channels: uint64(run.o.Channels)}
	} else {
		w = newWindow(run.o.Window, run.swarm.shares())
		p = &burst{clock: run.swarm.clock, window: w, channels: uint64(run.o.Channels)}
	}
	for i, r := range run.swarm.readers {
		var t *tally
		if w != nil {
			t = w.tally(i)
		}
		r.begin(from, to, t)
	}
	var publishers []*publisher
	for i := range run.o.Publishers {
		one, err := newPublisher(run.swarm, i, p, &run.totals)
		if err != nil {
			return nil, err
		}
		publishers = append(publishers, one)
	}
	return publishers, nil
}

// await waits for a time of the clock, or until the window has stood still too long.
func (run *Run) await(ctx context.Context, at int64) {
	clock, last, moved := run.swarm.clock, uint64(0), run.swarm.clock.now()
	for now := clock.now(); now < at && !run.result.Delivery.Stalled && ctx.Err() == nil; now = clock.now() {
		if step := at - now; step < int64(time.Second) {
			clock.sleepUntil(ctx, at)
			return
		}
		Pause(ctx, time.Second/2)
		if n := run.swarm.snapshot().Received + run.totals.accepted.Load(); n != last {
			last, moved = n, clock.now()
		}
		run.result.Delivery.Stalled = run.o.Rate == 0 && clock.now()-moved > int64(stallTimeout)
	}
}

// reading is everything at one moment of a run.
type reading struct {
	at        int64
	counts    Counts
	accepted  uint64
	server    probe.CPU
	generator probe.CPU
	runtime   probe.Gauges
}

// read takes a reading; the metrics page is read outside of the time that is measured.
func (run *Run) read(ctx context.Context, isFirst bool) reading {
	var r reading
	if isFirst {
		r.runtime, _ = run.server.Runtime(ctx)
	}
	r.at = run.swarm.clock.now()
	r.server = run.server.CPU()
	r.generator, _ = run.self.CPU() // on error it is unknown
	r.counts = run.swarm.snapshot()
	r.accepted = run.totals.accepted.Load()
	if !isFirst {
		r.runtime, _ = run.server.Runtime(ctx)
	}
	return r
}

// drain waits until everything that was accepted has arrived, or nothing arrives any more.
func (run *Run) drain(ctx context.Context, publishers []*publisher) {
	var expected uint64
	for c, n := range run.subscribers() {
		for _, p := range publishers {
			expected += uint64(p.sent[c]) * n
		}
	}
	run.result.Delivery.Expected = expected
	last, moved := uint64(0), time.Now()
	for time.Since(moved) < drainTimeout {
		n := run.swarm.snapshot()
		if n.Unique() >= expected {
			break
		}
		if n.Received != last {
			last, moved = n.Received, time.Now()
		}
		if !Pause(ctx, 10*time.Millisecond) {
			return
		}
	}
	Pause(ctx, 100*time.Millisecond) // what comes now is too much
}

// subscribers counts subscriptions by channel.
func (run *Run) subscribers() []uint64 {
	sum := make([]uint64, run.o.Channels)
	for _, byChannel := range run.swarm.shares() {
		for c, n := range byChannel {
			sum[c] += uint64(n)
		}
	}
	return sum
}

// account closes the books of a run of publishers.
func (run *Run) account(publishers []*publisher) {
	sent := make([][]uint32, run.o.Channels)
	for c := range sent {
		sent[c] = make([]uint32, len(publishers))
		for p := range publishers {
			sent[c][p] = publishers[p].sent[c]
		}
	}
	run.Account(sent)
	latency := NewHistogram()
	for _, r := range run.swarm.readers {
		r.mu.Lock()
		latency.Merge(r.latency)
		r.mu.Unlock()
	}
	basis := "send time"
	if run.o.Rate > 0 {
		basis = BasisIntended
	}
	l := NewLatency(latency, basis)
	run.result.Latency = &l
	run.result.Publishing = run.published(publishers)
}

// Account closes the books: it compares what the connections have received with the number of
// publications that the server has accepted, by channel and publisher, and adds what is missing,
// doubled or out of order to the result.
func (run *Run) Account(sent [][]uint32) {
	if run.result.Delivery == nil {
		run.result.Delivery = new(Delivery)
	}
	d, n := run.result.Delivery, run.swarm.snapshot()
	d.Received, d.Duplicates, d.Late, d.Stray, d.Malformed = n.Received, n.Duplicate, n.Late, n.Stray, n.Malformed
	orders := make([]map[uint64]uint64, run.o.Channels) // by channel: orders seen, how often
	for _, m := range run.swarm.members() {
		m.sub.audit(sent, orders, d)
	}
	for _, seen := range orders {
		var all, most uint64
		for _, n := range seen {
			all, most = all+n, max(most, n)
		}
		d.Divergent += all - most
	}
}

func (run *Run) published(publishers []*publisher) *Publishing {
	lag, acks := NewHistogram(), NewHistogram()
	for _, p := range publishers {
		lag.Merge(p.lag)
		acks.Merge(p.acks)
	}
	return &Publishing{
		Accepted: run.totals.accepted.Load(), Refused: run.totals.refused.Load(), Throttled: run.totals.throttled.Load(),
		Answer: NewLatency(acks, ""), Lag: NewLatency(lag, ""),
	}
}

// compare fills in what the two readings say.
func (run *Run) compare(first, last reading) {
	seconds := float64(last.at-first.at) / 1e9
	deliveries := last.counts.Unique() - first.counts.Unique()
	publishes := last.accepted - first.accepted
	d, p := run.result.Delivery, run.result.Publishing
	d.Measured, d.PerSecond = deliveries, float64(deliveries)/seconds
	p.Measured, p.PerSecond = publishes, float64(publishes)/seconds
	if run.server.HasProcess() {
		used := last.server.Since(first.server).Seconds()
		run.result.CPU = &CPU{
			ServerSeconds: used, ServerPercent: 100 * used / seconds,
			PerDelivery:      1e6 * ratio(used, float64(deliveries)),
			PerPublish:       1e6 * ratio(used, float64(publishes)),
			GeneratorPercent: 100 * last.generator.Since(first.generator).Seconds() / seconds,
		}
	}
	if r := run.result.Runtime; r != nil && first.runtime.Mallocs >= 0 && last.runtime.Mallocs >= 0 {
		mallocs := last.runtime.Mallocs - first.runtime.Mallocs
		perDelivery, perPublish := ratio(mallocs, float64(deliveries)), ratio(mallocs, float64(publishes))
		r.MallocsPerDelivery, r.MallocsPerPublish = &perDelivery, &perPublish
	}
}

// ratio is 0 where nothing was counted.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
