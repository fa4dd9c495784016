package report

import (
	"context"
	"fmt"
	"strconv"

	"github.com/millrace/millrace/test/bench/ending"
)

// endings ends servers under full load.
func (r *reporter) endings(ctx context.Context) error {
	var sum ending.Ending
	for range r.plan.guards.endings {
		r.say("SIGTERM")
		e, err := ending.Measure(ctx, r.o.Millrace, ending.Options{})
		if err != nil {
			return fmt.Errorf("SIGTERM: %w", err)
		}
		if err := e.Err(); err != nil {
			r.fault(fmt.Sprintf("SIGTERM: %v", err))
		}
		sum.Add(e)
	}
	r.addGuards(endingFigure(&sum))
	return nil
}

func endingFigure(e *ending.Ending) Figure {
	return Figure{
		What: fmt.Sprintf("acknowledged events lost at SIGTERM, under full load, %d subscribers, %d rounds",
			e.Subscribers/max(e.Rounds, 1), e.Rounds),
		Bar: "0", Measured: strconv.FormatUint(e.Lost, 10), IsMet: e.Lost == 0 && e.Told > 0 && e.Acknowledged > 0,
		Note: fmt.Sprintf("8 publishers, each as fast as it is answered; %d events were acknowledged, %d refused, %d of %d subscribers were told to come back, the longest end took %.2f s",
			e.Acknowledged, e.Refused, e.Told, e.Subscribers, e.Seconds),
	}
}
