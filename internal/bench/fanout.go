package bench

import (
	"context"
	"runtime"
	"sync"
	"time"
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
	s, err := begin(ctx, o, ScenarioFanOut)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	pause(ctx, s.o.Settle)
	publishers, first, last, err := s.measure(ctx)
	if err != nil {
		return nil, err
	}
	s.drain(ctx, publishers)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if m := s.result.Memory; m != nil {
		m.Settled = s.target.rss()
	}
	s.account(publishers)
	s.compare(first, last)
	s.finish(ctx)
	return s.result, nil
}

// measure publishes and takes a reading at either end of the measurement.
func (s *session) measure(ctx context.Context) (_ []*publisher, first, last reading, err error) {
	clock := s.swarm.clock
	start := clock.now() + int64(lead)
	from := start + int64(s.o.Warmup)
	to := from + int64(s.o.Duration)
	publishers, err := s.publishers(start, from, to)
	if err != nil {
		return nil, first, last, err
	}
	s.result.Delivery = new(Delivery)
	if s.o.Rate > 0 {
		defer reserveProcessors(len(publishers))()
	}
	publishing, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for _, p := range publishers {
		wg.Go(func() { p.run(publishing, ctx) })
	}
	s.await(ctx, from)
	first = s.read(ctx, true)
	s.await(ctx, to)
	last = s.read(ctx, false)
	stop()
	wg.Wait()
	return publishers, first, last, nil
}

// reserveProcessors gives the runtime n processors more until the result is called. A
// publisher that sleeps precisely keeps the runtime's processor that it runs on for as long
// as the runtime does not notice, which may be milliseconds. Without one for each of them
// nobody would read what arrives meanwhile, and the latency measured would be the
// generator's own.
func reserveProcessors(n int) (giveBack func()) {
	before := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(before + n)
	return func() { runtime.GOMAXPROCS(before) }
}

// publishers sets readers and publishers up for what the options want.
func (s *session) publishers(start, from, to int64) ([]*publisher, error) {
	var p pace
	var w *window
	if s.o.Rate > 0 {
		p = &rate{clock: s.swarm.clock, start: start, perSecond: s.o.Rate, channels: uint64(s.o.Channels)}
	} else {
		w = newWindow(s.o.Window, s.swarm.shares())
		p = &burst{clock: s.swarm.clock, window: w, channels: uint64(s.o.Channels)}
	}
	for i, r := range s.swarm.readers {
		var t *tally
		if w != nil {
			t = w.tally(i)
		}
		r.begin(from, to, t)
	}
	var publishers []*publisher
	for i := range s.o.Publishers {
		one, err := newPublisher(s.swarm, i, p, &s.totals)
		if err != nil {
			return nil, err
		}
		publishers = append(publishers, one)
	}
	return publishers, nil
}

// await waits for a time of the clock, or until the window has stood still too long.
func (s *session) await(ctx context.Context, at int64) {
	clock, last, moved := s.swarm.clock, uint64(0), s.swarm.clock.now()
	for now := clock.now(); now < at && !s.result.Delivery.Stalled && ctx.Err() == nil; now = clock.now() {
		if step := at - now; step < int64(time.Second) {
			clock.sleepUntil(ctx, at)
			return
		}
		pause(ctx, time.Second/2)
		if n := s.swarm.snapshot().received + s.totals.accepted.Load(); n != last {
			last, moved = n, clock.now()
		}
		s.result.Delivery.Stalled = s.o.Rate == 0 && clock.now()-moved > int64(stallTimeout)
	}
}

// read takes a reading; the metrics page is read outside of the time that is measured.
func (s *session) read(ctx context.Context, isFirst bool) reading {
	var r reading
	if isFirst {
		r.runtime, _ = s.target.scrape(ctx)
	}
	r.at = s.swarm.clock.now()
	if s.target.proc != nil {
		r.server, _ = s.target.proc.cpu()
	}
	r.generator, _ = s.target.self.cpu()
	r.counts = s.swarm.snapshot()
	r.accepted = s.totals.accepted.Load()
	if !isFirst {
		r.runtime, _ = s.target.scrape(ctx)
	}
	return r
}

// drain waits until everything that was accepted has arrived, or nothing arrives any more.
func (s *session) drain(ctx context.Context, publishers []*publisher) {
	var expected uint64
	for c, n := range s.subscribers() {
		for _, p := range publishers {
			expected += uint64(p.sent[c]) * n
		}
	}
	s.result.Delivery.Expected = expected
	last, moved := uint64(0), time.Now()
	for time.Since(moved) < drainTimeout {
		n := s.swarm.snapshot()
		if n.unique() >= expected {
			break
		}
		if n.received != last {
			last, moved = n.received, time.Now()
		}
		if !pause(ctx, 10*time.Millisecond) {
			return
		}
	}
	pause(ctx, 100*time.Millisecond) // what comes now is too much
}

// subscribers counts subscriptions by channel.
func (s *session) subscribers() []uint64 {
	sum := make([]uint64, s.o.Channels)
	for _, byChannel := range s.swarm.shares() {
		for c, n := range byChannel {
			sum[c] += uint64(n)
		}
	}
	return sum
}

// account closes the books.
func (s *session) account(publishers []*publisher) {
	d, n := s.result.Delivery, s.swarm.snapshot()
	d.Received, d.Duplicates, d.Late, d.Stray, d.Malformed = n.received, n.duplicate, n.late, n.stray, n.malformed
	sent := make([][]uint32, s.o.Channels) // by channel and publisher
	for c := range sent {
		sent[c] = make([]uint32, len(publishers))
		for p := range publishers {
			sent[c][p] = publishers[p].sent[c]
		}
	}
	chains := make([]map[uint64]uint64, s.o.Channels) // by channel: orders seen, how often
	for _, m := range s.swarm.members() {
		m.sub.audit(sent, chains, d)
	}
	for _, seen := range chains {
		var all, most uint64
		for _, n := range seen {
			all, most = all+n, max(most, n)
		}
		d.Divergent += all - most
	}
	latency := newHistogram()
	for _, r := range s.swarm.readers {
		r.mu.Lock()
		latency.Merge(r.latency)
		r.mu.Unlock()
	}
	basis := "send time"
	if s.o.Rate > 0 {
		basis = "intended send time"
	}
	l := newLatency(latency, basis)
	s.result.Latency = &l
	s.result.Publishing = s.published(publishers)
}

// audit adds one connection's books to the account. Only complete subscriptions can be
// compared in their order.
func (s *subscriber) audit(sent [][]uint32, chains []map[uint64]uint64, d *Delivery) {
	s.reader.mu.Lock()
	defer s.reader.mu.Unlock()
	for k := range s.books {
		book, c := &s.books[k], s.channel(k)
		lost := book.missed(sent[c])
		if d.Lost += lost; lost > 0 || book.trouble != nil {
			d.Affected++
			continue
		}
		if chains[c] == nil {
			chains[c] = make(map[uint64]uint64)
		}
		chains[c][book.chain]++
	}
}

func (s *session) published(publishers []*publisher) *Publishing {
	lag, acks := newHistogram(), newHistogram()
	for _, p := range publishers {
		lag.Merge(p.lag)
		acks.Merge(p.acks)
	}
	return &Publishing{
		Accepted: s.totals.accepted.Load(), Refused: s.totals.refused.Load(), Throttled: s.totals.throttled.Load(),
		Answer: newLatency(acks, ""), Lag: newLatency(lag, ""),
	}
}

// compare fills in what the two readings say.
func (s *session) compare(first, last reading) {
	seconds := float64(last.at-first.at) / 1e9
	deliveries := last.counts.unique() - first.counts.unique()
	publishes := last.accepted - first.accepted
	d, p := s.result.Delivery, s.result.Publishing
	d.Measured, d.PerSecond = deliveries, float64(deliveries)/seconds
	p.Measured, p.PerSecond = publishes, float64(publishes)/seconds
	if s.target.proc != nil {
		used := last.server.since(first.server).Seconds()
		s.result.CPU = &CPU{
			ServerSeconds: used, ServerPercent: 100 * used / seconds,
			PerDelivery:      1e6 * ratio(used, float64(deliveries)),
			PerPublish:       1e6 * ratio(used, float64(publishes)),
			GeneratorPercent: 100 * last.generator.since(first.generator).Seconds() / seconds,
		}
	}
	if r := s.result.Runtime; r != nil && first.runtime.mallocs >= 0 && last.runtime.mallocs >= 0 {
		mallocs := last.runtime.mallocs - first.runtime.mallocs
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
