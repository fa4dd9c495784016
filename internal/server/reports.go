package server

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/audit"
	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/meter"
	"github.com/millrace/millrace/internal/store/embedded"
	"github.com/millrace/millrace/internal/telemetry"
	"github.com/millrace/millrace/internal/token"
)

// wireOperations makes the store, metering, the audit log and telemetry. A part that is not
// configured stays nil.
func (s *Server) wireOperations(ctx context.Context, prom *prometheus.Registry) (err error) {
	s.tokens = token.NewMetrics(prom)
	s.mints = limit.NewSlidings[string](0)
	if c := &s.cfg.Store; c.Driver == "embedded" {
		o := embedded.Options{Path: c.Path, Log: s.log, Metrics: embedded.NewMetrics(prom)}
		if err := s.openStore(ctx, o); err != nil {
			return err
		}
	}
	if err := s.wireReports(prom); err != nil {
		return err
	}
	if c := &s.cfg.Telemetry; c.OTLPEndpoint != "" {
		s.telemetry, err = telemetry.New(ctx, telemetry.Options{
			Endpoint: c.OTLPEndpoint, Headers: headers(c.Headers.Reveal()), ServiceName: c.ServiceName,
			Gatherer: prom, Interval: c.Interval.D(), SampleRatio: c.SampleRatio,
			Log: s.log, Metrics: telemetry.NewMetrics(prom),
		})
	}
	return err
}

func (s *Server) wireReports(prom *prometheus.Registry) (err error) {
	if c := &s.cfg.Usage; c.Endpoint != "" {
		s.meter, err = meter.New(meter.Options{
			Emitter:  meter.NewHTTP(meter.HTTPOptions{URL: c.Endpoint, Token: c.Token.Reveal(), Timeout: c.Timeout.D()}),
			Interval: c.FlushInterval.D(), BatchSize: c.BatchSize, MaxBatchSize: c.MaxBatchSize,
			MaxPending: c.MaxPending, Spool: c.SpoolDir, MaxSpoolBytes: int64(c.MaxSpool),
			Log: s.log, Metrics: meter.NewMetrics(prom),
		})
		if err != nil {
			return err
		}
	}
	if file := s.cfg.Audit.File; file != "" {
		o := audit.Options{Path: file, Log: s.log, Metrics: audit.NewMetrics(prom)}
		if file == "-" {
			o.Path, o.Writer = "", os.Stderr
		}
		s.audit, err = audit.New(o)
	}
	return err
}

// headers reads "name=value,name=value".
func headers(text string) map[string]string {
	list := map[string]string{}
	for pair := range strings.SplitSeq(text, ",") {
		if name, value, ok := strings.Cut(pair, "="); ok {
			list[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	return list
}

// runReports runs what reports to operators until ctx ends and everything is written or
// delivered, as far as the receivers take it.
func (s *Server) runReports(ctx context.Context) error {
	var wg sync.WaitGroup
	var errs [2]error
	if s.meter != nil {
		wg.Go(func() { errs[0] = s.meter.Run(ctx) }) // ends with ctx
	}
	if s.audit != nil {
		wg.Go(func() { errs[1] = s.audit.Run(ctx) }) // ends with ctx
	}
	for _, v := range s.storeChecks {
		wg.Go(func() { v.run(ctx) }) // ends with ctx
	}
	wg.Wait()
	<-ctx.Done()
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), exportTimeout)
	defer cancel()
	return errors.Join(errs[0], errs[1], s.telemetry.Shutdown(ending))
}
