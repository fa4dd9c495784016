package httpapi

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/millrace/millrace/internal/problem"
)

// Metrics of the HTTP API.
type Metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	refusals *prometheus.CounterVec
	claims   *prometheus.CounterVec
}

// NewMetrics makes the metrics and registers them with r unless it is nil.
func NewMetrics(r prometheus.Registerer) *Metrics {
	auto := promauto.With(r)
	return &Metrics{
		requests: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_httpapi_requests_total",
			Help: "API requests by route and outcome: ok, or the code of the error.",
		}, []string{"route", "outcome"}),
		refusals: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_httpapi_refusals_total",
			Help: "API requests that were refused, by code and, where a code has several, by reason.",
		}, []string{"code", "reason"}),
		claims: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_httpapi_idempotency_keys_total",
			Help: "Idempotency keys of publishes by outcome: first, repeated, busy, full (no room), app_full (no room for one more of the app) or failed.",
		}, []string{"outcome"}),
		seconds: auto.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "millrace_httpapi_request_seconds",
			Help:    "Time to answer an API request, reading its body included.",
			Buckets: []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .1, .5, 1, 5},
		}, []string{"route"}),
	}
}

// Claimed counts an idempotency key by what became of it.
func (m *Metrics) Claimed(outcome string) { m.claims.WithLabelValues(outcome).Inc() }

func (m *Metrics) observe(e *endpoint, p *problem.Problem, d time.Duration) {
	if p == nil {
		e.ok.Inc()
	} else {
		m.requests.WithLabelValues(e.Name, string(p.Code)).Inc()
	}
	e.seconds.Observe(d.Seconds())
}
