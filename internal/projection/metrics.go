package projection

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// skipReason says why an event changed nothing: bounded, fit for a metric label.
type skipReason string

const (
	skipData    skipReason = "data"    // no JSON object where one was expected
	skipKey     skipReason = "key"     // no key of an entity
	skipRefused skipReason = "refused" // the owner of entities found something wrong with it
)

// Metrics of the projection.
type Metrics struct {
	mutations prometheus.Counter
	skipped   *prometheus.CounterVec
}

// NewMetrics makes the metrics and registers them with r unless it is nil.
func NewMetrics(r prometheus.Registerer) *Metrics {
	auto := promauto.With(r)
	m := &Metrics{
		mutations: auto.NewCounter(prometheus.CounterOpts{
			Name: "millrace_projection_mutations_total",
			Help: "Mutations made from published events and applied.",
		}),
		skipped: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_projection_skipped_total",
			Help: "Events that a rule concerned but could not use, by what was wrong: data, key, refused.",
		}, []string{"reason"}),
	}
	for _, reason := range []skipReason{skipData, skipKey, skipRefused} {
		m.skipped.WithLabelValues(string(reason))
	}
	return m
}
