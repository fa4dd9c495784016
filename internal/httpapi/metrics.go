package httpapi

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
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
	auto := promauto.With(r)
	m := &Metrics{
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
	}
	seconds := auto.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "millrace_httpapi_request_seconds",
		Help:    "Time to answer an API request, reading its body included.",
		Buckets: []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .1, .5, 1, 5},
	}, []string{"route"})
	for i := range numRoutes {
		m.seconds[i] = seconds.WithLabelValues(i.String())
		m.ok[i] = m.requests.WithLabelValues(i.String(), "ok")
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
