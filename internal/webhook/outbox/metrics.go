package outbox

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/millrace/millrace/internal/webhook/delivery"
)

// Metrics of one engine.
type Metrics struct {
	events        *prometheus.CounterVec
	dropped       *prometheus.CounterVec
	refused       prometheus.Counter
	recovered     *prometheus.CounterVec
	commits       prometheus.Histogram
	storeFailures prometheus.Counter
	dead          *prometheus.CounterVec
	letters       prometheus.Gauge
	evicted       prometheus.Counter
	delivery      *delivery.Metrics
}

// NewMetrics makes the metrics of package outbox and of what it sends with, and registers them
// unless r is nil.
func NewMetrics(r prometheus.Registerer) *Metrics {
	auto := promauto.With(r)
	return &Metrics{
		delivery: delivery.NewMetrics(r),
		events: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_webhook_events_total",
			Help: "Events taken for webhooks, by kind.",
		}, []string{"kind"}),
		dropped: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_webhook_dropped_events_total",
			Help: "Events lost because they came faster than they could be stored, by kind.",
		}, []string{"kind"}),
		refused: auto.NewCounter(prometheus.CounterOpts{
			Name: "millrace_webhook_untracked_subjects_total",
			Help: "Channels, members and users of which no webhook tells because too many are tracked.",
		}),
		recovered: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_webhook_recovered_subjects_total",
			Help: "Channels, members and users that were told present before the start, by outcome: told (that they are gone), returned or forgotten (no webhook asks for them any more).",
		}, []string{"outcome"}),
		commits: auto.NewHistogram(prometheus.HistogramOpts{
			Name:    "millrace_webhook_commit_seconds",
			Help:    "Time until a group of events was stored.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 13),
		}),
		storeFailures: auto.NewCounter(prometheus.CounterOpts{
			Name: "millrace_webhook_store_failures_total",
			Help: "Attempts to store events that failed; the writer repeats them and sends nothing until one succeeds.",
		}),
		dead: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_webhook_dead_events_total",
			Help: "Events that became dead letters, by reason: max_elapsed, max_attempts, no_retry, expired, overflow or removed.",
		}, []string{"reason"}),
		letters: auto.NewGauge(prometheus.GaugeOpts{
			Name: "millrace_webhook_dead_letters",
			Help: "Dead letters now; each is one batch of events.",
		}),
		evicted: auto.NewCounter(prometheus.CounterOpts{
			Name: "millrace_webhook_evicted_letters_total",
			Help: "Dead letters removed because they were too many, too large or too old.",
		}),
	}
}
