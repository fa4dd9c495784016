package entity

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics of one state.
type Metrics struct {
	entities   prometheus.Gauge
	tombstones prometheus.Gauge
}

// NewMetrics makes the metrics of package entity and registers them unless r is nil.
func NewMetrics(r prometheus.Registerer) *Metrics {
	auto := promauto.With(r)
	return &Metrics{
		entities: auto.NewGauge(prometheus.GaugeOpts{
			Name: "millrace_entity_entities",
			Help: "Entities that exist.",
		}),
		tombstones: auto.NewGauge(prometheus.GaugeOpts{
			Name: "millrace_entity_tombstones",
			Help: "Deleted entities that are remembered, so that a client that comes back can be told.",
		}),
	}
}

// count adds what an installation has changed. Most change neither number.
func (m *Metrics) count(entities, tombstones int) {
	if entities != 0 {
		m.entities.Add(float64(entities))
	}
	if tombstones != 0 {
		m.tombstones.Add(float64(tombstones))
	}
}
