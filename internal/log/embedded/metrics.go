package embedded

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics of one log.
type Metrics struct {
	appends  prometheus.Histogram
	records  prometheus.Counter
	refused  prometheus.Counter
	waiting  prometheus.Gauge
	tail     prometheus.Gauge
	folds    prometheus.Histogram
	folded   prometheus.Counter
	removed  prometheus.Counter
	failures prometheus.Counter
	stored   prometheus.Gauge
	max      prometheus.Gauge
}

// NewMetrics makes the metrics of the log and registers them unless r is nil.
func NewMetrics(r prometheus.Registerer) *Metrics {
	auto := promauto.With(r)
	return &Metrics{
		appends: auto.NewHistogram(prometheus.HistogramOpts{
			Name:    "millrace_embedded_log_append_seconds",
			Help:    "Time until an entry of the log was on the disk; publishers that wait at the same time share one.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 13),
		}),
		records: auto.NewCounter(prometheus.CounterOpts{
			Name: "millrace_embedded_log_records_total",
			Help: "Records that were stored.",
		}),
		refused: auto.NewCounter(prometheus.CounterOpts{
			Name: "millrace_embedded_log_refused_total",
			Help: "Groups of records that were refused because too much waited to be stored or folded.",
		}),
		waiting: auto.NewGauge(prometheus.GaugeOpts{
			Name: "millrace_embedded_log_waiting_bytes",
			Help: "Size of the records that wait to be stored or are being stored.",
		}),
		tail: auto.NewGauge(prometheus.GaugeOpts{
			Name: "millrace_embedded_log_tail_bytes",
			Help: "Bytes that are stored and not in the table of records yet; steady growth means the disk is too slow.",
		}),
		folds: auto.NewHistogram(prometheus.HistogramOpts{
			Name:    "millrace_embedded_log_fold_seconds",
			Help:    "Time until the tail was in the table of records, appends in between included.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2, 12),
		}),
		folded: auto.NewCounter(prometheus.CounterOpts{
			Name: "millrace_embedded_log_folded_records_total",
			Help: "Records that went from the tail to the table of records, or were beyond their topic's limits by then.",
		}),
		removed: auto.NewCounter(prometheus.CounterOpts{
			Name: "millrace_embedded_log_removed_records_total",
			Help: "Records that were removed because of retention, a purge or a reset.",
		}),
		failures: auto.NewCounter(prometheus.CounterOpts{
			Name: "millrace_embedded_log_failures_total",
			Help: "Entries that could not be stored.",
		}),
		stored: auto.NewGauge(prometheus.GaugeOpts{
			Name: "millrace_embedded_log_stored_bytes",
			Help: "Bytes of the records in the tables when they were last counted: after a fold, and each minute.",
		}),
		max: auto.NewGauge(prometheus.GaugeOpts{
			Name: "millrace_embedded_log_max_bytes",
			Help: "Bytes of records beyond which the oldest are removed.",
		}),
	}
}
