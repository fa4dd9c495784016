package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics of the export itself.
type Metrics struct {
	failures *prometheus.CounterVec
}

// NewMetrics makes the metrics of package telemetry and registers them unless r is nil.
func NewMetrics(r prometheus.Registerer) *Metrics {
	auto := promauto.With(r)
	return &Metrics{
		failures: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_telemetry_export_failures_total",
			Help: "Exports that the collector did not take, by signal: traces or metrics.",
		}, []string{"signal"}),
	}
}
