package httpapi

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics of the HTTP API.
type Metrics struct {
	requests *prometheus.CounterVec
	seconds  [numRoutes]prometheus.Observer
	refusals *prometheus.CounterVec
	ok       [numRoutes]prometheus.Counter
	claims   *prometheus.CounterVec
}

// NewMetrics makes the metrics and registers them with r unless it is nil.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_httpapi_requests_total",
			Help: "API requests by route and outcome: ok, or the code of the error.",
		}, []string{"route", "outcome"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_httpapi_refusals_total",
			Help: "API requests that were refused, by code and, where a code has several, by reason.",
		}, []string{"code", "reason"}),
		claims: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_httpapi_idempotency_keys_total",
			Help: "Idempotency keys of publishes by outcome: first, repeated, busy, full or failed.",
		}, []string{"outcome"}),
	}
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "millrace_httpapi_request_seconds",
		Help:    "Time to answer an API request, reading its body included.",
		Buckets: []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .1, .5, 1, 5},
	}, []string{"route"})
	for i := range numRoutes {
		m.seconds[i] = seconds.WithLabelValues(i.String())
		m.ok[i] = m.requests.WithLabelValues(i.String(), "ok")
	}
	if r != nil {
		r.MustRegister(m.requests, m.refusals, seconds, m.claims)
	}
	return m
}

func (m *Metrics) observe(r route, f *failure, d time.Duration) {
	if f == nil {
		m.ok[r].Inc()
	} else {
		m.requests.WithLabelValues(r.String(), string(f.code)).Inc()
	}
	m.seconds[r].Observe(d.Seconds())
}
