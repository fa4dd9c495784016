package bench

import (
	"context"
	"fmt"
	"time"
)

// progress writes a line per second until ctx ends.
func (s *session) progress(ctx context.Context) {
	if s.o.Progress == nil {
		return
	}
	const every = time.Second
	var received, accepted uint64
	for begun := time.Now(); pause(ctx, every); {
		n, a := s.swarm.snapshot().received, s.totals.accepted.Load()
		fmt.Fprintf(s.o.Progress, "%4.0fs  %7d connections  %9d deliveries/s  %7d publishes/s  %d errors\n",
			time.Since(begun).Seconds(), s.swarm.live.Load(), n-received, a-accepted, s.swarm.complaints.total())
		received, accepted = n, a
	}
}
