package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
)

// Run serves until ctx ends, then drains (drain.go) and returns when every goroutine has
// ended. An error is a listener that failed; shutdown is none.
func (s *Server) Run(ctx context.Context) error {
	publicListener, operatorListener, err := s.listen(ctx)
	if err != nil {
		return errors.Join(err, s.release())
	}
	parts := s.startParts()
	failed := make(chan error, 2)
	var serving sync.WaitGroup
	serving.Go(func() { failed <- serve(s.public, publicListener) }) // ends with public.Shutdown
	if operatorListener != nil {
		serving.Go(func() { failed <- serve(s.operator, operatorListener) }) // ends with operator.Close
	}
	memory, stopMemory := context.WithCancel(context.WithoutCancel(ctx))
	serving.Go(func() { reclaim(memory, s.log) }) // ends with memory
	close(s.ready)

	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	s.drain(context.WithoutCancel(ctx), parts)
	stopMemory()
	serving.Wait()
	return err
}

// listen opens the listeners; nil for an operator's listener that is turned off.
func (s *Server) listen(ctx context.Context) (public, operator net.Listener, err error) {
	if public, err = listen(ctx, s.cfg.HTTP.Listen); err != nil {
		return nil, nil, err
	}
	s.addr = public.Addr()
	if s.operator == nil {
		return &patientListener{Listener: public, log: s.log, failed: s.acceptFailed}, nil, nil
	}
	if operator, err = listen(ctx, s.cfg.Metrics.Listen); err != nil {
		return nil, nil, errors.Join(err, public.Close())
	}
	s.metricsAddr = operator.Addr()
	return &patientListener{Listener: public, log: s.log, failed: s.acceptFailed}, operator, nil
}

// serve runs one HTTP server, over TLS if it has a certificate.
func serve(h *http.Server, l net.Listener) error {
	var err error
	if h.TLSConfig != nil {
		err = h.ServeTLS(l, "", "")
	} else {
		err = h.Serve(l)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve %s: %w", l.Addr(), err)
}

// parts are the engines that run on goroutines, in the order in which they must end.
type parts struct {
	stopSockets, stopHub context.CancelFunc
	sockets, hub         sync.WaitGroup
}

func (s *Server) startParts() *parts {
	p := &parts{}
	var sockets, hub context.Context
	sockets, p.stopSockets = context.WithCancel(context.Background())
	hub, p.stopHub = context.WithCancel(context.Background())
	p.hub.Go(func() { s.report("fan-out failed", s.hub.Run(hub)) })                       // ends with stopHub
	p.sockets.Go(func() { s.report("connection engine failed", s.sockets.Run(sockets)) }) // ends with stopSockets
	return p
}

// release gives back what New has opened when Run cannot start: engines free their
// descriptors at the end of their own Run.
func (s *Server) release() error {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	return s.sockets.Run(ended)
}

func (s *Server) report(message string, err error) {
	if err != nil {
		s.log.Error(message, "err", err)
	}
}
