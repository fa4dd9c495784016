package embedded

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics of one store.
type Metrics struct {
	commits     prometheus.Histogram
	records     prometheus.Counter
	log         prometheus.Gauge
	folds       prometheus.Histogram
	folded      prometheus.Counter
	checkpoints prometheus.Histogram
	failures    prometheus.Counter
}

// NewMetrics makes the metrics of package embedded and registers them unless r is nil.
func NewMetrics(r prometheus.Registerer) *Metrics {
	auto := promauto.With(r)
	return &Metrics{
		commits: auto.NewHistogram(prometheus.HistogramOpts{
			Name:    "millrace_embedded_commit_seconds",
			Help:    "Time until a group of entities was on the disk.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 13),
		}),
		records: auto.NewCounter(prometheus.CounterOpts{
			Name: "millrace_embedded_records_total",
			Help: "Entities and tombstones that were stored.",
		}),
		log: auto.NewGauge(prometheus.GaugeOpts{
			Name: "millrace_embedded_log_bytes",
			Help: "Estimated bytes of stored entities that are not in their table yet; steady growth means the disk is too slow.",
		}),
		folds: auto.NewHistogram(prometheus.HistogramOpts{
			Name:    "millrace_embedded_fold_seconds",
			Help:    "Time until the log had been folded into the table, commits in between included.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2, 12),
		}),
		folded: auto.NewCounter(prometheus.CounterOpts{
			Name: "millrace_embedded_folded_keys_total",
			Help: "Keys whose newest version went from the log to the table.",
		}),
		checkpoints: auto.NewHistogram(prometheus.HistogramOpts{
			Name:    "millrace_embedded_checkpoint_seconds",
			Help:    "Time to write the write-ahead log back to the database file, while commits go on.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
		}),
		failures: auto.NewCounter(prometheus.CounterOpts{
			Name: "millrace_embedded_maintenance_failures_total",
			Help: "Folds and checkpoints that failed; they are tried again.",
		}),
	}
}
