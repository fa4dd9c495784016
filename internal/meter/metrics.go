package meter

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// dropReason says why events were lost.
type dropReason string

const (
	dropQueueFull   dropReason = "queue_full"
	dropSpoolFull   dropReason = "spool_full"
	dropSpoolFailed dropReason = "spool_failed"
	dropShutdown    dropReason = "shutdown"
)

// Metrics of one meter.
type Metrics struct {
	events   *prometheus.CounterVec
	dropped  *prometheus.CounterVec
	batches  prometheus.Counter
	failures prometheus.Counter
	spooled  prometheus.Counter
}

// NewMetrics makes the metrics of package meter and registers them unless r is nil.
func NewMetrics(r prometheus.Registerer) *Metrics {
	auto := promauto.With(r)
	return &Metrics{
		events: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_meter_events_total",
			Help: "Usage events taken, by type.",
		}, []string{"type"}),
		dropped: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_meter_dropped_events_total",
			Help: "Usage events that were lost, by reason: queue_full, spool_full, spool_failed or shutdown.",
		}, []string{"reason"}),
		batches: auto.NewCounter(prometheus.CounterOpts{
			Name: "millrace_meter_delivered_batches_total",
			Help: "Batches of usage events that the receiver has taken.",
		}),
		failures: auto.NewCounter(prometheus.CounterOpts{
			Name: "millrace_meter_delivery_failures_total",
			Help: "Attempts to deliver a batch of usage events that failed.",
		}),
		spooled: auto.NewCounter(prometheus.CounterOpts{
			Name: "millrace_meter_spooled_batches_total",
			Help: "Batches of usage events written to the spool folder.",
		}),
	}
}
