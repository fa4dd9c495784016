package postgres

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// queryKind is what the database is asked for, as a label.
type queryKind string

const (
	queryMigrate        queryKind = "migrate"
	queryLoadApps       queryKind = "load_apps"
	queryPutApp         queryKind = "put_app"
	queryDeleteApp      queryKind = "delete_app"
	queryWatch          queryKind = "watch"
	queryHealth         queryKind = "health"
	queryClaimSignature queryKind = "claim_signature"
)

// Metrics of one store.
type Metrics struct {
	queries    *prometheus.HistogramVec
	failures   *prometheus.CounterVec
	listening  prometheus.Gauge
	reconnects prometheus.Counter
}

// NewMetrics makes the metrics of package postgres and registers them unless r is nil.
func NewMetrics(r prometheus.Registerer) *Metrics {
	auto := promauto.With(r)
	return &Metrics{
		queries: auto.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "millrace_postgres_query_seconds",
			Help:    "Time until the database had answered, connecting included, by what it was asked for.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
		}, []string{"query"}),
		failures: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_postgres_failures_total",
			Help: "Times the database did not do what it was asked for.",
		}, []string{"query"}),
		listening: auto.NewGauge(prometheus.GaugeOpts{
			Name: "millrace_postgres_listening_connections",
			Help: "Connections on which changes of other nodes are told; 0 means that they are not seen.",
		}),
		reconnects: auto.NewCounter(prometheus.CounterOpts{
			Name: "millrace_postgres_reconnects_total",
			Help: "Times the connection on which changes are told was lost, or could not be made, and was tried again.",
		}),
	}
}
