package audit

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// dropReason says why events were lost.
type dropReason string

const (
	dropQueueFull   dropReason = "queue_full"
	dropWriteFailed dropReason = "write_failed"
	dropShutdown    dropReason = "shutdown"
)

// Metrics of one log.
type Metrics struct {
	events  *prometheus.CounterVec
	dropped *prometheus.CounterVec
}

// NewMetrics makes the metrics of package audit and registers them unless r is nil.
func NewMetrics(r prometheus.Registerer) *Metrics {
	auto := promauto.With(r)
	return &Metrics{
		events: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_audit_events_total",
			Help: "Security events taken, by type.",
		}, []string{"type"}),
		dropped: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_audit_dropped_events_total",
			Help: "Security events that were lost, by reason: queue_full, write_failed or shutdown.",
		}, []string{"reason"}),
	}
}
