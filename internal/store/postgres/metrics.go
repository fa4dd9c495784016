package postgres

import "github.com/prometheus/client_golang/prometheus"

// queryKind is what the database is asked for, as a label.
type queryKind string

const (
	queryMigrate   queryKind = "migrate"
	queryLoadApps  queryKind = "load_apps"
	queryPutApp    queryKind = "put_app"
	queryDeleteApp queryKind = "delete_app"
	queryWatch     queryKind = "watch"
	queryHealth    queryKind = "health"
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
	m := &Metrics{
		queries: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "millrace_postgres_query_seconds",
			Help:    "Time until the database had answered, connecting included, by what it was asked for.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
		}, []string{"query"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_postgres_failures_total",
			Help: "Times the database did not do what it was asked for.",
		}, []string{"query"}),
		listening: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "millrace_postgres_listening_connections",
			Help: "Connections on which changes of other nodes are told; 0 means that they are not seen.",
		}),
		reconnects: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "millrace_postgres_reconnects_total",
			Help: "Times the connection on which changes are told was lost, or could not be made, and was tried again.",
		}),
	}
	if r != nil {
		r.MustRegister(m.queries, m.failures, m.listening, m.reconnects)
	}
	return m
}
