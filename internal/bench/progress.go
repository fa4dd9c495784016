package bench

import (
	"context"
	"fmt"
	"time"
)

// progress writes a line per second until ctx ends.
func (run *Run) progress(ctx context.Context) {
	if run.o.Progress == nil {
		return
	}
	const every = time.Second
	var received, accepted uint64
	for begun := time.Now(); Pause(ctx, every); {
		n, a := run.swarm.snapshot().Received, run.totals.accepted.Load()
		fmt.Fprintf(run.o.Progress, "%4.0fs  %7d connections  %9d deliveries/s  %7d publishes/s  %d errors\n",
			time.Since(begun).Seconds(), run.swarm.live.Load(), n-received, a-accepted, run.swarm.complaints.total())
		received, accepted = n, a
	}
}
