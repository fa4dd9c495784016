package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/projection"
)

// project is the channel engine with projections before it.
func (s *Server) project(prom prometheus.Registerer) *projection.Projector {
	return projection.New(s.channels, s.rulesOf, s.entityStore(), projection.Options{
		Reserve: s.views.Reserve, MaxBatch: s.cfg.Views.MaxBatch, Log: s.log, Metrics: projection.NewMetrics(prom),
	})
}
