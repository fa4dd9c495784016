package bench

import (
	"context"
	"fmt"
	"time"
)

// Defaults of Options.Settle.
const (
	settleIdle  = 5 * time.Second
	settleChurn = 500 * time.Millisecond
	// settleEnds comes after the first quarter of the rounds of churn and after the last one,
	// whose memory is compared: time for a server to return what a burst has left.
	settleEnds = 12 * time.Second
	// settleMost bounds the wait for memory to stop falling.
	settleMost = 30 * time.Second
)

// session is what all scenarios share: a swarm, the server beside it, a result being
// written.
type session struct {
	o      Options
	swarm  *swarm
	target *target
	result *Result
	totals publishTotals
	stop   func() // ends the swarm and the progress line and joins them
}

// begin starts a session. The caller must call its stop.
func begin(ctx context.Context, o Options, scenario string) (*session, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &session{o: o, result: o.result(scenario)}
	var missing []error
	s.target, missing = newTarget(ctx, &o)
	for _, err := range missing {
		s.result.Unmeasured = append(s.result.Unmeasured, err.Error())
	}
	swarm, wait, err := newSwarm(ctx, o)
	if err != nil {
		cancel()
		return nil, err
	}
	s.swarm = swarm
	done := make(chan struct{})
	go func() { // ends with ctx
		defer close(done)
		s.progress(ctx)
	}()
	s.stop = func() {
		s.swarm.isClosing.Store(true)
		cancel()
		wait()
		<-done
		s.target.close()
	}
	return s, nil
}

// finish writes down what was counted all along and says goodbye to the server.
func (s *session) finish(ctx context.Context) {
	s.result.Dropped = int(s.swarm.dropped.Load())
	s.result.Complaints = s.swarm.complaints.list()
	_ = s.swarm.disconnect(ctx) // what is left then is cut
}

// open connects and fills in what belongs to it.
func (s *session) open(ctx context.Context) error {
	before := s.target.goroutines(ctx)
	memory := &Memory{Before: s.target.rss()}
	s.result.Opening = s.swarm.connect(ctx)
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.result.Opening.Opened == 0 {
		return fmt.Errorf("no connection could be opened: %v", s.swarm.complaints.list())
	}
	if memory.Connected = s.target.rss(); memory.Before > 0 {
		memory.Settled = memory.Connected
		s.result.Memory = memory
	}
	if s.target.url != "" {
		s.result.Runtime = &Runtime{GoroutinesBefore: before, GoroutinesConnected: s.target.goroutines(ctx)}
	}
	return nil
}

// Idle connects, subscribes, lets everything settle and measures what the connections cost
// the server while nothing happens.
func Idle(ctx context.Context, o Options) (*Result, error) {
	o.Window, o.Rate = 1, 0 // not used
	s, err := begin(ctx, o, ScenarioIdle)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	least := s.o.Settle
	if least == 0 {
		least = settleIdle
	}
	settled := s.target.settled(ctx, least, max(settleMost, least))
	if m := s.result.Memory; m != nil {
		m.Settled = settled
		m.PerConnection = float64(m.Settled-m.Before) / float64(s.result.Opening.Opened)
	}
	if s.result.Runtime != nil {
		s.result.Runtime.GoroutinesConnected = s.target.goroutines(ctx)
	}
	s.finish(ctx)
	return s.result, ctx.Err()
}

// Churn connects and disconnects everything again and again and measures the server's
// memory after every round; after the first quarter and the last once it has settled.
func Churn(ctx context.Context, o Options) (*Result, error) {
	o.Window, o.Rate = 1, 0 // not used
	s, err := begin(ctx, o, ScenarioChurn)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	settle := s.o.Settle
	if settle == 0 {
		settle = settleChurn
	}
	if rss := s.target.rss(); rss > 0 {
		s.result.Memory = &Memory{Before: rss}
	}
	for i := range max(1, s.o.Rounds) {
		round := Round{Opening: s.swarm.connect(ctx)}
		begun := time.Now()
		if err := s.swarm.disconnect(ctx); err != nil {
			return nil, err
		}
		round.CloseSeconds = time.Since(begun).Seconds()
		if isEnd := i == quarter(s.o.Rounds) || i == s.o.Rounds-1; isEnd && s.o.Rounds > 1 && s.o.Settle == 0 {
			round.RSS = s.target.settled(ctx, settleEnds, settleMost)
		} else {
			pause(ctx, settle)
			round.RSS = s.target.rss()
		}
		s.result.Rounds = append(s.result.Rounds, round)
	}
	s.result.Opening = s.result.Rounds[len(s.result.Rounds)-1].Opening
	if m := s.result.Memory; m != nil {
		m.Settled = s.result.Rounds[len(s.result.Rounds)-1].RSS
	}
	s.finish(ctx)
	return s.result, ctx.Err()
}

// quarter is the round that ends the first quarter, in which a server still grows into its
// work.
func quarter(rounds int) int { return max(0, rounds/4-1) }
