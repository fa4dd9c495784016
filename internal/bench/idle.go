package bench

import (
	"context"
	"time"
)

// Defaults of Options.Settle and SettleMost.
const (
	settleIdle  = 5 * time.Second
	settleChurn = 500 * time.Millisecond
	// settleEnds comes after the first quarter of the rounds of churn and after the last one,
	// whose memory is compared: time for a server to return what a burst has left.
	settleEnds = 12 * time.Second
	// settleMost is the default of Options.SettleMost.
	settleMost = 30 * time.Second
)

// Idle connects, subscribes, lets everything settle and measures what the connections cost
// the server while nothing happens.
func Idle(ctx context.Context, o Options) (*Result, error) {
	o.Window, o.Rate = 1, 0 // not used
	run, err := Begin(ctx, o, ScenarioIdle)
	if err != nil {
		return nil, err
	}
	defer run.Stop()
	if err := run.Open(ctx); err != nil {
		return nil, err
	}
	least := run.o.Settle
	if least == 0 {
		least = settleIdle
	}
	settled := run.server.Settled(ctx, least, max(run.o.SettleMost, least))
	if m := run.result.Memory; m != nil {
		m.Settled = settled
		m.PerConnection = float64(m.Settled-m.Before) / float64(run.result.Opening.Opened)
	}
	if run.result.Runtime != nil {
		run.result.Runtime.GoroutinesConnected = run.server.Goroutines(ctx)
	}
	run.Finish(ctx)
	return run.result, ctx.Err()
}

// Churn connects and disconnects everything again and again and measures the server's
// memory after every round; after the first quarter and the last once it has settled.
func Churn(ctx context.Context, o Options) (*Result, error) {
	o.Window, o.Rate = 1, 0 // not used
	run, err := Begin(ctx, o, ScenarioChurn)
	if err != nil {
		return nil, err
	}
	defer run.Stop()
	settle := run.o.Settle
	if settle == 0 {
		settle = settleChurn
	}
	if rss := run.server.RSS(); rss > 0 {
		run.result.Memory = &Memory{Before: rss}
	}
	for i := range max(1, run.o.Rounds) {
		round := Round{Opening: run.swarm.connect(ctx)}
		begun := time.Now()
		if err := run.swarm.disconnect(ctx); err != nil {
			return nil, err
		}
		round.CloseSeconds = time.Since(begun).Seconds()
		if isEnd := i == Quarter(run.o.Rounds) || i == run.o.Rounds-1; isEnd && run.o.Rounds > 1 && run.o.Settle == 0 {
			round.RSS = run.server.Settled(ctx, settleEnds, run.o.SettleMost)
		} else {
			Pause(ctx, settle)
			round.RSS = run.server.RSS()
		}
		run.result.Rounds = append(run.result.Rounds, round)
	}
	run.result.Opening = run.result.Rounds[len(run.result.Rounds)-1].Opening
	if m := run.result.Memory; m != nil {
		m.Settled = run.result.Rounds[len(run.result.Rounds)-1].RSS
	}
	run.Finish(ctx)
	return run.result, ctx.Err()
}

// Quarter is the round of churn that ends the first quarter, in which a server still grows into
// its work.
func Quarter(rounds int) int { return max(0, rounds/4-1) }
