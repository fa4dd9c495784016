package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"

	"github.com/millrace/millrace/internal/http1"
	"github.com/millrace/millrace/internal/listen"
	"github.com/millrace/millrace/internal/memory"
)

// Run serves until ctx ends, then drains (drain.go) and returns when every goroutine has
// ended. An error is a listener or an engine that failed; shutdown is none.
func (s *Server) Run(ctx context.Context) error {
	publicListener, operatorListener, err := s.listen(ctx)
	if err != nil {
		return errors.Join(err, s.Close())
	}
	failed := make(chan error, 5) // one of each that may fail
	parts := s.startParts(failed)
	var serving sync.WaitGroup
	serving.Go(func() { failed <- served(publicListener, s.public.Serve(publicListener)) }) // ends with public.Shutdown
	if operatorListener != nil {
		serving.Go(func() { failed <- serve(s.operator, operatorListener) }) // ends with operator.Close
	}
	reclaiming, stopMemory := context.WithCancel(context.WithoutCancel(ctx))
	serving.Go(func() { memory.Reclaim(reclaiming, s.log) }) // ends with reclaiming
	close(s.ready)

	select {
	case <-ctx.Done():
		err = s.turnAway(failed)
	case err = <-failed:
	}
	s.drain(context.WithoutCancel(ctx), parts)
	stopMemory()
	serving.Wait()
	return err
}

// listen opens the listeners; nil for an operator's listener that is turned off.
func (s *Server) listen(ctx context.Context) (public, operator net.Listener, err error) {
	if public = s.inherited; public == nil {
		if public, err = listen.Open(ctx, s.cfg.HTTP.Listen, s.cfg.HTTP.SocketMode); err != nil {
			return nil, nil, listen.Explain("http.listen", err)
		}
	}
	s.addr = public.Addr()
	s.listener = listen.Guard(public, listen.Options{
		Log: s.log, Failed: s.acceptFailed, Reserve: s.reserve, Shed: s.public.Shed,
		IsPlain: s.publicCert == nil, IsInherited: s.inherited != nil,
	})
	if s.operator == nil {
		return s.listener, nil, nil
	}
	if operator, err = listen.OpenTCP(ctx, s.cfg.Metrics.Listen); err != nil {
		return nil, nil, errors.Join(listen.Explain("metrics.listen", err), public.Close())
	}
	s.metricsAddr = operator.Addr()
	return s.listener, operator, nil
}

// serve runs the operators' HTTP server, over TLS if it has a certificate.
func serve(h *http.Server, l net.Listener) error {
	return served(l, http1.ServeByNetHTTP(h, l))
}

// served is what serving a listener ended with; to be shut down is no failure.
func served(l net.Listener, err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve %s: %w", l.Addr(), err)
}

// parts are the engines that run on goroutines, in the order in which they must end.
type parts struct {
	stopDirectory context.CancelFunc
	directory     sync.WaitGroup

	stopEntities, stopSockets, stopCleanup, stopWebhooks, stopBus, stopHub, stopReports context.CancelFunc
	entities, sockets, cleanup, webhooks, bus, hub, reports                             sync.WaitGroup
}

// startParts starts the engines; failed hears of one that fails before it is stopped.
func (s *Server) startParts(failed chan<- error) *parts {
	p := &parts{}
	start := func(wg *sync.WaitGroup, stop *context.CancelFunc, message string, run func(context.Context) error) {
		var ctx context.Context
		ctx, *stop = context.WithCancel(context.Background())
		wg.Go(func() { s.report(message, run(ctx)) }) // ends with stop
	}
	start(&p.reports, &p.stopReports, "usage events, audit log or telemetry failed", s.runReports)
	start(&p.hub, &p.stopHub, "hub failed", s.hub.Run)
	start(&p.bus, &p.stopBus, "bus of channels failed", needed(failed, s.bus.Run))
	start(&p.directory, &p.stopDirectory, "changes of stored apps are not followed any more", s.directory.Run)
	start(&p.webhooks, &p.stopWebhooks, "webhooks not all delivered or stored", needed(failed, s.webhooks.Run))
	start(&p.cleanup, &p.stopCleanup, "cleanup of ended connections failed", s.sessions.Run)
	start(&p.sockets, &p.stopSockets, "connection engine failed", s.sockets.Run)
	start(&p.entities, &p.stopEntities, "owner of entities failed", needed(failed, func(ctx context.Context) error {
		if s.owner == nil {
			return nil
		}
		return s.owner.Run(ctx, s.views)
	}))
	return p
}

// needed is run for an engine that the server needs: if it fails before its context ends, failed
// gets its error, and the server ends.
func needed(failed chan<- error, run func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		err := run(ctx)
		if err != nil && ctx.Err() == nil {
			failed <- err // there is room for each that may fail
		}
		return err
	}
}

// closeAfter closes what New has opened when it fails.
func (s *Server) closeAfter(err error) error {
	if err == nil {
		return nil
	}
	return errors.Join(err, s.Close())
}

// Close gives back what New has opened, when Run is not called or cannot start: engines free
// their descriptors at the end of their own Run.
func (s *Server) Close() error {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	err := errors.Join(s.sockets.Run(ended), s.closeHistory())
	if s.store != nil {
		err = errors.Join(err, s.store.Close())
	}
	return errors.Join(err, s.closeDirectory())
}

func (s *Server) report(message string, err error) {
	if err != nil {
		s.log.Error(message, "err", err)
	}
}
