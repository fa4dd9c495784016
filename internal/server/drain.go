package server

import (
	"context"
	"time"
)

// closeHandshakeTimeout is how long clients may take to answer the close frame, from when the first of
// them is told; a connection that is cut before may lose it. At its end the port closes, and
// pusher-js stays away for 15 s when it finds it closed (docs/ops.md). Told within tellWithin, it
// comes back after 1.0 to 1.5 s, is told again, and comes back after 2.0 to 2.5 s: the port closes
// between, and the next process opens it in time.
const closeHandshakeTimeout = 1750 * time.Millisecond

// tellWithin is how long it may take to tell all connections to come back. It is less than the
// second after which the first of them do: a client that comes back while the port is about to close
// waits much longer before its next attempt.
const tellWithin = 500 * time.Millisecond

// exportTimeout is how long the last traces and metrics may take.
const exportTimeout = 3 * time.Second

// turnAway makes readiness false and gives balancers the configured time to see it: until it
// is over everything is served as before. A listener that fails ends the wait.
func (s *Server) turnAway(failed <-chan error) error {
	s.unready.Store(true)
	delay := s.cfg.Shutdown.ReadinessDelay.D()
	if delay <= 0 {
		return nil
	}
	s.log.Info("readiness is off, so that balancers turn away", "readiness_delay", delay.String())
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case err := <-failed:
		return err
	case <-timer.C:
		return nil
	}
}

// drain ends the node in the order of pusher 7.9 within the grace period. First it admits no new
// connection and no publish, and flushes publications to the connections. Then the sessions tell
// their clients to reconnect, spread over time. Then requests under way end, and at last the
// engines, each after the engines that still feed it.
func (s *Server) drain(ctx context.Context, p *parts) {
	s.unready.Store(true)
	s.draining.Store(true)
	s.webhooks.Hold()
	grace := s.cfg.Shutdown.GracePeriod.D()
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()

	n := s.sessions.Len()
	s.log.Info("draining", "connections", n, "grace_period", grace.String())
	s.public.Retire()
	if s.inherited != nil {
		s.listener.Release()
	}
	s.endPublishing(ctx, grace/2)
	told := time.Now()
	s.sessions.Drain(ctx, min(tellWithin, remaining(ctx)/2))
	s.awaitHandshakes(ctx, told.Add(closeHandshakeTimeout))

	s.endRequests(ctx, grace/4)
	p.stopEntities() // what was accepted is stored and published first
	p.entities.Wait()
	p.stopSockets() // cuts connections that outlived the grace period
	p.sockets.Wait()
	p.stopCleanup() // all that has ended is cleaned up after
	p.cleanup.Wait()
	_ = s.webhooks.Shutdown(ctx) // of all that has left by now; Run returns the same error
	p.stopWebhooks()
	p.webhooks.Wait()
	p.stopBus() // what waits to be stored is stored
	p.bus.Wait()
	p.stopHub()
	p.hub.Wait()
	s.report("bus not stopped", s.bus.Shutdown(ctx))
	p.stopReports() // after whatever they report about
	p.reports.Wait()
	if s.operator != nil {
		s.report("listener of metrics not closed", s.operator.Close())
	}
	p.stopDirectory()
	p.directory.Wait()
	s.report("database of apps not closed", s.closeDirectory())
	s.report("log of channels not closed", s.closeHistory())
	if s.store != nil {
		s.report("store not closed", s.store.Close())
	}
	s.log.Info("stopped")
}

// endPublishing refuses publishes from now on, and returns when all acknowledged publications are in
// the queues of the connections, so that a message to a client comes after them. Events of other
// sources, such as notices about members that leave, still go to the open connections.
func (s *Server) endPublishing(ctx context.Context, longest time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	err := s.gate.Close(ctx)
	if err == nil {
		err = s.hub.Flush(ctx)
	}
	if err != nil {
		s.log.Error("connections are closed although events that were acknowledged still wait for them; raise shutdown.grace_period",
			"waited", longest.String(), "waiting_bytes", s.hub.Inboxes().Used(), "err", err)
	}
}

// remaining is the time until the deadline of ctx.
func remaining(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	return max(time.Until(deadline), 0)
}

// endRequests waits for those under way, but leaves so much time for what comes after them, the
// delivery of webhooks above all.
func (s *Server) endRequests(ctx context.Context, reserve time.Duration) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-reserve))
		defer cancel()
	}
	if err := s.public.Shutdown(ctx); err != nil {
		s.log.Warn("requests were cut: they had not ended in time; raise shutdown.grace_period", "err", err)
		s.report("listener of clients not closed", s.public.Close())
	}
}

// awaitHandshakes returns when every connection has ended, or at the given time.
func (s *Server) awaitHandshakes(ctx context.Context, end time.Time) {
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for s.sockets.Connections() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
