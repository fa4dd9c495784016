package delivery

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics of one sender.
type Metrics struct {
	pending  prometheus.Gauge
	sent     prometheus.Counter
	failed   *prometheus.CounterVec
	retries  prometheus.Counter
	requests prometheus.Histogram
	delay    prometheus.Histogram
	broken   prometheus.Gauge
}

// NewMetrics makes the metrics of package delivery and registers them unless r is nil.
func NewMetrics(r prometheus.Registerer) *Metrics {
	auto := promauto.With(r)
	return &Metrics{
		pending: auto.NewGauge(prometheus.GaugeOpts{
			Name: "millrace_webhook_pending_events",
			Help: "Events that wait to be delivered, once for each endpoint.",
		}),
		sent: auto.NewCounter(prometheus.CounterOpts{
			Name: "millrace_webhook_sent_events_total",
			Help: "Events that an endpoint has taken.",
		}),
		failed: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_webhook_failed_requests_total",
			Help: "Requests that were no success, by reason: timeout, network, status_3xx, status_4xx, status_5xx, status_other or app.",
		}, []string{"reason"}),
		retries: auto.NewCounter(prometheus.CounterOpts{
			Name: "millrace_webhook_retries_total",
			Help: "Requests that repeat one that failed.",
		}),
		requests: auto.NewHistogram(prometheus.HistogramOpts{
			Name:    "millrace_webhook_request_seconds",
			Help:    "Duration of requests, failed ones too.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 15),
		}),
		delay: auto.NewHistogram(prometheus.HistogramOpts{
			Name:    "millrace_webhook_delay_seconds",
			Help:    "Time from the oldest event of a batch to its delivery.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2, 17),
		}),
		broken: auto.NewGauge(prometheus.GaugeOpts{
			Name: "millrace_webhook_open_breakers",
			Help: "Endpoints that fail again and again now.",
		}),
	}
}
